"""Trimaps in the runtime, and their fusion with an alpha."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from realtime_matting.matting.fusion import fuse
from realtime_matting.matting.trimap import probabilities_from_alpha, resize_probabilities, trimap_picture

unit = st.floats(0, 1, width=32)


def one_hot(classes: np.ndarray) -> np.ndarray:
    return np.stack([classes == c for c in range(3)]).astype(np.float32)


@given(arrays(np.int64, (6, 7), elements=st.integers(0, 2)), arrays(np.float32, (6, 7), elements=unit))
def test_fusion_is_exact_where_the_trimap_is_certain(classes: np.ndarray, alpha: np.ndarray) -> None:
    fused = fuse(one_hot(classes), alpha)
    assert fused.dtype == np.float32
    assert (fused[classes == 0] == 0).all()
    assert (fused[classes == 2] == 1).all()
    assert np.abs(fused - alpha)[classes == 1].max(initial=0) < 0.025


@given(arrays(np.float32, (3, 5, 5), elements=st.floats(0.125, 1, width=32)), arrays(np.float32, (5, 5), elements=unit))
def test_fused_alpha_stays_in_range_and_does_not_change_its_inputs(raw: np.ndarray, alpha: np.ndarray) -> None:
    probabilities = raw / raw.sum(axis=0)
    before = probabilities.copy(), alpha.copy()
    fused = fuse(probabilities, alpha)
    assert 0 <= fused.min() <= fused.max() <= 1
    assert (probabilities == before[0]).all()
    assert (alpha == before[1]).all()


def test_almost_certain_counts_as_certain() -> None:
    probabilities = np.float32([[[0.996]], [[0.003]], [[0.001]]])
    assert fuse(probabilities, np.float32([[1.0]]))[0, 0] == 0
    assert fuse(probabilities[::-1].copy(), np.float32([[0.0]]))[0, 0] == 1
    doubt = np.float32([[[0.98]], [[0.015]], [[0.005]]])
    assert 0 < fuse(doubt, np.float32([[1.0]]))[0, 0] < 0.02, "that is for the filters"


def test_the_picture_of_a_trimap_has_the_three_standard_levels() -> None:
    picture = trimap_picture(one_hot(np.array([[0, 1, 2]])), 6, 2)
    assert picture.tolist() == [[0, 0, 128, 128, 255, 255]] * 2


@given(arrays(np.float32, (3, 4, 6), elements=unit), st.integers(1, 20), st.integers(1, 20))
def test_resized_probabilities_stay_probabilities(raw: np.ndarray, width: int, height: int) -> None:
    probabilities = (raw + 0.01) / (raw + 0.01).sum(axis=0)
    resized = resize_probabilities(probabilities, width, height)
    assert resized.shape == (3, height, width)
    assert resized.flags.c_contiguous
    assert np.allclose(resized.sum(axis=0), 1, atol=1e-5)


def test_an_alpha_becomes_a_trimap_with_a_band_around_its_edge() -> None:
    alpha = np.zeros((40, 40), np.float32)
    alpha[:, 20:] = 1
    probabilities = probabilities_from_alpha(alpha, 3)
    assert probabilities.argmax(axis=0)[20].tolist() == [0] * 17 + [1] * 6 + [2] * 17
    assert (probabilities.sum(axis=0) == 1).all()
