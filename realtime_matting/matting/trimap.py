"""Trimaps as the runtime handles them: class probabilities from a network, and the picture people look at."""

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255


def resize_probabilities(probabilities: FloatArray, width: int, height: int) -> FloatArray:
    """Bilinear, float32 (3, h, w) → contiguous float32 (3, height, width)."""
    if probabilities.shape[1:] == (height, width):
        return probabilities
    probabilities = np.asarray(probabilities, np.float32)
    resized = np.empty((len(probabilities), height, width), np.float32)
    for plane, target in zip(probabilities, resized, strict=True):
        cv2.resize(plane, (width, height), target, interpolation=cv2.INTER_LINEAR)
    return resized


def trimap_picture(probabilities: FloatArray, width: int, height: int) -> NDArray[np.uint8]:
    """The likeliest class of each pixel, at frame size: uint8 (height, width), 0, 128 or 255."""
    background, unknown, foreground = probabilities
    # Comparisons are several times faster than argmax over three planes.
    levels = np.where(foreground > background, np.uint8(FOREGROUND), np.uint8(BACKGROUND))
    levels[(unknown > background) & (unknown >= foreground)] = UNKNOWN
    return np.asarray(cv2.resize(levels, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def probabilities_from_alpha(alpha: FloatArray, radius: int) -> FloatArray:
    """Certain classes from a matte: soft pixels and their surroundings are unknown.

    Args:
        alpha: float32 (H, W) in [0, 1].
        radius: pixels by which the unknown region reaches beyond the soft pixels.

    Returns:
        float32 (3, H, W) of zeros and ones: background, unknown, foreground.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    not_background = cv2.dilate((alpha > 0.05).astype(np.uint8), kernel)
    foreground = cv2.erode((alpha > 0.95).astype(np.uint8), kernel)
    return np.stack([1 - not_background, not_background - foreground, foreground]).astype(np.float32)
