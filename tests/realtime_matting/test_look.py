"""The composite with and without a look."""

from fractions import Fraction

import numpy as np
import pytest

from realtime_matting.compositing.backgrounds import open_background
from realtime_matting.compositing.blend import Layer, composite
from realtime_matting.frames import Frame
from realtime_matting.live_presets import LivePreset
from realtime_matting.look import Look, composite_picture
from realtime_matting.presets import Preset
from realtime_matting.presets.opening import look_of

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (96, 128, 3), dtype=np.uint8)
ALPHA = np.clip(RNG.random((96, 128), np.float32) * 3 - 1, 0, 1)
BEHIND = RNG.integers(0, 256, (96, 128, 3), dtype=np.uint8)


MATTE = Layer(RGB[:, ::-1].copy(), ALPHA)


def test_without_strengths_it_is_the_plain_composite_exactly() -> None:
    picture = Look().over(0.0, RGB, MATTE, BEHIND)
    assert np.array_equal(picture, composite(MATTE.foreground, ALPHA, BEHIND))


@pytest.mark.parametrize(("light_wrap", "match_colours"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_the_background_the_frame_and_the_matte_stay_as_they_are(light_wrap: float, match_colours: float) -> None:
    rgb, foreground, alpha, behind = RGB.copy(), MATTE.foreground.copy(), ALPHA.copy(), BEHIND.copy()
    look = Look(light_wrap, match_colours)
    first = look.over(0.0, rgb, Layer(foreground, alpha), behind)
    kept = first.copy()
    look.over(0.1, rgb, Layer(foreground, 1 - alpha), behind)
    assert np.array_equal(first, kept), "a composite that was handed out has changed"
    for now, before in ((rgb, RGB), (foreground, MATTE.foreground), (alpha, ALPHA), (behind, BEHIND)):
        assert np.array_equal(now, before)
    assert np.array_equal(first[ALPHA == 0], BEHIND[ALPHA == 0])
    assert not np.array_equal(first, composite(foreground, alpha, behind))


def test_before_its_own_room_the_frame_stays_the_frame() -> None:
    assert Look(1.0, 1.0).over(0.0, RGB, MATTE, RGB) is RGB


def test_a_new_background_or_size_is_followed() -> None:
    look = Look(light_wrap=1.0)
    other = 255 - BEHIND
    look.over(0.0, RGB, MATTE, BEHIND)
    again = look.over(0.1, RGB, MATTE, other)
    assert np.array_equal(again, Look(light_wrap=1.0).over(0.0, RGB, MATTE, other))
    small = look.over(0.2, RGB[:48], Layer(RGB[:48], ALPHA[:48]), BEHIND[:48])
    assert small.shape == (48, 128, 3)


def test_a_frame_is_put_on_the_background_of_its_time() -> None:
    picture = composite_picture(open_background("#102030"), Look())
    made = picture(Frame(RGB, 0, Fraction(1, 30), 0), MATTE)
    assert (made[ALPHA == 0] == (0x10, 0x20, 0x30)).all()


def test_a_preset_brings_its_look() -> None:
    look = look_of(Preset(light_wrap=0.5, match_colours=0.25))
    assert np.array_equal(
        look.over(0.0, RGB, MATTE, BEHIND),
        Look(0.5, 0.25).over(0.0, RGB, MATTE, BEHIND),
    )
    assert LivePreset(lambda: None, look).look is look  # type: ignore[arg-type, return-value]
