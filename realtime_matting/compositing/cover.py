"""Fit a background to a frame the way CSS calls "cover": fill it, keep the proportions, cut off what is too much."""

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]


def cover(picture: Rgb, height: int, width: int) -> Rgb:
    """The largest centred part of a picture with the proportions asked for, scaled to that size.

    Area filter where it shrinks, cubic interpolation where it grows.

    Args:
        picture: uint8 (h, w, 3).

    Returns:
        uint8 (height, width, 3); the picture itself, not a copy, where it has that size already.
    """
    picture_height, picture_width = picture.shape[:2]
    scale = max(height / picture_height, width / picture_width)
    part_height = min(picture_height, max(1, round(height / scale)))
    part_width = min(picture_width, max(1, round(width / scale)))
    top, left = (picture_height - part_height) // 2, (picture_width - part_width) // 2
    part = picture[top : top + part_height, left : left + part_width]
    if part.shape[:2] == (height, width):
        return part
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (width, height), interpolation=interpolation), np.uint8)
