"""Auto-framing: what it aims at, and that it gets there smoothly."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime_matting.framing import WHOLE, Crop, Framing, cropped, wished_crop

WIDTH, HEIGHT = 320, 180


def person(middle: float, top: float = 0.4, width: float = 0.15) -> NDArray[np.float32]:
    """Alpha of a person that reaches from ``top`` to the lower edge, in shares of the picture."""
    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    left, right = round((middle - width / 2) * WIDTH), round((middle + width / 2) * WIDTH)
    alpha[round(top * HEIGHT) :, max(0, left) : right] = 1
    return alpha


@given(middle=st.floats(0.1, 0.9), top=st.floats(0.05, 0.7), width=st.floats(0.08, 0.6))
def test_the_crop_lies_in_the_picture_and_holds_the_head(middle: float, top: float, width: float) -> None:
    crop = wished_crop(person(middle, top, width))
    assert 0 < crop.scale <= 1
    assert crop.x >= 0
    assert crop.x + crop.scale <= 1 + 1e-9
    assert crop.y >= 0
    assert crop.y + crop.scale <= 1 + 1e-9
    assert crop.y <= top + 0.03
    assert crop.x - 0.03 <= middle <= crop.x + crop.scale + 0.03


def test_without_a_person_the_whole_picture_is_shown() -> None:
    assert wished_crop(np.zeros((HEIGHT, WIDTH), np.float32)) == WHOLE


def test_a_close_person_is_not_cut() -> None:
    assert wished_crop(person(0.5, 0.05, 0.9)) == WHOLE


def test_a_hand_that_waves_does_not_zoom_out() -> None:
    alpha = person(0.5)
    still = wished_crop(alpha)
    alpha[100:104, : WIDTH // 2] = 1  # an arm, four rows thick
    assert wished_crop(alpha).scale == pytest.approx(still.scale, abs=0.02)


def test_it_goes_there_smoothly_and_then_rests() -> None:
    framing = Framing()
    scales = [framing.follow(person(0.3), frame / 30).scale for frame in range(150)]
    assert max(before - after for before, after in itertools.pairwise(scales)) < 0.06
    assert scales[-1] == pytest.approx(wished_crop(person(0.3)).scale, abs=0.01)
    resting = framing.crop
    for frame in range(150, 180):
        crop = framing.follow(person(0.3 + 0.004 * (frame % 2)), frame / 30)
    assert abs(crop.x - resting.x) < 0.005


def test_the_crop_keeps_the_proportions() -> None:
    rows, columns = Crop(0.2, 0.1, 0.5).pixels(WIDTH, HEIGHT)
    assert rows.stop - rows.start == HEIGHT // 2
    assert columns.stop - columns.start == WIDTH // 2


def test_a_cropped_picture_has_its_old_size_and_the_whole_is_not_copied() -> None:
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[HEIGHT // 4 : 3 * HEIGHT // 4, WIDTH // 4 : 3 * WIDTH // 4] = 255
    assert cropped(rgb, WHOLE) is rgb
    close = cropped(rgb, Crop(0.25, 0.25, 0.5))
    assert close.shape == rgb.shape
    assert close.min() == 255
    alpha = cropped(person(0.5), Crop(0.4, 0.5, 0.2))
    assert alpha.dtype == np.float32
    assert alpha.shape == (HEIGHT, WIDTH)
