"""The presets of a live run: opened when needed, and not before."""

import threading
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from realtime_matting.errors import EngineError
from realtime_matting.frames import Frame
from realtime_matting.live_presets import LivePreset, live_presets, steps
from realtime_matting.presets import Preset, load_presets


def wait_until_open(preset: LivePreset) -> None:
    while preset.busy:
        threading.Event().wait(0.002)


def test_nothing_is_opened_until_it_is_asked_for(fakes: Any) -> None:
    opened: list[Preset] = []

    def opener(preset: Preset) -> Any:
        opened.append(preset)
        return fakes.Matter()

    presets = load_presets()
    live = live_presets(presets, opener)
    assert opened == []
    assert not live["fast"].ready
    live["fast"].prepare(64, 48)
    wait_until_open(live["fast"])
    assert live["fast"].ready
    assert opened == [presets["fast"]]
    for each in live.values():
        each.close()


def test_its_first_frame_of_the_size_is_behind_it_when_it_is_ready_and_its_stream_forgotten(fakes: Any) -> None:
    shapes: list[tuple[int, ...]] = []

    def matte(rgb: Any) -> Any:
        shapes.append(rgb.shape)
        return fakes.matte(rgb)

    matter = fakes.Matter(matte)
    preset = LivePreset(lambda: matter)
    preset.prepare(64, 48)
    preset.prepare(64, 48)
    wait_until_open(preset)
    assert shapes == [(48, 64, 3)]
    assert matter.resets == 1
    preset.draft(fakes.person())
    preset.reset()
    assert matter.resets == 2
    preset.close()
    preset.close()
    assert matter.closed


def test_called_before_it_is_ready_it_waits(fakes: Any) -> None:
    preset = LivePreset(fakes.Matter)
    frame = Frame(fakes.person(), 0, Fraction(1, 30), 0)
    matte = preset.finish(frame, preset.draft(frame.rgb))
    assert np.array_equal(matte.alpha, fakes.matte(frame.rgb).alpha)
    preset.close()


def test_who_must_leave_does_not_wait_for_what_is_being_opened(fakes: Any) -> None:
    release = threading.Event()
    matter = fakes.Matter()

    def opener() -> Any:
        release.wait(10)
        return matter

    preset = LivePreset(opener)
    preset.prepare(64, 48)
    preset.close(wait=False)
    assert not matter.closed
    release.set()
    preset.close()
    assert matter.closed


def test_why_it_cannot_be_opened_is_kept() -> None:
    def broken() -> Any:
        raise EngineError("the device was lost")

    preset = LivePreset(broken)
    assert preset.error is None
    preset.prepare(64, 48)
    wait_until_open(preset)
    assert not preset.ready
    assert str(preset.error) == "the device was lost"
    with pytest.raises(EngineError, match="the device was lost"):
        preset.draft(np.zeros((48, 64, 3), np.uint8))
    preset.close()


def test_presets_that_are_equal_are_one(fakes: Any) -> None:
    presets = {name: preset.overridden(model="my-model") for name, preset in load_presets().items()}
    presets["other"] = Preset(model="other")
    live = live_presets(presets, lambda preset: fakes.Matter())
    assert live["quality"] is live["fast"]
    assert live["quality"] is not live["other"]
    assert steps(presets) == ("balanced", "other")
    for each in live.values():
        each.close()


def test_the_built_in_presets_are_three_steps() -> None:
    assert steps(load_presets()) == ("quality", "balanced", "fast")
