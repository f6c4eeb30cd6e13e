"""A person over a background: C = αF + (1 − α)B (Porter & Duff 1984, the "over" operator, straight alpha)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.runs import Runs

Rgb = NDArray[np.uint8]


def composite(foreground: Rgb, alpha: NDArray[np.float32], background: Rgb, out: Rgb | None = None) -> Rgb:
    """Put the foreground over the background, in the pictures' own (gamma-encoded) values, as mattes are made for.

    Args:
        foreground: uint8 (H, W, 3), colours of the person, not multiplied by alpha.
        alpha: float32 (H, W) in [0, 1].
        background: uint8 (H, W, 3).
        out: uint8 (H, W, 3), contiguous, to write to instead of a new array; it may be `background`, but not
            `foreground`.

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
    runs = Runs(((alpha > 0) ^ opaque).view(np.uint8))
    for few in runs.portions(runs.places):
        pixels = _blended(runs.take(foreground, few), runs.take(alpha, few), runs.take(background, few))
        runs.put(out, few, pixels)
    return out


def _blended(foreground: Rgb, alpha: NDArray[np.float32], background: Rgb) -> Rgb:
    """B + α(F − B), which is exact for α of 0 and 1."""
    behind = background.astype(np.float32)
    blended = np.subtract(foreground, behind, dtype=np.float32)
    blended *= np.asarray(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB), np.float32)
    blended += behind
    return np.asarray(cv2.convertScaleAbs(blended), np.uint8)  # rounds to the nearest
