"""The debug view."""

from types import SimpleNamespace

import numpy as np

from realtime_matting.debug_view import debug_view
from realtime_matting.matting.window import SQUARE, Window
from realtime_matting.tiles import Rectangle


def test_the_three_parts_of_the_trimap_can_be_told_apart() -> None:
    frame = np.full((240, 320, 3), 128, np.uint8)
    alpha = np.zeros((240, 320), np.float32)
    trimap = np.zeros((240, 320), np.uint8)
    trimap[200:, 100:200], trimap[200:, 200:] = 128, 255
    matte = SimpleNamespace(alpha=alpha, foreground=frame, trimap=trimap, why="refresh: scene cut")
    view = debug_view(frame, matte, "balanced", {"trimap": 4.0})
    assert view.shape == frame.shape
    assert len({tuple(view[220, column].tolist()) for column in (50, 150, 250)}) == 3
    assert (frame == 128).all()
    assert (view[:40] == 255).any()  # the text


def test_a_matte_without_a_trimap_shows_its_soft_pixels() -> None:
    frame = np.full((240, 320, 3), 128, np.uint8)
    alpha = np.zeros((240, 320), np.float32)
    alpha[200:, 100:] = 0.5
    view = debug_view(frame, SimpleNamespace(alpha=alpha, foreground=frame), "fast", {})
    assert tuple(view[220, 50].tolist()) != tuple(view[220, 150].tolist())


def test_a_window_is_outlined_and_a_whole_frame_is_not() -> None:
    frame = np.full((240, 320, 3), 128, np.uint8)
    alpha = np.zeros((240, 320), np.float32)
    window = Window((240, 320), Rectangle(180, 230, 100, 200), SQUARE)
    seen, whole = (
        debug_view(frame, SimpleNamespace(alpha=alpha, foreground=frame, window=one), "fast", {})
        for one in (window, Window.whole((240, 320)))
    )
    outlined = (seen != whole).any(2)
    assert outlined[180, 100:200].all()
    assert outlined[229, 100:200].all()
    assert outlined[180:230, [100, 199]].all()
    assert outlined.sum() == 2 * 100 + 2 * 48
