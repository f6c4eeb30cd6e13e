"""A trimap that serves a second frame where hardly anything moves."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.matting.held import HeldTrimap

SIZE = (320, 180)


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
    assert held.for_frame(first, SIZE) is None
    held.keep(known)
    return held


def test_a_frame_that_hardly_moved_gets_the_trimap_of_the_frame_before_and_the_next_one_does_not() -> None:
    known = probabilities(160)
    held = after(frame(160), known)
    assert held.for_frame(frame(160.2), SIZE) is known
    assert held.for_frame(frame(160.2), SIZE) is None
    held.keep(known)
    assert held.for_frame(frame(160.2), SIZE) is known


@pytest.mark.parametrize(
    "then",
    [frame(163), frame(160, 86), frame(160, light=8), np.roll(frame(160), 60, axis=1), 255 - frame(160)],
    ids=["aside", "upwards", "another light", "elsewhere", "a cut"],
)
def test_what_moves_or_changes_is_looked_at_anew(then: NDArray[np.uint8]) -> None:
    assert after(frame(160), probabilities(160)).for_frame(then, SIZE) is None


def test_somebody_who_comes_in_far_from_the_band_is_looked_at_anew() -> None:
    then = frame(160)
    cv2.rectangle(then, (280, 60), (319, 179), (40, 40, 40), -1)
    assert after(frame(160), probabilities(160)).for_frame(then, SIZE) is None


def test_an_empty_room_needs_a_look_at_every_second_frame_only() -> None:
    empty = np.stack([np.ones((180, 320), np.float32), *np.zeros((2, 180, 320), np.float32)])
    held = after(frame(-200), empty)
    assert held.for_frame(frame(-200), SIZE) is empty
    assert held.for_frame(frame(-200), SIZE) is None


def test_nothing_is_held_over_a_new_stream_or_for_another_size() -> None:
    held = after(frame(160), probabilities(160))
    assert held.for_frame(frame(160), (200, 100)) is None
    held = after(frame(160), probabilities(160))
    held.forget()
    assert held.for_frame(frame(160), SIZE) is None
