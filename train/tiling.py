"""Overlapping tiles of a picture, and their blend: how a network sees a large picture at its own scale.

Neighbouring tiles share ``overlap`` pixels or more. Each tile's weight falls off linearly over that many pixels
towards every side at which another tile goes on, so no seam can be seen: the blend changes continuously.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.float32]
Window = tuple[slice, slice]


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one side of ``length`` pixels: evenly spread, from 0 to ``length − tile``.

    Args:
        length: pixels of the side; up to ``tile`` one tile is enough.
        tile: pixels of a tile.
        overlap: pixels that neighbours share at least; 0 ≤ overlap < tile.
    """
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [number * (length - tile) // (count - 1) for number in range(count)]


def blend_tiles(shape: tuple[int, int], tile: int, overlap: int, predict: Callable[[Window], Alpha | None]) -> Alpha:
    """Weighted mean of what ``predict`` gives for each tile.

    Args:
        shape: (H, W) of the picture.
        tile, overlap: in pixels, as `starts` takes them; a picture smaller than a tile is one smaller tile.
        predict: window of the picture → float32 (h, w) of that window, or None to leave it out.

    Returns:
        float32 (H, W); 0 where every tile was left out.
    """
    height, width = shape
    total, weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for top in starts(height, tile, overlap):
        for left in starts(width, tile, overlap):
            bottom, right = min(top + tile, height), min(left + tile, width)
            window = slice(top, bottom), slice(left, right)
            predicted = predict(window)
            if predicted is None:
                continue
            weight = np.outer(_ramp(top, bottom, height, overlap), _ramp(left, right, width, overlap))
            total[window] += weight * predicted
            weights[window] += weight
    return np.divide(total, weights, out=total, where=weights > 0)


def _ramp(start: int, end: int, length: int, overlap: int) -> Alpha:
    """Weights of the pixels from ``start`` to ``end``: 1, falling off at the ends that are not the picture's."""
    position = np.arange(start, end, dtype=np.float32)
    weight = np.ones(end - start, np.float32)
    if start > 0:
        weight = np.minimum(weight, (position - start + 1) / (overlap + 1))
    if end < length:
        weight = np.minimum(weight, (end - position) / (overlap + 1))
    return weight
