"""Trimaps made from a known alpha.

Deep Image Matting (Xu et al. 2017, section 3.1) only dilates the soft region; eroding and dilating the two known
regions by independently drawn amounts is what later work found to matter most, so that is done here.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
IGNORE = 255
"""Class number of pixels that no loss should look at."""


def _grow(mask: NDArray[np.uint8], radius: float) -> NDArray[np.uint8]:
    size = 2 * round(radius) + 1
    if size <= 1:
        return mask
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))  # type: ignore[return-value]


def trimap_from_alpha(
    alpha: NDArray[np.float32], erosion: float, dilation: float, certain: float = 0.02
) -> NDArray[np.uint8]:
    """Trimap of an alpha.

    Args:
        alpha: float32 (H, W) in [0, 1].
        erosion: pixels by which the sure foreground is eaten away.
        dilation: pixels by which the unknown region reaches into the background.
        certain: alpha below this is sure background, above one minus this sure foreground.

    Returns:
        uint8 (H, W): 0 background, 128 unknown, 255 foreground.
    """
    not_foreground = _grow((alpha <= 1 - certain).astype(np.uint8), erosion)
    not_background = _grow((alpha >= certain).astype(np.uint8), dilation)
    trimap = np.full(alpha.shape, UNKNOWN, np.uint8)
    trimap[not_background == 0] = BACKGROUND
    trimap[not_foreground == 0] = FOREGROUND
    return trimap


def classes(trimap: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Trimap values 0, 128, 255 → class numbers 0, 1, 2 (background, unknown, foreground)."""
    return ((trimap.astype(np.uint16) + 64) // 128).astype(np.uint8)
