import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from realtime_matting.matting.stability import between, follow, lean

SHAPE = (6, 7)
ALPHAS = arrays(np.float32, SHAPE, elements=st.floats(0, 1, width=32))
DIFFERENCES = arrays(np.uint8, SHAPE)
EXPLAINED, CHANGED = np.zeros(SHAPE, np.uint8), np.full(SHAPE, 255, np.uint8)


def plane(value: float) -> np.ndarray:
    return np.full(SHAPE, value, np.float32)


@given(ALPHAS, ALPHAS, DIFFERENCES)
def test_the_result_lies_between_old_and_new(new: np.ndarray, carried: np.ndarray, unexplained: np.ndarray) -> None:
    result = follow(new, carried, unexplained)
    assert result.dtype == np.float32
    assert (result >= np.minimum(new, carried) - 0.021).all()
    assert (result <= np.maximum(new, carried) + 0.021).all()


@given(ALPHAS, ALPHAS)
def test_where_the_picture_has_changed_the_new_alpha_counts_alone(new: np.ndarray, carried: np.ndarray) -> None:
    np.testing.assert_allclose(follow(new, carried, CHANGED), new, atol=0.021)
    np.testing.assert_allclose(between(carried, new, carried, CHANGED), new, atol=0.021)


def test_a_little_flicker_becomes_less() -> None:
    state, values = plane(0.5), []
    for number in range(40):
        state = follow(plane(0.5 + 0.1 * (-1) ** number), state, EXPLAINED)
        values.append(float(state[0, 0]))
    assert np.ptp(values[20:]) < 0.15


def test_an_error_of_the_past_is_gone_after_three_frames() -> None:
    state = plane(1)
    for _ in range(3):
        state = follow(plane(0), state, EXPLAINED)
    assert (state == 0).all()


def test_one_frame_that_flickers_takes_its_neighbours_value() -> None:
    np.testing.assert_allclose(between(plane(0.9), plane(0.2), plane(0.9), EXPLAINED), plane(0.9), atol=1e-6)


def test_close_neighbours_are_averaged() -> None:
    result = between(plane(0.52), plane(0.5), plane(0.54), EXPLAINED)
    np.testing.assert_allclose(result, plane(0.52), atol=1e-6)


def test_a_step_in_time_stays_where_it_is() -> None:
    for now in (0.0, 1.0):
        np.testing.assert_array_equal(between(plane(0), plane(now), plane(1), EXPLAINED), plane(now))


@given(ALPHAS, ALPHAS, ALPHAS, DIFFERENCES)
def test_between_stays_in_the_range(a: np.ndarray, b: np.ndarray, c: np.ndarray, doubt: np.ndarray) -> None:
    result = between(a, b, c, doubt)
    assert result.min() >= 0
    assert result.max() <= 1


def test_a_new_trimap_leans_on_the_old_one_only_where_nothing_changed() -> None:
    for doubt, expected in ((EXPLAINED, 0.7), (CHANGED, 1.0)):
        new = np.stack([plane(0), plane(0), plane(1)])
        lean(new, np.stack([plane(1), plane(0), plane(0)]), doubt)
        np.testing.assert_allclose(new, np.stack([plane(1 - expected), plane(0), plane(expected)]), atol=1e-6)
