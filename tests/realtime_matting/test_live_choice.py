"""Presets that a live run has left: kept open for a while, then freed, and opened again when they are needed."""

import threading
from typing import Any

import pytest

from realtime_matting.live_choice import REST_AFTER, PresetChoice
from realtime_matting.live_presets import LivePreset

PERIOD = 1 / 30


class Run:
    """A choice among presets whose matters are noted, and frames that are judged by it."""

    def __init__(self, fakes: Any, preset: str, names: tuple[str, ...] = ("quality", "balanced", "fast")) -> None:
        self.opened: dict[str, list[Any]] = {name: [] for name in names}

        def opener(name: str) -> Any:
            self.opened[name].append(fakes.Matter())
            return self.opened[name][-1]

        self.presets = {name: LivePreset(lambda name=name: opener(name)) for name in names}  # type: ignore[misc]
        self.said: list[str] = []
        self.choice = PresetChoice(
            self.presets,
            size=(64, 48),
            period=PERIOD,
            preset=preset,
            steps=names,
            start="balanced",
            say=self.said.append,
        )
        self.now = 0.0

    def settle(self) -> str:
        """Wait for what is being opened or closed; the preset for the next frame."""
        for preset in self.presets.values():
            preset._thread.submit(lambda: None).result()
        current = self.choice.current()
        assert current is not None
        return current[0]

    def frames(self, seconds: float, *, each: float = 0.01) -> None:
        """Judge so many seconds of frames that take ``each`` second in both stages."""
        end = self.now + seconds
        while self.now < end:
            self.now += PERIOD
            self.choice.judge(self.settle(), self.now, (each, each))

    def open_now(self) -> set[str]:
        self.settle()
        return {name for name, made in self.opened.items() if made and not made[-1].closed}

    def close(self) -> None:
        for preset in self.presets.values():
            preset.close()


@pytest.fixture
def run(fakes: Any) -> Any:
    made: list[Run] = []

    def make(preset: str) -> Run:
        made.append(Run(fakes, preset))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_preset_that_was_left_is_freed_after_a_while_and_not_before(run: Any) -> None:
    live = run("balanced")
    live.frames(1)
    live.choice.choose("fast")
    live.frames(REST_AFTER - 1)
    assert live.open_now() == {"balanced", "fast"}
    live.frames(2)
    assert live.open_now() == {"fast"}


def test_one_that_is_taken_again_before_that_is_not_freed(run: Any) -> None:
    live = run("balanced")
    live.frames(1)
    live.choice.choose("fast")
    live.frames(REST_AFTER / 2)
    live.choice.choose("balanced")
    live.frames(REST_AFTER + 2)
    assert live.open_now() == {"balanced"}
    assert len(live.opened["balanced"]) == 1


def test_one_that_was_freed_is_opened_anew_while_the_one_in_use_goes_on(run: Any, fakes: Any) -> None:
    live = run("balanced")
    live.frames(1)
    live.choice.choose("fast")
    live.frames(REST_AFTER + 2)
    assert live.open_now() == {"fast"}
    held = threading.Event()
    live.presets["balanced"]._thread.submit(held.wait, 10)  # opening takes a while
    live.choice.choose("balanced")
    current = live.choice.current()
    assert current is not None
    assert current[0] == "fast"
    held.set()
    assert live.settle() == "balanced"
    assert len(live.opened["balanced"]) == 2
    assert live.presets["balanced"].draft(fakes.person()) is not None


def test_a_run_that_steps_down_and_up_again_frees_and_opens_the_dearer_preset(run: Any) -> None:
    live = run("auto")
    live.frames(8, each=2 * PERIOD)
    assert live.choice.chosen == "fast"
    assert live.open_now() == {"balanced", "fast"}
    live.frames(REST_AFTER + 2, each=0.9 * PERIOD)
    assert live.open_now() == {"fast"}
    live.frames(60, each=0.1 * PERIOD)
    assert live.choice.chosen != "fast"
    assert len(live.opened["balanced"]) == 2
    assert live.choice.chosen in live.open_now()


def test_two_names_of_one_preset_keep_it_open(fakes: Any) -> None:
    live = Run(fakes, "balanced")
    live.presets["mine"] = live.presets["balanced"]
    live.choice._presets["mine"] = live.presets["balanced"]
    live.frames(1)
    live.choice.choose("mine")
    live.frames(REST_AFTER + 2)
    assert live.open_now() == {"balanced"}
    live.close()
