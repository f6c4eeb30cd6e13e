"""What the matter saw, for the user's own eyes: the trimap over the frame, its unknown band, and the times."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.pipeline import MatteLike

Rgb = NDArray[np.uint8]

_KNOWN = {0: (40, 40, 160), 255: (40, 140, 60)}  # background blue, foreground green
_UNKNOWN = (255, 200, 0)
_SHARE = 0.55
_DARK, _LIGHT = (0, 0, 0), (255, 255, 255)


def debug_view(frame: Rgb, matte: MatteLike, preset: str, milliseconds: Mapping[str, float]) -> Rgb:
    """The frame, tinted by its trimap, with the reason of the trimap and the milliseconds of each stage.

    Args:
        frame: uint8 (H, W, 3).
        matte: of the frame; its ``trimap`` (uint8 (H, W); 0, 128, 255), ``window`` (see `Matte`) and ``why`` are shown
            where it has them; without a trimap, the known and unknown part of its alpha.
        preset: name of the preset in use.
        milliseconds: mean milliseconds per frame by stage.

    Returns:
        uint8 (H, W, 3), a new array. It shows the room: for the user only, never for an output.
    """
    trimap = getattr(matte, "trimap", None)
    if trimap is None or trimap.shape != frame.shape[:2]:
        trimap = np.where(matte.alpha <= 0, 0, np.where(matte.alpha >= 1, 255, 128)).astype(np.uint8)
    tint = np.empty_like(frame)
    tint[:] = _UNKNOWN
    for value, colour in _KNOWN.items():
        tint[trimap == value] = colour
    view = np.asarray(cv2.addWeighted(frame, _SHARE, tint, 1 - _SHARE, 0), np.uint8)
    window = getattr(matte, "window", None)
    if window is not None and not window.is_whole:
        top, bottom, left, right = window.area
        cv2.rectangle(view, (left, top), (right - 1, bottom - 1), _LIGHT, 1)
    unknown = float((trimap == 128).mean())
    lines = [f"{preset}   {getattr(matte, 'why', '')}".rstrip(), f"unknown {100 * unknown:.1f} %"]
    lines += [f"{name} {value:.1f} ms" for name, value in milliseconds.items()]
    size = max(0.4, frame.shape[0] / 1080)
    for row, text in enumerate(lines):
        left, base = 8, round((row + 1) * 34 * size)
        # The outline is the same text moved, for a thicker one is wider as well where fonts have weights.
        for right, down, colour in ((-1, 0, _DARK), (1, 0, _DARK), (0, -1, _DARK), (0, 1, _DARK), (0, 0, _LIGHT)):
            place = (left + right, base + down)
            cv2.putText(view, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
    return view
