"""Make pictures smaller, fast."""

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray


def reduced(picture: MatLike, height: int, width: int) -> NDArray[np.float32]:
    """Area filter to a smaller size. Halving is several times faster than other reductions, so it comes first.

    Args:
        picture: uint8 or float32 (H, W) or (H, W, C).

    Returns:
        float32 (height, width) or (height, width, C), values as in the picture.
    """
    full_height, full_width = picture.shape[:2]
    while full_height % 2 == full_width % 2 == 0 and full_height >= 4 * height and full_width >= 4 * width:
        full_height, full_width = full_height // 2, full_width // 2
        picture = cv2.resize(picture, (full_width, full_height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.float32)
