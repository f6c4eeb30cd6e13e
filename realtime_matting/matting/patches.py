"""A network only where it is needed: overlapping tiles of one fixed size, placed where they gain the most.

One size, because an engine compiles each input size anew; placed at multiples of the network's stride, so that its
pooling sees the same groups of pixels as in the whole picture. A tile's outermost pixels know too little of their
surroundings and are thrown away, but for those at the picture's border, which know no more in the whole picture.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.tiles import Rectangle

FloatArray = NDArray[np.float32]
Bytes = NDArray[np.uint8]

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

    @cached_property
    def _corners(self) -> tuple[NDArray[np.intp], ...]:
        """Where the corners of all cores are in the table of sums, row by row: lower right, upper left, the others."""
        tops, bottoms, lefts, rights = self._spans
        width = self.cells[1] + 1
        pairs = (bottoms, rights), (tops, lefts), (tops, rights), (bottoms, lefts)
        return tuple(rows[:, None] * width + columns for rows, columns in pairs)

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
        lower_right, upper_left, upper_right, lower_left = self._corners
        tiles: list[Tile] = []
        while len(tiles) < most:
            total = cv2.integral(left, sdepth=cv2.CV_32F).ravel()
            sums = total[lower_right] - total[upper_right]
            sums += total[upper_left] - total[lower_left]
            y, x = divmod(int(sums.argmax()), sums.shape[1])
            if sums[y, x] < least:
                break
            core = Rectangle(int(tops[y]), int(bottoms[y]), int(lefts[x]), int(rights[x]))
            left[core.slices()] = 0
            size = self.tile_size
            outer = Rectangle(y * self.stride, y * self.stride + size[0], x * self.stride, x * self.stride + size[1])
            tiles.append(Tile(outer, Rectangle(*(side * self.stride for side in core))))
        return tiles, left

    def place(self, tile: Tile, answer: FloatArray, picture: Bytes) -> None:
        """Put the answer for a tile into a picture, fading into what is there already.

        Args:
            answer: float32 in [0, 1] of the tile's size, or less where the picture was padded at the right and below.
            picture: uint8 (h, w), the tiled picture's upper left; changed.
        """
        height, width = answer.shape
        outer, core = tile.outer, tile.core
        rows = _fade(outer.top, outer.bottom, core.top, core.bottom, self.height)[:height]
        columns = _fade(outer.left, outer.right, core.left, core.right, self.width)[:width]
        here = picture[outer.top : outer.top + height, outer.left : outer.left + width]
        weight = rows[:, None] * columns
        here[...] = cv2.blendLinear(here, _as_bytes(answer), 1 - weight, weight)


@lru_cache(maxsize=256)
def _fade(first: int, last: int, core_first: int, core_last: int, length: int) -> FloatArray:
    """float32 (last − first,): 1 in the core, falling to 0 within a few pixels, not at the picture's border."""
    at = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
    before = np.full_like(at, np.inf) if core_first == 0 else at - core_first
    after = np.full_like(at, np.inf) if core_last == length else core_last - at
    return np.asarray(np.clip(np.minimum(before, after) / _FEATHER + np.float32(1), 0, 1), np.float32)


def _as_bytes(alpha: FloatArray) -> Bytes:
    return np.asarray(cv2.convertScaleAbs(alpha, alpha=255.0), np.uint8)
