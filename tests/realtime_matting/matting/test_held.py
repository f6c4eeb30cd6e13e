"""A trimap that serves up to three frames, moved along with the person."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.matting.held import HeldTrimap


def disc(x: float, y: float = 90) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:180, :320].astype(np.float32)
    return np.clip(50 - np.hypot(columns - x, rows - y) + np.float32(0.5), 0, 1)


def frame(x: float, y: float = 90, light: int = 0) -> NDArray[np.uint8]:
    """A dark disc before a pale wall with a fine pattern."""
    wall = 170 + 20 * np.sin(np.arange(320, dtype=np.float32) / 6)
    alpha = disc(x, y)
    return np.dstack([np.rint(alpha * 60 + (1 - alpha) * wall + light).astype(np.uint8)] * 3)


def probabilities(x: float) -> NDArray[np.float32]:
    """A band of 12 pixels around the disc."""
    near = np.abs(np.hypot(*(np.mgrid[:180, :320] - np.array([90, x])[:, None, None])) - 50) < 6
    inside = disc(x) > 0.5
    return np.stack([~inside & ~near, near, inside & ~near]).astype(np.float32)


def after(first: NDArray[np.uint8], known: NDArray[np.float32]) -> HeldTrimap:
    held = HeldTrimap()
    assert held.for_frame(first) is None
    held.keep(known)
    return held


def off(one: NDArray[np.float32] | None, other: NDArray[np.float32]) -> float:
    assert one is not None
    return float(np.abs(one - other).mean())


def test_a_trimap_serves_two_more_frames_that_hardly_move_and_then_a_network_has_its_say() -> None:
    known = probabilities(160)
    held = after(frame(160), known)
    for _ in range(2):
        for x in (160.1, 160.2):
            assert off(held.for_frame(frame(x)), known) < 0.002
        assert held.for_frame(frame(160.2)) is None
        held.keep(known)


@pytest.mark.parametrize(("x", "y"), [(164, 90), (157, 92), (160, 86)])
def test_a_trimap_goes_where_the_person_goes(x: int, y: int) -> None:
    rows, columns = 90 - y, 160 - x
    there = np.roll(probabilities(160), (-rows, -columns), axis=(1, 2))
    served = after(frame(160), probabilities(160)).for_frame(frame(x, y))
    assert off(served, there) < 0.3 * off(probabilities(160), there)


def test_what_it_serves_may_be_of_another_size_than_the_frame_and_sums_to_one() -> None:
    known = np.stack([cv2.resize(plane, (101, 57)) for plane in probabilities(160)])
    served = after(frame(160), known).for_frame(frame(162))
    assert served is not None
    assert served.shape == (3, 57, 101)
    np.testing.assert_allclose(served.sum(axis=0), 1, atol=1e-5)


def unrest(number: int, strength: float) -> NDArray[np.uint8]:
    """The frame at rest with something around the outline that no motion explains, other in each frame."""
    grain = cv2.GaussianBlur(np.random.default_rng(number).normal(0, 12, (180, 320)), (0, 0), 2)
    around = cv2.dilate(probabilities(160)[1], np.ones((9, 9), np.uint8))
    return np.clip(np.rint(frame(160) + strength * (grain * around)[..., None]), 0, 255).astype(np.uint8)


def test_what_no_motion_explains_adds_up_until_a_network_has_its_say() -> None:
    held = after(unrest(0, 1.5), probabilities(160))
    assert held.for_frame(unrest(1, 1.5)) is not None
    assert held.for_frame(unrest(2, 1.5)) is None
    assert after(unrest(1, 1.5), probabilities(160)).for_frame(unrest(2, 1.5)) is not None
    assert after(unrest(0, 4), probabilities(160)).for_frame(unrest(1, 4)) is None


@pytest.mark.parametrize(
    "then",
    [frame(160, light=8), np.roll(frame(160), 60, axis=1), 255 - frame(160)],
    ids=["another light", "elsewhere", "a cut"],
)
def test_what_changes_is_looked_at_anew(then: NDArray[np.uint8]) -> None:
    assert after(frame(160), probabilities(160)).for_frame(then) is None


def test_somebody_who_comes_in_far_from_the_band_is_looked_at_anew() -> None:
    then = frame(160)
    cv2.rectangle(then, (280, 60), (319, 179), (40, 40, 40), -1)
    assert after(frame(160), probabilities(160)).for_frame(then) is None


def test_an_empty_room_needs_a_look_at_every_third_frame_only() -> None:
    empty = np.stack([np.ones((180, 320), np.float32), *np.zeros((2, 180, 320), np.float32)])
    held = after(frame(-200), empty)
    np.testing.assert_array_equal(held.for_frame(frame(-200)), empty)
    assert held.for_frame(frame(-200)) is not None
    assert held.for_frame(frame(-200)) is None


def test_nothing_is_held_over_a_new_stream_and_what_is_held_is_a_copy() -> None:
    known = probabilities(160)
    held = after(frame(160), known)
    known[:] = 0
    served = held.for_frame(frame(160))
    assert served is not None
    assert served.max() > 0.9
    held.forget()
    assert held.for_frame(frame(160)) is None
