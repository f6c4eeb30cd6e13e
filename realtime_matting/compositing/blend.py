"""A person over a background: C = αF + (1 − α)B (Porter & Duff 1984, the "over" operator, straight alpha)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime_matting.native import over

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
        out = np.empty_like(background, order="C")
    elif np.may_share_memory(out, foreground):
        raise ValueError("the composite cannot be written over its foreground")
    over(foreground, alpha, background, out)
    return out


@dataclass(frozen=True, eq=False)
class Layer:
    """A person who can be put over backgrounds: ``foreground`` uint8 (H, W, 3) and ``alpha`` float32 (H, W)."""

    foreground: Rgb
    alpha: NDArray[np.float32]

    def over(self, background: Rgb) -> Rgb:
        """The `composite`."""
        return composite(self.foreground, self.alpha, background)
