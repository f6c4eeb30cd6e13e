import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.compositing.cover import cover

sizes = st.integers(1, 90)


@given(sizes, sizes, sizes, sizes)
def test_the_result_has_the_size_asked_for(height: int, width: int, to_height: int, to_width: int) -> None:
    picture = np.full((height, width, 3), 90, np.uint8)
    fitted = cover(picture, to_height, to_width)
    assert fitted.shape == (to_height, to_width, 3)
    assert fitted.dtype == np.uint8
    assert (fitted == 90).all()


@pytest.mark.parametrize(("height", "width"), [(40, 160), (160, 40)])
def test_what_is_too_much_is_cut_off_equally_on_both_sides(height: int, width: int) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    long = max(height, width)
    middle = slice(long // 2 - 20, long // 2 + 20)
    picture[(slice(None), middle) if width == long else middle] = 255
    assert (cover(picture, 20, 20) == 255).all()


def test_proportions_are_kept() -> None:
    picture = np.zeros((200, 300, 3), np.uint8)
    y, x = np.indices((200, 300))
    picture[np.hypot(y - 100, x - 150) < 50] = 255
    disc = cover(picture, 90, 160)[..., 0] > 127
    rows, columns = np.flatnonzero(disc.any(axis=1)), np.flatnonzero(disc.any(axis=0))
    assert abs(len(rows) - len(columns)) <= 1
    assert len(rows) == pytest.approx(100 * 160 / 300, abs=1.5)


def test_shrinking_averages_instead_of_picking_pixels() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(cover(stripes, 16, 16).astype(int) - 100).max() <= 1
