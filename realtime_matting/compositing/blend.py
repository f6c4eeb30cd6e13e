"""A person over a background: C = αF + (1 − α)B (Porter & Duff 1984, the "over" operator, straight alpha)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.tiles import bands

Rgb = NDArray[np.uint8]

_BAND, _CELL = 64, 16  # rows and columns that are treated as one where there is a soft pixel


def composite(foreground: Rgb, alpha: NDArray[np.float32], background: Rgb, out: Rgb | None = None) -> Rgb:
    """Put the foreground over the background, in the pictures' own (gamma-encoded) values, as mattes are made for.

    Args:
        foreground: uint8 (H, W, 3), colours of the person, not multiplied by alpha.
        alpha: float32 (H, W) in [0, 1].
        background: uint8 (H, W, 3).
        out: uint8 (H, W, 3) to write to instead of a new array; it may be `background`, but not `foreground`.

    Returns:
        uint8 (H, W, 3), rounded to the nearest: exactly the foreground where alpha is 1, the background where it is 0.

    Raises:
        ValueError: the arrays differ in size, or `out` is the foreground.
    """
    shape = foreground.shape
    if background.shape != shape or alpha.shape != shape[:2] or (out is not None and out.shape != shape):
        sizes = [array.shape for array in (foreground, alpha, background, out) if array is not None]
        raise ValueError(f"foreground, alpha, background and out must be of one size, not {sizes}")
    if out is None:
        out = background.copy()
    elif np.may_share_memory(out, foreground):
        raise ValueError("the composite cannot be written over its foreground")
    elif out is not background:
        np.copyto(out, background)

    opaque = alpha >= 1
    cv2.copyTo(foreground, opaque.view(np.uint8), out)
    soft = (alpha > 0) & ~opaque
    for areas in bands(soft.view(np.uint8), (1, 1), _BAND, _CELL):
        for area in areas:
            _blend(foreground[area.slices()], alpha[area.slices()], background[area.slices()], out[area.slices()])
    return out


def _blend(foreground: Rgb, alpha: NDArray[np.float32], background: Rgb, out: Rgb) -> None:
    """B + α(F − B), which is exact for α of 0 and 1, into `out`."""
    behind = background.astype(np.float32)
    blended = foreground.astype(np.float32)
    blended -= behind
    blended *= np.asarray(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB), np.float32)
    blended += behind
    cv2.convertScaleAbs(blended, dst=out)  # rounds to the nearest
