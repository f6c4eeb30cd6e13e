"""Trimaps made from an alpha."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from train.data.trimaps import BACKGROUND, FOREGROUND, UNKNOWN, classes, trimap_from_alpha

alphas = arrays(np.float32, (24, 24), elements=st.floats(0, 1, width=32))


@given(alphas, st.floats(0, 6), st.floats(0, 6))
def test_known_pixels_are_truly_known(alpha: np.ndarray, erosion: float, dilation: float) -> None:
    trimap = trimap_from_alpha(alpha, erosion, dilation)
    assert set(np.unique(trimap)) <= {BACKGROUND, UNKNOWN, FOREGROUND}
    assert (alpha[trimap == BACKGROUND] < 0.02).all()
    assert (alpha[trimap == FOREGROUND] > 0.98).all()


@given(alphas, st.integers(0, 4))
def test_a_wider_band_never_makes_a_pixel_known(alpha: np.ndarray, radius: int) -> None:
    narrow, wide = trimap_from_alpha(alpha, radius, radius), trimap_from_alpha(alpha, radius + 1, radius + 1)
    assert (wide[narrow == UNKNOWN] == UNKNOWN).all()


def test_erosion_and_dilation_act_on_their_own_side() -> None:
    alpha = np.zeros((20, 40), np.float32)
    alpha[:, 20:] = 1
    row = trimap_from_alpha(alpha, erosion=3, dilation=5)[10]
    assert row.tolist() == [0] * 15 + [128] * 8 + [255] * 17


def test_class_numbers_are_background_unknown_foreground() -> None:
    assert classes(np.array([[0, 128, 255]], np.uint8)).tolist() == [[0, 1, 2]]
