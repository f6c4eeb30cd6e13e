"""Light of the new background on the person's rim, as if the person stood in front of it.

The light that reaches a pixel is what a blur carries there from the visible background, L = blur((1 − α)·B); it is
added as film adds light, F' = 255 − (255 − F)·(1 − s·L/255) ("screen"), so that nothing is ever too bright. Inside the
person, further from any transparent pixel than the blur reaches, L is exactly 0.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]

_REACH = 0.025
"""How far light reaches over the person, as a share of the picture's shorter side; 18 pixels of 720."""


def light(background: NDArray[np.float32], alpha: NDArray[np.float32], strength: float) -> Rgb:
    """The light that falls on the person, in a reduced picture.

    Args:
        background: float32 (h, w, 3) in [0, 255].
        alpha: float32 (h, w) in [0, 1].
        strength: 0 to 1.

    Returns:
        uint8 (h, w, 3): s·L.
    """
    side = 2 * max(1, round(_REACH * min(alpha.shape) / 2)) + 1
    seen = background * np.asarray(cv2.cvtColor(1 - alpha, cv2.COLOR_GRAY2RGB), np.float32)
    # Two boxes are a triangle: the light fades out, and has an end.
    blurred = cv2.blur(cv2.blur(seen, (side, side)), (side, side))
    return np.asarray(cv2.convertScaleAbs(blurred, alpha=strength), np.uint8)


def add_light(foreground: Rgb, falling: Rgb, out: Rgb) -> None:
    """Light up the colours of a person.

    Args:
        foreground: uint8 (H, W, 3).
        falling: uint8 (h, w, 3), from ``light``, in a picture of any size.
        out: uint8 (H, W, 3), written to; it may be the foreground.
    """
    height, width = foreground.shape[:2]
    at_full_size = cv2.resize(falling, (width, height), interpolation=cv2.INTER_LINEAR)
    added = cv2.multiply(cv2.bitwise_not(foreground), at_full_size, dst=at_full_size, scale=1 / 255)
    cv2.add(foreground, added, dst=out)
