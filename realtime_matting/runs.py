"""Short runs of pixels around the soft ones, side by side in memory: costly arithmetic works on these and little else.

Soft pixels lie along thin lines; of a run of 16 pixels in a row two thirds are soft, of a block of 16 rows two fifths.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

LENGTH = 16
"""Pixels of a run, where pictures are as wide as a multiple of it."""
_MOST = 32768  # pixels at once: their planes stay in the processor's cache

Value = TypeVar("Value", bound=np.generic)
Places = NDArray[np.intp]


class Runs:
    """The runs that hold all pixels of a mask, no pixel twice.

    Attributes:
        length: pixels of each run; the width of the picture is a multiple of it.
        places: int (N,), in order; run i is the pixels i·length to (i + 1)·length of the picture, row after row.
    """

    def __init__(self, mask: NDArray[np.uint8]) -> None:
        """Of a mask, uint8 (H, W), contiguous, not 0 where there is something to do."""
        self._width = mask.shape[1]
        self.length = math.gcd(LENGTH, self._width)
        if self.length == LENGTH:
            halves = mask.reshape(-1).view(np.uint64)
            touched = np.bitwise_or(halves[::2], halves[1::2]) != 0
        else:
            touched = mask.reshape(-1, self.length).any(axis=1)
        self.places: Places = np.flatnonzero(touched)

    def bands(self, rows: int) -> Iterator[tuple[int, int, Places]]:
        """First row, last row (not included) and places of each band of so many rows, where there are any.

        The first and last rows are those of the runs, and places are counted from the first row on.
        """
        per_row = self._width // self.length
        last = int(self.places[-1]) // per_row if len(self.places) else -1
        ends = np.searchsorted(self.places, np.arange(1, last // rows + 2) * (rows * per_row)).tolist()
        for first, end in zip([0, *ends], ends, strict=False):
            if first < end:
                here = self.places[first:end]
                top, bottom = int(here[0]) // per_row, int(here[-1]) // per_row + 1
                yield top, bottom, here - top * per_row

    def portions(self, places: Places) -> Iterator[Places]:
        """A few at a time, as many as the cache holds the planes of."""
        step = max(1, _MOST // self.length)
        return (places[first : first + step] for first in range(0, len(places), step))

    def take(self, picture: NDArray[Value], places: Places) -> NDArray[Value]:
        """A copy of the pixels of runs of a picture, (H, W) or (H, W, C): (N, length) or (N, length, C)."""
        channels = picture.shape[2:]
        rows = picture.reshape(-1, self.length * math.prod(channels))
        return rows.take(places, axis=0, mode="clip").reshape(len(places), self.length, *channels)

    def take_planes(self, planes: Sequence[NDArray[Value]], places: Places) -> NDArray[Value]:
        """The same of several pictures (H, W) of one type: (pictures, N, length)."""
        return np.stack([self.take(plane, places) for plane in planes])

    def put(self, picture: NDArray[Value], places: Places, pixels: NDArray[Value]) -> None:
        """Write pixels, as `take` returns them, to the picture, which must be contiguous."""
        size = self.length * math.prod(picture.shape[2:]) * picture.itemsize
        # As items of one size: four times as fast as as rows of numbers.
        whole = np.ndarray(picture.size * picture.itemsize // size, f"V{size}", picture)
        whole[places] = np.ascontiguousarray(pixels).reshape(-1).view(whole.dtype)
