"""Which preset fits, and how that is measured."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.compositing.backgrounds import open_background
from realtime_matting.defaults import PRESETS
from realtime_matting.errors import InputError
from realtime_matting.look import Look
from realtime_matting.presets import Preset, auto
from realtime_matting.presets.memory import answers_path
from realtime_matting.presets.opening import open_matter
from realtime_matting.presets.speed import best_fitting, endless_frames, fits, time_frames

CLIP = Path(auto.__file__).parents[1] / "sample" / "gesture.mp4"


@given(st.dictionaries(st.sampled_from(PRESETS), st.floats(1, 100)))
def test_the_best_that_fits_is_taken(milliseconds: dict[str, float]) -> None:
    best = best_fitting(milliseconds)
    if best is None:
        assert not any(fits(spent) for spent in milliseconds.values())
        return
    assert fits(milliseconds[best])
    dearer = PRESETS[: PRESETS.index(best)]
    assert not any(fits(milliseconds[name]) for name in dearer if name in milliseconds)


def test_a_frame_that_takes_all_of_its_period_does_not_fit() -> None:
    assert fits(20.0)
    assert not fits(33.0)


def test_a_clip_goes_on_for_ever_at_the_size_asked_for() -> None:
    frames = endless_frames(str(CLIP), (64, 48))
    shapes = {next(frames).shape for _ in range(130)}  # it has 124
    assert shapes == {(48, 64, 3)}


def test_every_frame_but_the_first_has_its_times_and_they_add_up_to_the_run(green_bundle: Path) -> None:
    frames = endless_frames(str(CLIP), (96, 64))
    with open_matter(Preset(model=str(green_bundle)), live=True) as matter:
        began = time.perf_counter()
        times = time_frames(matter, Look(), open_background("#102030"), [next(frames) for _ in range(6)])
        whole = 1e3 * (time.perf_counter() - began)
    assert len(times.frames) == len(times.networks) == 5
    assert min(times.frames) > 0
    assert min(times.networks) > 0
    assert sum(times.frames) < whole


def test_what_stops_a_stage_is_raised_and_leaves_no_thread(green_bundle: Path) -> None:
    def frames() -> Iterator[Any]:
        yield np.zeros((64, 96, 3), np.uint8)
        raise InputError("the clip is cut off")

    before = threading.active_count()
    background = open_background("#102030")
    with open_matter(Preset(model=str(green_bundle)), live=True) as matter:
        with pytest.raises(InputError, match="cut off"):
            time_frames(matter, Look(), background, frames())
        with pytest.raises(InputError, match="uint8"):
            time_frames(matter, Look(), background, [np.zeros((64, 96), np.uint8)] * 9)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("spent", "taken", "measured"),
    [
        ({"balanced": 50.0}, "fast", ["balanced"]),
        ({"balanced": 25.0}, "balanced", ["balanced"]),
        ({"balanced": 10.0, "quality": 20.0}, "quality", ["balanced", "quality"]),
        ({"balanced": 15.0, "quality": 40.0}, "balanced", ["balanced", "quality"]),
    ],
)
def test_auto_goes_up_where_there_is_room_and_down_where_there_is_not_and_remembers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    green_bundle: Path,
    spent: dict[str, float],
    taken: str,
    measured: list[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    opened: list[str] = []
    presets = auto.load_presets()
    names = {preset: name for name, preset in presets.items()}

    def opener(preset: Preset, **others: Any) -> Any:
        if names[preset] not in opened:
            opened.append(names[preset])
        return open_matter(preset.overridden(model=str(green_bundle)), **others)

    def timed(matter: Any, look: Any, background: Any, frames: Any) -> Any:
        times = time_frames(matter, look, background, frames)
        times.frames = [spent[opened[-1]] for _ in times.frames]
        return times

    monkeypatch.setattr(auto, "open_matter", opener)
    monkeypatch.setattr(auto, "time_frames", timed)
    monkeypatch.setattr(auto, "_BUDGET", 60.0)
    monkeypatch.setattr(auto, "is_busy", lambda: False)
    said: list[str] = []
    assert auto.auto_preset(engine="openvino", threads=1, say=said.append) == taken
    assert opened == measured
    assert len(said) == 1
    assert said[0].startswith(f"preset {taken}: measured for ")
    assert answers_path().exists()
    assert auto.auto_preset(engine="openvino", threads=1, say=said.append) == taken
    assert opened == measured
    assert len(said) == 1


def test_what_is_measured_beside_busy_programs_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, green_bundle: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(auto, "is_busy", lambda: True)
    presets = {name: preset.overridden(model=str(green_bundle)) for name, preset in auto.load_presets().items()}
    monkeypatch.setattr(auto, "load_presets", lambda: presets)
    said: list[str] = []
    assert auto.auto_preset(engine="openvino", threads=1, say=said.append) in PRESETS
    assert said[0].endswith("not remembered, for other programs are busy")
    assert not answers_path().exists()
