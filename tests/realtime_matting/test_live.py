"""The live pipeline: only the newest frame, bounded latency, pause, rest, presets; with stand-ins for the hardware."""

import threading
import time
from typing import Any

import numpy as np
import pytest

from realtime_matting.backdrop import Backdrop
from realtime_matting.errors import EngineError, InputError, OutputError
from realtime_matting.live import LiveRun
from realtime_matting.live_matting import LiveOptions
from realtime_matting.live_presets import LivePreset


def test_the_person_is_put_on_the_background_and_every_frame_is_accounted_for(live: Any, fakes: Any) -> None:
    camera = fakes.Camera([fakes.person()])
    live.start(camera)
    live.wait_for(lambda: live.sink.composites() >= 20)
    live.stop()
    report = live.report
    assert report.captured == camera.given
    assert report.shown == live.sink.composites()
    assert 0 <= report.captured - report.shown - report.dropped <= 5  # in the slots or in work when it ended
    picture = live.sink.pictures[-1]
    assert (picture[32, 48] == fakes.PERSON).all()
    assert (picture[2, 2] == fakes.BEACH).all()
    assert camera.closed


def test_the_first_picture_is_the_background_before_any_matte(live: Any, fakes: Any) -> None:
    live.start(fakes.Camera([None]))
    live.wait_for(lambda: len(live.sink.pictures) >= 3)
    assert all((picture == fakes.BEACH).all() for picture in live.sink.pictures)


def test_a_slow_matter_drops_frames_and_its_latency_stays_that_of_one_frame(live: Any, fakes: Any) -> None:
    def slow(rgb: Any) -> Any:
        time.sleep(0.1)
        return fakes.matte(rgb)

    live.start(fakes.Camera([fakes.person()]), matte=slow)
    live.wait_for(lambda: live.sink.composites() >= 10)
    live.stop()
    report = live.report
    assert report.dropped > report.shown
    # A queue of frames would add a tenth of a second for each that waits.
    assert report.latency_ms["p50"] < 190


def test_a_shown_composite_is_made_from_the_newest_frame(live: Any, fakes: Any) -> None:
    began: list[int] = []

    def slow(rgb: Any) -> Any:
        began.append(camera.given)
        number = int(rgb[0, 0, 2])
        assert camera.given - number <= 2, "an old frame was matted"
        time.sleep(0.05)
        return fakes.matte(rgb)

    pictures = [fakes.person() for _ in range(200)]
    for number, picture in enumerate(pictures):
        picture[0, 0, 2] = number
    camera = fakes.Camera(pictures)
    live.start(camera, matte=slow)
    live.wait_for(lambda: len(began) >= 8)
    assert not live.said


def test_a_pause_shows_the_background_at_once_and_ends_when_asked(live: Any, fakes: Any) -> None:
    live.start(fakes.Camera([fakes.person()]))
    live.wait_for(lambda: live.sink.composites() >= 5)
    live.run.pause(True)
    live.wait_for(lambda: bool((live.sink.pictures[-1] == fakes.BEACH).all()))
    first = len(live.sink.pictures)
    time.sleep(0.4)
    assert all((picture == fakes.BEACH).all() for picture in live.sink.pictures[first:])
    assert live.run.status()["state"] == "paused"
    shown = live.sink.composites()
    live.run.pause(False)
    live.wait_for(lambda: live.sink.composites() > shown)
    assert live.run.status()["rested"] > 0


def test_what_was_under_way_when_a_pause_began_is_not_shown_after_it(live: Any, fakes: Any) -> None:
    def slow(rgb: Any) -> Any:
        time.sleep(0.05)
        return fakes.matte(rgb)

    live.start(fakes.Camera([fakes.person()]), matte=slow)
    live.wait_for(lambda: live.sink.composites() >= 3)
    live.run.pause(True)
    time.sleep(0.8)
    before = live.run.status()["shown"]
    live.run.pause(False)
    live.wait_for(lambda: live.run.status()["shown"] > before)
    live.stop()
    assert live.report.latency_ms["max"] < 700


def test_a_still_is_the_last_composite(live: Any, fakes: Any) -> None:
    live.start(fakes.Camera([fakes.person()]), pause="still")
    live.wait_for(lambda: live.sink.composites() >= 5)
    live.run.pause(True)
    time.sleep(0.2)
    still = live.run.picture()
    time.sleep(0.3)
    assert np.array_equal(live.sink.pictures[-1], still)


def test_without_a_viewer_the_matting_rests_and_starts_again_in_time(live: Any, fakes: Any) -> None:
    mattes: list[float] = []

    def counted(rgb: Any) -> Any:
        mattes.append(time.monotonic())
        return fakes.matte(rgb)

    live.start(fakes.Camera([fakes.person()]), matte=counted)
    live.wait_for(lambda: len(mattes) > 5)
    live.sink.is_watched = False
    live.wait_for(lambda: live.run.status()["state"] == "resting")
    time.sleep(0.1)
    resting = len(mattes)
    time.sleep(0.4)
    assert len(mattes) == resting
    asked = time.monotonic()
    live.sink.is_watched = True
    live.wait_for(lambda: len(mattes) > resting)
    assert mattes[resting] - asked < 0.3


def test_rest_can_be_switched_off(live: Any, fakes: Any) -> None:
    live.sink.is_watched = False
    live.start(fakes.Camera([fakes.person()]), rest=False)
    live.wait_for(lambda: live.sink.composites() >= 10)


def test_the_mirror_turns_the_person_and_not_the_background(live: Any, fakes: Any, tmp_path: Any) -> None:
    import cv2

    beach = np.zeros((64, 96, 3), np.uint8)
    beach[:, :48] = 90
    path = tmp_path / "beach.png"
    cv2.imwrite(str(path), beach)
    live.start(fakes.Camera([fakes.person(shift=-30)]), background=str(path), mirror=True)
    live.wait_for(lambda: live.sink.composites() >= 3)
    picture = live.sink.pictures[-1]
    assert (picture[32, 78] == fakes.PERSON).all()
    assert (picture[2, 2] == 90).all()
    assert (picture[2, 90] == 0).all()


def test_auto_framing_enlarges_a_small_person(live: Any, fakes: Any) -> None:
    live.start(fakes.Camera([fakes.person()]), framing=True)
    live.wait_for(lambda: live.sink.composites() >= 5)
    first = next(picture for picture in live.sink.pictures if (picture == fakes.PERSON).all(-1).any())
    time.sleep(1.5)
    before, after = ((picture == fakes.PERSON).all(-1).sum() for picture in (first, live.sink.pictures[-1]))
    assert after > 1.3 * before


def test_a_slow_machine_steps_the_preset_down_and_says_so(live: Any, fakes: Any) -> None:
    said: list[str] = []
    sleep = {"quality": 0.06, "balanced": 0.05, "fast": 0.001}
    opened: list[str] = []

    def preset(name: str) -> LivePreset:
        def matte(rgb: Any) -> Any:
            time.sleep(sleep[name])
            return fakes.matte(rgb)

        def opener() -> Any:
            opened.append(name)
            return fakes.Matter(matte)

        return LivePreset(opener)

    camera = fakes.Camera([fakes.person()], fps=30)
    backdrop = Backdrop(["#0000A0"], said.append)
    options = LiveOptions(size=fakes.size, fps=30.0, seconds=4)
    presets = {name: preset(name) for name in sleep}
    run = LiveRun(camera, live.reopen, presets, backdrop, [live.sink], options, say=said.append)
    report = run.run()
    assert run.status()["preset"] == "fast"
    assert report.changes[0].startswith("preset balanced → fast: a frame takes ")
    assert said[0] == report.changes[0]
    assert opened == ["balanced", "fast"]  # what is not needed is never opened
    for each in presets.values():
        each.close()


def test_a_preset_is_changed_when_its_networks_are_open_and_not_before(live: Any, fakes: Any) -> None:
    release = threading.Event()
    slow = fakes.Matter()

    def opener() -> Any:
        release.wait(10)
        return slow

    camera = fakes.Camera([fakes.person()])
    backdrop = Backdrop(["#0000A0"], live.said.append)
    first = LivePreset(fakes.Matter)
    presets = {"slow": LivePreset(opener), "first": first}
    run = LiveRun(
        camera, live.reopen, presets, backdrop, [live.sink], LiveOptions(fakes.size, 100.0, preset="first", seconds=1.5)
    )
    thread = threading.Thread(target=run.run)
    thread.start()
    live.wait_for(lambda: live.sink.composites() > 3)
    run.matting.choose_preset("slow")
    shown = live.sink.composites()
    live.wait_for(lambda: live.sink.composites() > shown + 10)  # it goes on meanwhile
    assert slow.resets == 0
    release.set()
    live.wait_for(lambda: slow.resets >= 2)  # after its first run, and when it is taken
    thread.join(5)
    for each in presets.values():
        each.close()
    assert slow.closed
    backdrop.close()


def test_a_preset_that_cannot_be_opened_is_told_once_and_the_other_goes_on(live: Any, fakes: Any) -> None:
    def broken() -> Any:
        raise EngineError("shm-broken: no such model")

    backdrop = Backdrop(["#0000A0"], live.said.append)
    presets = {"broken": LivePreset(broken), "first": LivePreset(fakes.Matter)}
    options = LiveOptions(fakes.size, 100.0, preset="first", seconds=1.0)
    camera = fakes.Camera([fakes.person()])
    run = LiveRun(camera, live.reopen, presets, backdrop, [live.sink], options, say=live.said.append)
    thread = threading.Thread(target=run.run)
    thread.start()
    run.matting.choose_preset("broken")
    live.wait_for(lambda: bool(live.said))
    live.wait_for(lambda: run.matting.preset == "first")
    with pytest.raises(EngineError, match="no such model"):
        run.matting.choose_preset("broken")
    thread.join(5)
    assert live.said == ["preset broken cannot be used (shm-broken: no such model); first stays"]
    assert live.sink.composites() > 5
    for each in presets.values():
        each.close()


def test_the_first_preset_that_cannot_be_opened_ends_the_run_with_its_error(live: Any, fakes: Any) -> None:
    def broken() -> Any:
        raise EngineError("shm-broken: no such model")

    backdrop = Backdrop(["#0000A0"], live.said.append)
    preset = LivePreset(broken)
    options = LiveOptions(fakes.size, 100.0, preset="only", seconds=5.0)
    camera = fakes.Camera([fakes.person()])
    run = LiveRun(camera, live.reopen, {"only": preset}, backdrop, [live.sink], options)
    with pytest.raises(EngineError, match="no such model"):
        run.run()
    preset.close()


def test_an_unknown_preset_is_refused(live: Any, fakes: Any) -> None:
    live.start(fakes.Camera([fakes.person()]))
    with pytest.raises(InputError, match="no such preset; choose auto, only"):
        live.run.matting.choose_preset("best")


def test_the_time_given_ends_the_run(live: Any, fakes: Any) -> None:
    live.start(fakes.Camera([fakes.person()]), seconds=0.3)
    live.wait_for(lambda: hasattr(live, "report"))
    assert 0.3 <= live.report.seconds < 1.2


def test_an_output_that_fails_ends_the_run_with_its_error_and_frees_the_camera(live: Any, fakes: Any) -> None:
    class Broken(type(live.sink)):  # type: ignore[misc]
        def send(self, rgb: Any, time: float) -> None:
            super().send(rgb, time)
            if len(self.pictures) == 10:
                raise OutputError("kept: is gone")

    live.sink = Broken()
    camera = fakes.Camera([fakes.person()])
    live.start(camera)
    live.wait_for(lambda: live.error is not None)
    assert isinstance(live.error, OutputError)
    live.wait_for(lambda: camera.closed)


def test_the_debug_view_goes_to_private_outputs_only(live: Any, fakes: Any) -> None:
    window = type(live.sink)()
    window.private = True
    live.start(fakes.Camera([fakes.person(384, 256)]), sinks=[live.sink, window], size=(384, 256))
    live.run.matting.debug = True
    live.wait_for(lambda: live.sink.composites() >= 5)
    live.stop()
    assert not np.array_equal(window.pictures[-1], live.sink.pictures[-1])
    live.assert_never_raw()


def test_the_status_is_made_of_what_json_can_carry(live: Any, fakes: Any) -> None:
    import json

    live.start(fakes.Camera([fakes.person()]))
    live.wait_for(lambda: live.sink.composites() >= 3)
    status = json.loads(json.dumps(live.run.status()))
    assert status["state"] == "running"
    assert status["background"] == "#0000A0"
    assert status["shown"] >= 3
    assert set(status["latency_ms"]) == {"p50", "p95", "p99", "max"}


def test_it_ends_within_a_second_even_when_the_matter_hangs(live: Any, fakes: Any) -> None:
    release = threading.Event()

    def hanging(rgb: Any) -> Any:
        release.wait(10)
        return fakes.matte(rgb)

    live.start(fakes.Camera([fakes.person()]), matte=hanging)
    live.wait_for(lambda: len(live.sink.pictures) >= 3)
    began = time.monotonic()
    live.stop()
    assert time.monotonic() - began < 1
    release.set()
    time.sleep(0.1)
