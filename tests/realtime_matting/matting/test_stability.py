import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from realtime_matting.matting.stability import between, follow, lean

SHAPE = (6, 7)
PLANES = arrays(np.uint8, SHAPE)
EXPLAINED, CHANGED = np.zeros(SHAPE, np.uint8), np.full(SHAPE, 255, np.uint8)
# Rounding, and what is so close to 0 or 1 that it becomes that.
ROUNDING = 6


def plane(value: float) -> np.ndarray:
    return np.full(SHAPE, round(255 * value), np.uint8)


def assert_between(result: np.ndarray, one: np.ndarray, other: np.ndarray) -> None:
    assert result.dtype == np.uint8
    assert (result >= np.minimum(one, other).astype(int) - ROUNDING).all()
    assert (result <= np.maximum(one, other).astype(int) + ROUNDING).all()


@given(PLANES, PLANES, PLANES)
def test_the_result_lies_between_old_and_new(new: np.ndarray, carried: np.ndarray, doubt: np.ndarray) -> None:
    assert_between(follow(new, carried, doubt), new, carried)


@given(PLANES, PLANES, PLANES, PLANES)
def test_a_frame_between_lies_between(
    before: np.ndarray, after: np.ndarray, doubt_before: np.ndarray, doubt_after: np.ndarray
) -> None:
    assert_between(between(before, after, doubt_before, doubt_after), before, after)


@given(PLANES, PLANES)
def test_where_the_picture_has_changed_the_new_alpha_counts_alone(new: np.ndarray, carried: np.ndarray) -> None:
    np.testing.assert_allclose(follow(new, carried, CHANGED), new, atol=ROUNDING)


@given(PLANES, PLANES)
def test_the_neighbour_that_explains_the_picture_counts_for_more(before: np.ndarray, after: np.ndarray) -> None:
    np.testing.assert_allclose(between(before, after, EXPLAINED, CHANGED), before, atol=ROUNDING)
    np.testing.assert_allclose(between(before, after, CHANGED, EXPLAINED), after, atol=ROUNDING)


def test_two_neighbours_that_are_equally_good_are_averaged() -> None:
    np.testing.assert_allclose(between(plane(0.4), plane(0.6), EXPLAINED, EXPLAINED), plane(0.5), atol=1)


def test_the_doubts_may_be_of_a_smaller_size() -> None:
    large = np.zeros((24, 28), np.uint8)
    assert between(large, large + 200, EXPLAINED, EXPLAINED).shape == large.shape


def test_a_little_flicker_becomes_less() -> None:
    state, values = plane(0.5), []
    for number in range(40):
        state = follow(plane(0.5 + 0.1 * (-1) ** number), state, EXPLAINED)
        values.append(int(state[0, 0]))
    assert np.ptp(values[20:]) < 0.15 * 255


def test_an_error_of_the_past_is_gone_after_three_frames() -> None:
    state = plane(1)
    for _ in range(3):
        state = follow(plane(0), state, EXPLAINED)
    assert (state == 0).all()


def test_a_new_trimap_leans_on_the_old_one_only_where_nothing_changed() -> None:
    for doubt, expected in ((EXPLAINED, 0.5), (CHANGED, 1.0)):
        result = lean(np.dstack([plane(0), plane(1)]), np.dstack([plane(1), plane(0)]), doubt)
        np.testing.assert_allclose(result, np.dstack([plane(1 - expected), plane(expected)]), atol=1)


@given(st.integers(0, 255))
def test_what_does_not_change_stays(value: int) -> None:
    now = np.full(SHAPE, value, np.uint8)
    np.testing.assert_allclose(follow(now, now, EXPLAINED), now, atol=ROUNDING)
