import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.compositing.blurred import blurred_room

Rgb = NDArray[np.uint8]


def red_person_in_a_grey_room(shape: tuple[int, int]) -> tuple[Rgb, NDArray[np.float32]]:
    y, x = np.indices(shape, np.float32)
    distance = np.hypot(y - shape[0] / 2, x - shape[1] / 2)
    alpha = np.clip((shape[0] / 3 - distance) / (shape[0] / 40), 0, 1).astype(np.float32)[..., None]
    frame = alpha * np.float32((250, 20, 20)) + (1 - alpha) * np.float32((120, 120, 120))
    return np.rint(frame).astype(np.uint8), alpha[..., 0]


@pytest.mark.parametrize("strength", [0.05, 0.1, 0.5, 1])
@pytest.mark.parametrize("shape", [(360, 640), (241, 135)])
def test_no_colour_of_the_person_glows_around_the_outline(strength: float, shape: tuple[int, int]) -> None:
    frame, alpha = red_person_in_a_grey_room(shape)
    room = blurred_room(frame, alpha, strength)
    assert room.shape == frame.shape
    assert np.abs(room.astype(int) - 120).max() <= 5


def test_a_plain_blur_would_have_glowed() -> None:
    frame, alpha = red_person_in_a_grey_room((360, 640))
    naive = blurred_room(frame, np.zeros_like(alpha), 0.5).astype(int)
    near = (alpha == 0) & (np.hypot(*(np.indices(alpha.shape) - np.array([180, 320])[:, None, None])) < 135)
    assert (naive[near][:, 0] - naive[near][:, 2]).mean() > 20


@pytest.mark.parametrize("strength", [0.25, 0.5, 1])
def test_strength_is_the_sigma_in_units_of_eight_percent_of_the_shorter_side(strength: float) -> None:
    frame = np.zeros((360, 640, 3), np.uint8)
    frame[:, 320:] = 200
    edge = blurred_room(frame, np.zeros((360, 640), np.float32), strength)[180, :, 0].astype(np.float64)
    slope = np.diff(edge)
    centre = (slope * np.arange(slope.size)).sum() / slope.sum()
    sigma = np.sqrt((slope * (np.arange(slope.size) - centre) ** 2).sum() / slope.sum())
    assert sigma == pytest.approx(strength * 0.08 * 360, rel=0.1)


def test_a_room_seen_in_a_corner_only_fills_the_whole_frame() -> None:
    frame, alpha = np.full((180, 320, 3), (200, 0, 0), np.uint8), np.ones((180, 320), np.float32)
    frame[:40, :40], alpha[:40, :40] = (0, 90, 0), 0
    assert np.abs(blurred_room(frame, alpha, 0.5).astype(int) - (0, 90, 0)).max() <= 40


def test_a_frame_full_of_person_gives_a_plain_mean_and_no_warning() -> None:
    frame = np.full((90, 160, 3), (200, 10, 30), np.uint8)
    room = blurred_room(frame, np.ones((90, 160), np.float32), 0.5)
    assert np.abs(room.astype(int) - (200, 10, 30)).max() <= 1
