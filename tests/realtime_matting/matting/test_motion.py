import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.matting.motion import Motion, MotionEstimator, View

HEIGHT, WIDTH = 144, 256


def scene(seed: int = 0) -> NDArray[np.uint8]:
    """Larger than a view, so that views can move over it."""
    noise = np.random.default_rng(seed).normal(0, 1, (240, 360, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def view(picture: NDArray[np.uint8], left: int, top: int = 40) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[top : top + HEIGHT, left : left + WIDTH])


def motion(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> Motion:
    return MotionEstimator(*now.shape[:2])(View(before), View(now))


@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, 0), (0, -4), (-6, 2)])
def test_a_moved_picture_is_explained_and_carried(x: int, y: int) -> None:
    picture = scene()
    before, now = view(picture, 50, 40), view(picture, 50 - x, 40 - y)
    found = motion(before, now)
    assert found.camera == pytest.approx((x, y), abs=0.5)
    inside = (slice(16, -16), slice(16, -16))
    assert found.unexplained[inside].mean() < 1
    alpha = (before[..., 0] > 128).astype(np.float32)
    expected = (now[..., 0] > 128).astype(np.float32)
    assert np.abs(found.carry(alpha) - expected)[inside].mean() < 0.04


def test_noise_is_neither_motion_nor_a_change() -> None:
    picture = view(scene(), 50).astype(np.float32)
    generator = np.random.default_rng(1)
    noisy = [np.clip(picture + generator.normal(0, 4, picture.shape), 0, 255).astype(np.uint8) for _ in range(2)]
    found = motion(*noisy)
    assert np.count_nonzero(found.unexplained) < 0.01 * found.unexplained.size
    assert np.abs(found.source - found.here).mean() < 0.1


def test_another_picture_is_not_explained() -> None:
    found = motion(view(scene(1), 50), view(scene(2), 50))
    assert found.unexplained.mean() > 20


def test_what_surrounds_the_person_goes_with_the_person() -> None:
    person = np.zeros((HEIGHT, WIDTH), np.float32)
    person[40:, 80:160] = 1
    here = motion(view(scene(), 50), view(scene(), 50)).here
    source = here.copy()
    source[person == 1, 0] -= 5
    raw = Motion(source, np.zeros(person.shape, np.uint8), (0.0, 0.0), here)
    followed = raw.with_person(person)
    way = followed.source[..., 0] - here[..., 0]
    assert (way[person == 1] == -5).all()
    assert way[100, 70] < -4
    assert abs(way[100, 5]) < 0.5


def test_what_comes_from_far_is_doubted() -> None:
    here = motion(view(scene(), 50), view(scene(), 50)).here
    unexplained = np.zeros(here.shape[:2], np.uint8)
    unexplained[0, 0] = 30
    doubt = Motion(here + np.float32([3, 0]), unexplained, (0.0, 0.0), here).doubt()
    assert doubt[0, 0] == 30
    assert doubt[5, 5] == 12


def test_a_tiny_picture_is_taken_as_still() -> None:
    grey = np.full((20, 24, 3), 90, np.uint8)
    found = motion(grey, grey)
    np.testing.assert_array_equal(found.source, found.here)
