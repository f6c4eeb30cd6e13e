import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from realtime_matting.matting.stability import between, corrected, follow, share_of_before

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


def blended(before: np.ndarray, after: np.ndarray, doubt_before: np.ndarray, doubt_after: np.ndarray) -> np.ndarray:
    return between(before, after, share_of_before(doubt_before, doubt_after))


@given(PLANES, PLANES, PLANES, PLANES)
def test_a_frame_between_lies_between(
    before: np.ndarray, after: np.ndarray, doubt_before: np.ndarray, doubt_after: np.ndarray
) -> None:
    assert_between(blended(before, after, doubt_before, doubt_after), before, after)


@given(PLANES, PLANES)
def test_where_the_picture_has_changed_the_new_alpha_counts_alone(new: np.ndarray, carried: np.ndarray) -> None:
    np.testing.assert_allclose(follow(new, carried, CHANGED), new, atol=ROUNDING)


@given(PLANES, PLANES)
def test_the_neighbour_that_explains_the_picture_counts_for_more(before: np.ndarray, after: np.ndarray) -> None:
    np.testing.assert_allclose(blended(before, after, EXPLAINED, CHANGED), before, atol=ROUNDING)
    np.testing.assert_allclose(blended(before, after, CHANGED, EXPLAINED), after, atol=ROUNDING)


def test_two_neighbours_that_are_equally_good_are_averaged() -> None:
    np.testing.assert_allclose(blended(plane(0.4), plane(0.6), EXPLAINED, EXPLAINED), plane(0.5), atol=1)


def test_the_doubts_may_be_of_a_smaller_size() -> None:
    large = np.zeros((24, 28), np.uint8)
    assert blended(large, large + 200, EXPLAINED, EXPLAINED).shape == large.shape


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


@given(st.integers(0, 255))
def test_what_does_not_change_stays(value: int) -> None:
    now = np.full(SHAPE, value, np.uint8)
    np.testing.assert_allclose(follow(now, now, EXPLAINED), now, atol=ROUNDING)


def edge(at: float, size: tuple[int, int] = (24, 40)) -> np.ndarray:
    """A soft vertical edge at column ``at``."""
    x = np.arange(size[1]) + 0.5
    return np.tile(np.rint(255 / (1 + np.exp(at - x))), (size[0], 1)).astype(np.uint8)


@given(st.floats(-0.8, 0.8), st.integers(60, 200), st.booleans())
def test_an_edge_that_was_moved_a_little_too_far_is_put_right(wrong: float, contrast: int, darker: bool) -> None:
    pictures = [20 + edge(20 + by).astype(np.float32) * contrast / 255 for by in (wrong, 0)]
    expected, shown = (np.rint(255 - grey if darker else grey).astype(np.uint8) for grey in pictures)
    moved, truth = edge(20 + wrong), edge(20)
    result = corrected(moved, expected, shown)
    before, after = (np.abs(alpha.astype(int) - truth).mean() for alpha in (moved, result))
    assert after <= 0.6 * before + 0.5


@given(PLANES, st.integers(0, 255))
def test_a_picture_that_came_as_expected_corrects_nothing(alpha: np.ndarray, grey: int) -> None:
    picture = np.full(SHAPE, grey, np.uint8)
    np.testing.assert_allclose(corrected(alpha, picture, picture), alpha, atol=ROUNDING)


@given(PLANES, PLANES)
def test_where_nothing_is_soft_no_picture_makes_it_so(expected: np.ndarray, shown: np.ndarray) -> None:
    for value in (0, 1):
        np.testing.assert_array_equal(corrected(plane(value), expected, shown), plane(value))


def test_pictures_may_be_smaller_than_the_alpha_that_they_correct() -> None:
    large = cv2.resize(edge(20.5), (80, 48), interpolation=cv2.INTER_LINEAR)
    truth = cv2.resize(edge(20), (80, 48), interpolation=cv2.INTER_LINEAR)
    result = corrected(large, edge(20.5), edge(20))
    assert result.shape == large.shape
    assert cv2.absdiff(result, truth).mean() < 0.6 * cv2.absdiff(large, truth).mean()
