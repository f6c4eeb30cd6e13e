"""What happens to laptops happens here on purpose; in none of it does the room go out (see the fixture ``live``)."""

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime_matting.errors import EngineError, InputError
from realtime_matting.sources.live_base import CameraError


def test_a_camera_that_is_unplugged_and_comes_back_is_used_again(live: Any, fakes: Any) -> None:
    first = fakes.Camera([*[fakes.person()] * 10, fakes.Gone("fake: was unplugged")])
    second = fakes.Camera([fakes.person()])
    live.reopened += [InputError("fake: no such device"), fakes.Gone("fake: not yet"), second]
    live.start(first)
    live.wait_for(lambda: "fake: is back" in live.said)
    shown = live.sink.composites()
    live.wait_for(lambda: live.sink.composites() > shown + 3)
    assert first.closed
    assert live.said == ["fake: was unplugged; trying to open it again", "fake: is back"]
    assert live.run.status()["reconnects"] == 1


def test_a_camera_that_another_program_took_meanwhile_is_told_once_and_used_when_it_is_free(
    live: Any, fakes: Any
) -> None:
    busy = CameraError("fake: is in use by zoom (process 41); close that, or choose another camera")
    live.reopened += [busy, busy, fakes.Camera([fakes.person()])]
    live.start(fakes.Camera([*[fakes.person()] * 5, fakes.Gone("fake: was unplugged")]))
    live.wait_for(lambda: "fake: is back" in live.said)
    assert live.said == ["fake: was unplugged; trying to open it again", str(busy), "fake: is back"]


def test_a_camera_that_stays_away_leaves_the_last_composite_and_then_the_background(live: Any, fakes: Any) -> None:
    live.start(fakes.Camera([*[fakes.person()] * 10, fakes.Gone("fake: was unplugged")]))
    live.wait_for(lambda: live.run.status()["state"] == "camera lost")
    assert (live.sink.pictures[-1] == fakes.PERSON).all(-1).any()
    live.wait_for(lambda: bool((live.sink.pictures[-1] == fakes.BEACH).all()), 4)
    time.sleep(0.3)
    gaps = np.diff(live.sink.times)
    assert gaps.max() < 0.5  # who reads the output never waits long


def test_a_camera_that_says_nothing_any_more_counts_as_lost(live: Any, fakes: Any) -> None:
    live.reopened.append(fakes.Camera([fakes.person()]))
    live.start(fakes.Camera([*[fakes.person()] * 5, None]))
    live.wait_for(lambda: "fake: is back" in live.said)
    assert "gave no frame for 3 s" in live.said[0]


def test_a_camera_is_opened_again_after_the_machine_was_suspended(live: Any, fakes: Any, monkeypatch: Any) -> None:
    second = fakes.Camera([fakes.person()])
    live.reopened.append(second)
    live.start(fakes.Camera([fakes.person()]))
    live.wait_for(lambda: live.sink.composites() >= 5)
    calendar = time.time
    monkeypatch.setattr("realtime_matting.capture.time.time", lambda: calendar() + 3600)
    live.wait_for(lambda: second.given > 3)
    assert "was suspended" in live.said[0]


def test_a_change_of_size_under_way_goes_through_at_the_size_of_the_output(live: Any, fakes: Any) -> None:
    sizes = [(96, 64), (128, 96), (48, 64), (640, 480)]
    live.start(fakes.Camera([fakes.person(*size) for size in sizes for _ in range(8)], period=0.02))
    live.wait_for(lambda: live.run.status()["captured"] > 35)
    assert {picture.shape for picture in live.sink.pictures} == {(64, 96, 3)}
    assert not live.said


def test_damaged_pictures_are_left_out_and_counted(live: Any, fakes: Any) -> None:
    live.start(fakes.Camera([fakes.person(), "damaged", fakes.person(), "damaged", fakes.person()]))
    live.wait_for(lambda: live.sink.composites() >= 3)
    live.stop()
    assert live.report.damaged == 2
    assert "damaged 2" in live.report.lines()[-1]


def test_a_matte_that_fails_is_told_once_and_the_next_good_one_goes_on(live: Any, fakes: Any) -> None:
    calls = []

    def failing(rgb: Any) -> Any:
        calls.append(rgb)
        if 5 <= len(calls) < 15:
            raise EngineError("the device was lost")
        return fakes.matte(rgb)

    live.start(fakes.Camera([fakes.person()]), matte=failing)
    live.wait_for(lambda: len(calls) >= 30)
    live.stop()
    assert live.report.failed == 10
    assert len(live.said) == 1
    assert "the device was lost" in live.said[0]


def test_mattes_that_only_fail_end_the_run_with_their_error(live: Any, fakes: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("realtime_matting.live_failures._GIVE_UP", 0.5)

    def failing(rgb: Any) -> Any:
        raise EngineError("the device was lost")

    live.start(fakes.Camera([fakes.person()]), matte=failing)
    live.wait_for(lambda: live.error is not None)
    assert str(live.error) == "the device was lost"
    assert live.sink.composites() == 0


def test_a_matte_that_hangs_leaves_the_last_composite_and_then_the_background(live: Any, fakes: Any) -> None:
    calls = []

    def hanging(rgb: Any) -> Any:
        calls.append(rgb)
        if len(calls) == 5:
            time.sleep(3)
        return fakes.matte(rgb)

    live.start(fakes.Camera([fakes.person()]), matte=hanging)
    live.wait_for(lambda: live.run.status()["state"] == "stalled")
    assert (live.sink.pictures[-1] == fakes.PERSON).all(-1).any()
    live.wait_for(lambda: bool((live.sink.pictures[-1] == fakes.BEACH).all()))
    live.wait_for(lambda: len(calls) > 8)
    live.wait_for(lambda: bool((live.sink.pictures[-1] == fakes.PERSON).all(-1).any()))


def test_a_composite_of_long_ago_is_not_shown(live: Any, fakes: Any, monkeypatch: Any) -> None:
    """As when the whole process stood still while a frame was in work."""
    monkeypatch.setattr("realtime_matting.live._OLD", 0.2)
    calls = []

    def slow_once(rgb: Any) -> Any:
        calls.append(rgb)
        time.sleep(0.6 if len(calls) == 5 else 0.05)  # so that the next one does not take its place at once
        return fakes.matte(rgb)

    live.start(fakes.Camera([fakes.person()]), matte=slow_once)
    live.wait_for(lambda: len(calls) > 8)
    live.stop()
    assert live.report.latency_ms["max"] < 500
    assert live.report.stale > 0


def test_a_background_replaced_by_garbage_stays_and_is_told_once(live: Any, fakes: Any, tmp_path: Path) -> None:
    path = tmp_path / "beach.png"
    cv2.imwrite(str(path), np.full((64, 96, 3), 77, np.uint8))
    live.start(fakes.Camera([fakes.person()]), background=str(path))
    live.wait_for(lambda: live.sink.composites() >= 3)
    path.write_bytes(b"garbage")
    live.wait_for(lambda: bool(live.said))
    time.sleep(0.8)
    assert len(live.said) == 1
    assert live.said[0].endswith("the old background stays")
    assert (live.sink.pictures[-1][2, 2] == 77).all()
    cv2.imwrite(str(path), np.full((64, 96, 3), 99, np.uint8))
    live.wait_for(lambda: bool((live.sink.pictures[-1][2, 2] == 99).all()))


def test_blur_never_shows_the_frame_where_there_is_no_matte(live: Any, fakes: Any) -> None:
    """A blurred background is made from the room; without a matte it would be the room with the person in it."""
    live.start(fakes.Camera([None]), background="blur")
    live.wait_for(lambda: len(live.sink.pictures) >= 3)
    assert all(picture.max() < 60 for picture in live.sink.pictures)


def test_no_background_never_shows_the_frame_while_paused(live: Any, fakes: Any) -> None:
    live.start(fakes.Camera([None]), background="none")
    live.run.pause(True)
    live.wait_for(lambda: len(live.sink.pictures) >= 3)
    assert all(picture.max() < 60 for picture in live.sink.pictures)
