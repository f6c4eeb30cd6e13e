"""Two stages at once: each picture goes out with its own matte, nothing made is thrown away, and either may fail."""

import threading
import time
from typing import Any

import numpy as np

from realtime_matting.backdrop import Backdrop
from realtime_matting.errors import EngineError
from realtime_matting.live import LiveRun
from realtime_matting.live_matting import LiveOptions
from realtime_matting.live_presets import LivePreset
from realtime_matting.look import Look


class Overlap:
    """Notes which stages work at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at_work = 0
        self.most = 0

    def work(self, seconds: float) -> None:
        with self._lock:
            self._at_work += 1
            self.most = max(self.most, self._at_work)
        time.sleep(seconds)
        with self._lock:
            self._at_work -= 1


def numbered(fakes: Any, count: int = 150) -> list[Any]:
    """Pictures in which the person walks, each with its number in the colour of a pixel of the person."""
    pictures = [fakes.person(shift=number % 40 - 20) for number in range(count)]
    for number, picture in enumerate(pictures):
        picture[32, 48 + number % 40 - 20] = (number, 230, 30)
    return pictures


def number_of(rgb: Any) -> int:
    return next(int(rgb[32, x, 0]) for x in range(28, 68) if rgb[32, x, 0] != 20 and rgb[32, x, 1] == 230)


def test_a_picture_goes_out_with_its_own_matte_while_the_stages_overlap(live: Any, fakes: Any) -> None:
    overlap = Overlap()

    def draft(rgb: Any) -> Any:
        overlap.work(0.02)
        return fakes.matte(rgb)

    def finished(rgb: Any, matte: Any) -> Any:
        overlap.work(0.015)
        assert np.array_equal(fakes.matte(rgb).alpha, matte.alpha), "the draft of another frame"
        return matte

    live.start(fakes.Camera(numbered(fakes)), matte=draft, finished=finished)
    live.wait_for(lambda: live.sink.composites() >= 30)
    live.stop()
    assert overlap.most == 2
    assert live.report.failed == 0
    for picture in live.sink.pictures:
        # Any other matte leaves the room beside the person, or cuts the person off.
        kinds = (picture[..., 1] == 230) | (picture == fakes.BEACH).all(-1)
        assert kinds.all()
        whole = (fakes.person()[..., 1] == 230).sum()
        assert (picture[..., 1] == 230).sum() in (0, whole)


def test_no_draft_is_thrown_away_and_each_is_of_the_newest_frame_when_it_may_begin(live: Any, fakes: Any) -> None:
    drafted: list[int] = []
    finished: list[int] = []

    def draft(rgb: Any) -> Any:
        number = number_of(rgb)
        assert camera.given - number <= 2, "an old frame was drafted"
        drafted.append(number)
        return fakes.matte(rgb)

    def slowly(rgb: Any, matte: Any) -> Any:
        finished.append(number_of(rgb))
        time.sleep(0.06)
        return matte

    camera = fakes.Camera(numbered(fakes))
    live.start(camera, matte=draft, finished=slowly)
    live.wait_for(lambda: len(finished) >= 10)
    live.stop()
    assert finished == drafted[: len(finished)]
    assert len(drafted) - len(finished) <= 2
    # One in work in the second stage, one that waits, one that a newer one replaced before any work was done on it.
    assert live.report.latency_ms["p50"] < 250


def test_a_change_of_preset_under_way_finishes_each_draft_by_the_preset_that_made_it(live: Any, fakes: Any) -> None:
    wrong: list[str] = []
    used: list[str] = []
    looks: dict[str, Any] = {}

    class NamedLook(Look):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name
            self.resets = 0

        def reset(self) -> None:
            self.resets += 1

        def over(self, *arguments: Any) -> Any:
            if used[-1] != self.name:
                wrong.append(f"{used[-1]} with the look of {self.name}")
            return super().over(*arguments)

    def preset(name: str) -> LivePreset:
        def draft(rgb: Any) -> Any:
            time.sleep(0.01)
            matte = fakes.matte(rgb)
            object.__setattr__(matte, "by", name)
            return matte

        def finished(rgb: Any, matte: Any) -> Any:
            time.sleep(0.01)
            if matte.by != name:
                wrong.append(f"{matte.by} finished by {name}")
            if (rgb != rgb[0, 0]).any():  # not the first run, in another thread
                used.append(name)
            return matte

        looks[name] = NamedLook(name)
        return LivePreset(lambda: fakes.Matter(draft, finished), looks[name])

    presets = {"one": preset("one"), "two": preset("two")}
    backdrop = Backdrop(["#0000A0"], live.said.append)
    options = LiveOptions(fakes.size, 100.0, preset="one", seconds=2.5)
    run = LiveRun(fakes.Camera([fakes.person()]), live.reopen, presets, backdrop, [live.sink], options)
    thread = threading.Thread(target=run.run)
    thread.start()
    live.wait_for(lambda: bool(used))
    for name in ["two", "one"] * 4:
        count = len(used)
        run.matting.choose_preset(name)
        live.wait_for(lambda name=name, count=count: name in used[count:])
    thread.join(5)
    for each in presets.values():
        each.close()
    backdrop.close()
    assert not wrong
    assert (looks["one"].resets, looks["two"].resets) == (5, 4)
    live.assert_never_raw()


def test_a_failure_in_either_stage_is_told_once_and_begins_a_new_stream(live: Any, fakes: Any) -> None:
    calls = {"draft": 0, "finish": 0}

    def draft(rgb: Any) -> Any:
        calls["draft"] += 1
        if calls["draft"] in (10, 11):
            raise EngineError("the device was lost")
        return fakes.matte(rgb)

    def finished(rgb: Any, matte: Any) -> Any:
        calls["finish"] += 1
        if calls["finish"] in (30, 31, 32):
            raise EngineError("the memory is full")
        return matte

    live.start(fakes.Camera([fakes.person()]), matte=draft, finished=finished)
    live.wait_for(lambda: calls["finish"] >= 45)
    live.stop()
    assert live.report.failed == 5
    assert [text.partition(";")[0] for text in live.said] == [
        "a frame could not be matted (the device was lost)",
        "a frame could not be matted (the memory is full)",
    ]


def test_a_second_stage_that_only_fails_ends_the_run_though_the_first_one_works(
    live: Any, fakes: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("realtime_matting.live_failures._GIVE_UP", 0.5)

    def failing(rgb: Any, matte: Any) -> Any:
        raise EngineError("the memory is full")

    live.start(fakes.Camera([fakes.person()]), finished=failing)
    live.wait_for(lambda: live.error is not None)
    assert str(live.error) == "the memory is full"
    assert live.sink.composites() == 0


def test_it_ends_within_a_second_while_the_second_stage_works_or_hangs(live: Any, fakes: Any) -> None:
    release, hangs = threading.Event(), threading.Event()

    def hanging(rgb: Any, matte: Any) -> Any:
        hangs.set()
        release.wait(10)
        return matte

    live.start(fakes.Camera([fakes.person()]), finished=hanging)
    live.wait_for(hangs.is_set)
    began = time.monotonic()
    live.run.stop()
    live.wait_for(lambda: hasattr(live, "report"))
    assert time.monotonic() - began < 1
    assert live.sink.composites() == 0
    release.set()


def test_a_second_stage_that_hangs_is_called_stalled_and_gives_way_to_the_background(live: Any, fakes: Any) -> None:
    calls = []

    def hanging(rgb: Any, matte: Any) -> Any:
        calls.append(rgb)
        if len(calls) == 6:
            time.sleep(3)
        return matte

    live.start(fakes.Camera([fakes.person()]), finished=hanging)
    live.wait_for(lambda: live.run.status()["state"] == "stalled")
    live.wait_for(lambda: bool((live.sink.pictures[-1] == fakes.BEACH).all()))
    live.wait_for(lambda: bool((live.sink.pictures[-1] == fakes.PERSON).all(-1).any()))


def test_what_was_drafted_before_a_pause_is_not_composited_during_it(live: Any, fakes: Any) -> None:
    release = threading.Event()
    drafting = threading.Event()
    finished: list[float] = []

    def draft(rgb: Any) -> Any:
        if len(finished) >= 5 and not release.is_set():
            drafting.set()
            release.wait(10)
        return fakes.matte(rgb)

    def noted(rgb: Any, matte: Any) -> Any:
        finished.append(time.monotonic())
        return matte

    live.start(fakes.Camera([fakes.person()]), matte=draft, finished=noted)
    live.wait_for(drafting.is_set)
    live.run.pause(True)
    time.sleep(0.05)
    before = len(finished)
    release.set()
    live.wait_for(lambda: live.run.status()["rested"] >= 3)
    assert len(finished) == before
    live.run.pause(False)
    live.wait_for(lambda: len(finished) > before)
