from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime_matting.matting.motion import Grid, Motion, MotionEstimator

HEIGHT, WIDTH = 144, 256


def scene(seed: int = 0) -> NDArray[np.uint8]:
    """Larger than a view, so that views can move over it."""
    noise = np.random.default_rng(seed).normal(0, 1, (240, 360, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def view(picture: NDArray[np.uint8], left: int, top: int = 40) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[top : top + HEIGHT, left : left + WIDTH])


def motion(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> Motion:
    estimator = MotionEstimator(*now.shape[:2])
    return estimator(estimator.view(before), estimator.view(now))


@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, 0), (0, -4), (-6, 2)])
def test_a_moved_picture_is_explained_and_carried(x: int, y: int) -> None:
    picture = scene()
    before, now = view(picture, 50, 40), view(picture, 50 - x, 40 - y)
    found = motion(before, now)
    assert found.camera == pytest.approx((x / WIDTH, y / HEIGHT), abs=0.003)
    inside = (slice(16, -16), slice(16, -16))
    assert found.unexplained[inside].mean() < 1
    alpha, expected = (np.where(picture[..., 0] > 128, 255, 0).astype(np.uint8) for picture in (before, now))
    assert cv2.absdiff(found.carry(alpha), expected)[inside].mean() < 0.04 * 255
    if (x, y) == (0, 0):
        assert found.evidence.max() == 0
    else:
        everywhere = np.full(found.unexplained.shape, 255, np.uint8)
        assert found.travel(everywhere) == pytest.approx(np.hypot(x, y) / WIDTH, rel=0.1)


@pytest.mark.parametrize(("x", "y"), [(3, 0), (0, -4), (-6, 2)])
def test_the_way_back_leads_back(x: int, y: int) -> None:
    picture = scene()
    before, now = view(picture, 50, 40), view(picture, 50 - x, 40 - y)
    estimator = MotionEstimator(HEIGHT, WIDTH)
    views = estimator.view(before), estimator.view(now)
    back = estimator.reversed(estimator(*views), *views)
    assert back.camera == pytest.approx((-x / WIDTH, -y / HEIGHT), abs=0.003)
    inside = (slice(16, -16), slice(16, -16))
    assert back.unexplained[inside].mean() < 1
    assert cv2.absdiff(back.carry(now), before)[inside].mean() < 0.5 * cv2.absdiff(now, before)[inside].mean()


def test_noise_is_neither_motion_nor_a_change() -> None:
    picture = view(scene(), 50).astype(np.float32)
    generator = np.random.default_rng(1)
    noisy = [np.clip(picture + generator.normal(0, 4, picture.shape), 0, 255).astype(np.uint8) for _ in range(2)]
    found = motion(*noisy)
    assert np.count_nonzero(found.unexplained) < 0.01 * found.unexplained.size
    assert np.abs(found.way).mean() < 0.1
    assert found.travel(np.full(found.unexplained.shape, 255, np.uint8)) < 0.001


def test_another_picture_is_not_explained() -> None:
    found = motion(view(scene(1), 50), view(scene(2), 50))
    assert found.unexplained.mean() > 20


def test_what_surrounds_the_person_goes_with_the_person() -> None:
    person = np.zeros((HEIGHT, WIDTH), np.uint8)
    person[40:, 80:160] = 255
    still = motion(view(scene(), 50), view(scene(), 50))
    way = np.zeros_like(still.way)
    way[person == 255, 0] = -5
    way = replace(still, way=way).with_person(person).way[..., 0]
    np.testing.assert_allclose(way[person == 255], -5, rtol=1e-4)
    assert way[100, 76] < -4
    assert abs(way[100, 5]) < 0.5


def test_what_comes_from_far_is_doubted() -> None:
    still = motion(view(scene(), 50), view(scene(), 50))
    unexplained = np.zeros(still.unexplained.shape, np.uint8)
    unexplained[0, 0] = 30
    doubt = replace(still, way=still.way + np.float32([3, 0]), unexplained=unexplained).doubt()
    assert doubt[0, 0] == 30
    assert doubt[5, 5] == 24


def test_what_is_carried_may_be_larger_than_what_is_looked_at() -> None:
    picture = cv2.resize(scene(), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    before, now = (np.ascontiguousarray(picture[60:438, left : left + 672]) for left in (50, 41))
    found = motion(before, now)
    assert found.grid.size == (224, 126)
    alpha, expected = (np.where(picture[..., 0] > 128, 255, 0).astype(np.uint8) for picture in (before, now))
    inside = (slice(32, -32), slice(32, -32))
    assert cv2.absdiff(found.carry(cv2.merge([alpha] * 3))[..., 2], expected)[inside].mean() < 0.03 * 255
    half = found.grid.fine_size
    assert half == (336, 189)
    fine = [cv2.resize(each, half, interpolation=cv2.INTER_AREA) for each in (alpha, expected)]
    assert cv2.absdiff(found.carry(fine[0]), fine[1])[inside].mean() < 0.04 * 255
    assert cv2.absdiff(found.carry(found.grid.shrink(alpha)), found.grid.shrink(expected))[16:-16, 16:-16].mean() < 9


@given(st.integers(2, 900), st.integers(2, 2000))
def test_motion_is_looked_for_at_about_one_width(height: int, width: int) -> None:
    grid = Grid.of(height, width)
    assert grid.full_size == (width, height)
    assert grid.size[0] <= 384
    assert grid.size[0] >= min(width, 160)
    assert grid.shrink(np.zeros((height, width), np.uint8)).shape == grid.size[::-1]


def test_a_tiny_picture_is_taken_as_still() -> None:
    grey = np.full((20, 24, 3), 90, np.uint8)
    found = motion(grey, grey)
    assert not found.way.any()
