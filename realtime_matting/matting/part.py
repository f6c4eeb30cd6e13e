"""The columns of a picture that the matting network has a say in: a person seldom fills a wide frame."""

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

_SHARE = 0.7
"""Width of the part, of the picture's. One, because an engine compiles each size anew and holds memory for it."""
_MARGIN = 2  # strides of the network that it sees beyond the band, on each side
_BAND = 0.05
"""Probability of "unknown" from which a pixel counts; below, what the matting network says hardly shows."""


def columns_of_band(probabilities: FloatArray, width: int, stride: int) -> slice | None:
    """The columns that hold the unknown band with a margin; None where that is more than the part holds.

    Args:
        probabilities: float32 (3, h, w), of which the second is "unknown".
        width: of the network's input, w or a little more, and a multiple of ``stride``.

    Returns:
        Columns that begin and end at multiples of ``stride``, as many as `part_width` says.
    """
    found = np.flatnonzero(probabilities[1].max(axis=0) > _BAND)
    cells, wide = width // stride, part_width(width, stride) // stride
    # With nothing to find, the part in the middle.
    first, last = (int(found[0]), int(found[-1])) if len(found) else (width // 2, width // 2)
    first, last = max(0, first // stride - _MARGIN), min(cells, last // stride + 1 + _MARGIN)
    if last - first > wide or wide == cells:
        return None
    left = min(max(0, (first + last - wide) // 2), cells - wide)
    return slice(left * stride, (left + wide) * stride)


def part_width(width: int, stride: int) -> int:
    """Pixels of the part of a picture so wide, both multiples of ``stride``."""
    return math.ceil(_SHARE * width / stride) * stride
