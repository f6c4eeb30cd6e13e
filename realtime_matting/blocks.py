"""Small blocks around the soft pixels, side by side in memory: costly arithmetic runs on them and on little else.

Soft pixels lie along thin lines, and a rectangle around a piece of line holds mostly other pixels; the smaller the
pieces, the fewer. Blocks of one size are copied out together, so that the number of calls does not grow with theirs.
"""

from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from realtime_matting.tiles import Rectangle, rows_of

ROWS, COLUMNS = 16, 32
"""Of a block. The narrower they are the fewer pixels are treated, and the more pieces of rows are copied."""
_MOST = 64  # blocks at once: their planes stay in the processor's cache

Value = TypeVar("Value", bound=np.generic)


class Blocks(NamedTuple):
    """Blocks of `height` × `width` pixels, from the top down and from left to right: int (N,) first rows, columns."""

    height: int
    width: int
    tops: NDArray[np.intp]
    lefts: NDArray[np.intp]

    def hull(self) -> Rectangle:
        """The smallest rectangle that holds all of them."""
        return Rectangle(
            int(self.tops[0]),
            int(self.tops[-1]) + self.height,
            int(self.lefts.min()),
            int(self.lefts.max()) + self.width,
        )

    def within(self, area: Rectangle) -> "Blocks":
        """The same in an array that holds only `area` of the picture."""
        return self._replace(tops=self.tops - area.top, lefts=self.lefts - area.left)

    def bands(self, rows: int) -> Iterator["Blocks"]:
        """Those that begin in each of the picture's bands of so many rows, where there are any."""
        ends = np.searchsorted(self.tops, np.arange(rows, self.tops[-1] + rows + 1, rows)).tolist()
        for first, end in zip([0, *ends], ends, strict=False):
            if first < end:
                yield self._replace(tops=self.tops[first:end], lefts=self.lefts[first:end])

    def portions(self) -> Iterator["Blocks"]:
        """A few at a time, as many as the cache holds the planes of."""
        for first in range(0, len(self.tops), _MOST):
            here = slice(first, first + _MOST)
            yield self._replace(tops=self.tops[here], lefts=self.lefts[here])


def blocks_of(mask: NDArray[np.uint8]) -> list[Blocks]:
    """Blocks that hold all pixels of a mask, and no pixel twice: those of full size, then those at the far borders.

    Args:
        mask: uint8 (H, W), not 0 where there is something to do.
    """
    height, width = mask.shape
    touched = np.bitwise_or.reduceat(rows_of(mask, ROWS), np.arange(0, width, COLUMNS), axis=1)
    tops, lefts = np.nonzero(touched)
    tops, lefts = tops * ROWS, lefts * COLUMNS
    found = []
    for rows, whole_rows in ((ROWS, tops + ROWS <= height), (height % ROWS, tops + ROWS > height)):
        for columns, whole in ((COLUMNS, lefts + COLUMNS <= width), (width % COLUMNS, lefts + COLUMNS > width)):
            here = whole_rows & whole
            if here.any():
                found.append(Blocks(rows, columns, tops[here], lefts[here]))
    return found


class Windows(Generic[Value]):
    """A picture seen as its blocks of one size."""

    def __init__(self, picture: NDArray[Value], size: Blocks) -> None:
        """A picture (H, W) or (H, W, C), its channels side by side in memory, and blocks of the size wanted."""
        height, width = picture.shape[:2]
        self._channels = picture.shape[2:]
        self._shape = size.height, size.width * (picture.shape[2] if self._channels else 1)
        down, right = picture.strides[:2]
        # `as_strided` takes four times as long, but any picture.
        windows = (height - size.height + 1, width - size.width + 1, *self._shape)
        strides = (down, right, down, picture.itemsize)
        if picture.flags.c_contiguous:
            self._view = np.ndarray(windows, picture.dtype, picture, strides=strides)
        else:
            self._view = as_strided(picture, windows, strides)

    def take(self, blocks: Blocks) -> NDArray[Value]:
        """A copy of the blocks, (N, pixels of each) or (N, pixels of each, C)."""
        taken = self._view[blocks.tops, blocks.lefts]
        return taken.reshape(len(taken), blocks.height * blocks.width, *self._channels)

    def put(self, blocks: Blocks, pixels: NDArray[Value]) -> None:
        """Write pixels, as `take` returns them, to the picture."""
        self._view[blocks.tops, blocks.lefts] = pixels.reshape(len(pixels), *self._shape)
