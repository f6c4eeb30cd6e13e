"""A network only where it is needed: overlapping tiles of one fixed size, placed where they gain the most.

One size, because an engine compiles each input size anew; placed at multiples of the network's stride, so that its
pooling sees the same groups of pixels as in the whole picture. A tile's outermost pixels know too little of their
surroundings and are thrown away, but for those at the picture's border, which know no more in the whole picture.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.tiles import Rectangle

FloatArray = NDArray[np.float32]

# In strides. The cost of a tile is that of its outer area, its use that of its core.
_OUTER, _MARGIN = 8, 1
_FEATHER = 8
"""Pixels over which a core fades out, within the margin's inner half and the core's rim."""


@dataclass(frozen=True)
class Tile:
    """``outer`` is what the network sees; what it says counts in ``core``."""

    outer: Rectangle
    core: Rectangle


@dataclass(frozen=True)
class Tiling:
    """Where tiles may lie in a picture of ``height`` × ``width`` pixels, both multiples of ``stride``."""

    height: int
    width: int
    stride: int

    @cached_property
    def tile_size(self) -> tuple[int, int]:
        """(height, width) of every tile."""
        side = _OUTER * self.stride
        return min(side, self.height), min(side, self.width)

    @property
    def cells(self) -> tuple[int, int]:
        """(rows, columns) of the grid of strides."""
        return self.height // self.stride, self.width // self.stride

    def share(self, count: int) -> float:
        """Area of so many tiles as a share of the picture's."""
        return count * self.tile_size[0] * self.tile_size[1] / (self.height * self.width)

    @cached_property
    def _spans(self) -> tuple[NDArray[np.intp], ...]:
        """First and last cells of the cores of all places a tile can have: rows, then columns."""
        spans: list[NDArray[np.intp]] = []
        for cells, side in zip(self.cells, self.tile_size, strict=True):
            reach = side // self.stride
            places = np.arange(cells - reach + 1)
            spans.append(np.where(places == 0, 0, places + _MARGIN))
            spans.append(np.where(places == places[-1], cells, places + reach - _MARGIN))
        return tuple(spans)

    def choose(self, gain: FloatArray, least: float, most: int) -> tuple[list[Tile], FloatArray]:
        """Tiles that gain the most, one after the other, until the next would gain less than ``least``.

        Args:
            gain: float32 of shape `cells`, what there is to gain in each cell.
            most: number of tiles at most.

        Returns:
            The tiles, and the gain that is left.
        """
        left = gain.copy()
        tops, bottoms, lefts, rights = self._spans
        tiles: list[Tile] = []
        while len(tiles) < most:
            total = cv2.integral(left, sdepth=cv2.CV_32F)
            sums = total[np.ix_(bottoms, rights)] - total[np.ix_(tops, rights)]
            sums += total[np.ix_(tops, lefts)] - total[np.ix_(bottoms, lefts)]
            y, x = divmod(int(sums.argmax()), sums.shape[1])
            if sums[y, x] < least:
                break
            core = Rectangle(int(tops[y]), int(bottoms[y]), int(lefts[x]), int(rights[x]))
            left[core.slices()] = 0
            size = self.tile_size
            outer = Rectangle(y * self.stride, y * self.stride + size[0], x * self.stride, x * self.stride + size[1])
            tiles.append(Tile(outer, Rectangle(*(side * self.stride for side in core))))
        return tiles, left

    def weight(self, tile: Tile) -> FloatArray:
        """float32 of the tile's size: 1 in the core, falling to 0 over a few pixels outside it."""
        lines = []
        for first, last, core_first, core_last, length in (
            (tile.outer.top, tile.outer.bottom, tile.core.top, tile.core.bottom, self.height),
            (tile.outer.left, tile.outer.right, tile.core.left, tile.core.right, self.width),
        ):
            at = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
            before = np.full_like(at, np.inf) if core_first == 0 else at - core_first
            after = np.full_like(at, np.inf) if core_last == length else core_last - at
            lines.append(np.clip(np.minimum(before, after) / _FEATHER + np.float32(1), 0, 1))
        return np.asarray(np.outer(*lines), np.float32)


class Mosaic:
    """Puts the answers for tiles together; where cores meet, one fades into the other."""

    def __init__(self, tiling: Tiling) -> None:
        self._tiling = tiling
        shape = tiling.height, tiling.width
        self._sum, self._weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def clear(self) -> None:
        """Forget all tiles."""
        self._sum[:] = 0
        self._weight[:] = 0

    def add(self, tile: Tile, answer: FloatArray) -> None:
        """``answer``: float32 of the tile's size, or less where the picture was padded at the right and the bottom."""
        height, width = answer.shape
        weight = self._tiling.weight(tile)[:height, :width]
        here = slice(tile.outer.top, tile.outer.top + height), slice(tile.outer.left, tile.outer.left + width)
        self._sum[here] += weight * answer
        self._weight[here] += weight

    def over(self, below: FloatArray) -> FloatArray:
        """The tiles over what is there already, float32 (h, w) of the tiled picture's upper left; a new array."""
        height, width = below.shape
        weight = self._weight[:height, :width]
        mean = self._sum[:height, :width] / np.maximum(weight, np.float32(1e-6))
        return np.asarray(below + np.minimum(weight, 1) * (mean - below), np.float32)
