"""Pictures of the networks' sizes, fast."""

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

NEARLY = 0.9
"""Of the size wanted: a picture so large has next to all that a larger one has, and is enlarged to it."""


def scaled_to(long_side: int, width: int, height: int) -> tuple[int, int]:
    """(width, height) of a frame whose longer side is brought to ``long_side``; small frames are enlarged.

    Both are even where ``long_side`` is: some networks answer at half of their size.

    Networks know people, and edges, of the size that they have in pictures of that many pixels: enlarging frames of
    512×288 for networks of 512 and 672 pixels takes MAD from 7.8 to 7.1 and dtSSD from 5.0 to 4.6 (rendered clips).
    """
    scale = long_side / max(width, height)
    step = 1 if long_side % 2 else 2
    across, down = (max(step, step * round(side * scale / step)) for side in (width, height))
    return across, down


def shrunk(picture: MatLike, height: int, width: int) -> MatLike:
    """Exact halves down to about the size wanted, then linear interpolation.

    1280×720 to 672×378, one core: area filter 3.1 ms, this 0.4. On 61 composites, with shm-balanced: MAD 0.998 and
    edge MAD 0.999 of what they are with the area filter as the networks' input, 0.99 as the guide of the guided filter.
    Without halving, linear interpolation skips parts of pixels: 1.008 in the guided filter.

    Args:
        picture: uint8 or float32 (H, W) or (H, W, C).

    Returns:
        (height, width) or (height, width, C) of the same dtype; the picture itself where it has that size.
    """
    full_height, full_width = picture.shape[:2]
    while (
        full_height % 2 == full_width % 2 == 0
        and full_height >= 2 * NEARLY * height
        and full_width >= 2 * NEARLY * width
    ):
        full_height, full_width = full_height // 2, full_width // 2
        picture = cv2.resize(picture, (full_width, full_height), interpolation=cv2.INTER_AREA)
    if (full_height, full_width) == (height, width):
        return picture
    skips = full_height > 2 * height or full_width > 2 * width  # an odd side
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if skips else cv2.INTER_LINEAR)


def reduced(picture: MatLike, height: int, width: int) -> NDArray[np.float32]:
    """`shrunk`, as float32, values as in the picture."""
    return np.asarray(shrunk(picture, height, width), np.float32)
