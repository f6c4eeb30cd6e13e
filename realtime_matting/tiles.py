"""Rectangles around the soft pixels, so that costly filters run there and nowhere else."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]


class Rectangle(NamedTuple):
    """Rows `top` to `bottom` and columns `left` to `right` of a picture, the last ones not included."""

    top: int
    bottom: int
    left: int
    right: int

    def grown(self, y: int, x: int, shape: Shape) -> "Rectangle":
        """With a margin on each side, as far as the picture of `shape` reaches."""
        return Rectangle(
            max(0, self.top - y), min(shape[0], self.bottom + y), max(0, self.left - x), min(shape[1], self.right + x)
        )

    def scaled(self, source: Shape, target: Shape) -> "Rectangle":
        """The same area in the picture of shape `target` instead of `source`; exact at multiples of `units`."""
        return Rectangle(
            self.top * target[0] // source[0],
            self.bottom * target[0] // source[0],
            self.left * target[1] // source[1],
            self.right * target[1] // source[1],
        )

    def slices(self, within: "Rectangle | None" = None) -> tuple[slice, slice]:
        """Index of this area in the picture, or in the array that holds only the area `within`."""
        y, x = (within.top, within.left) if within else (0, 0)
        return slice(self.top - y, self.bottom - y), slice(self.left - x, self.right - x)


def units(shape: Shape, other: Shape) -> tuple[int, int]:
    """(rows, columns) of a picture of `shape` after which its pixel grid meets that of the same picture at `other`.

    Only there can a part be resized on its own.
    """
    return shape[0] // math.gcd(shape[0], other[0]), shape[1] // math.gcd(shape[1], other[1])


def hull(areas: Iterable[Rectangle]) -> Rectangle:
    """The smallest rectangle that holds all areas, of which there must be one at least."""
    tops, bottoms, lefts, rights = zip(*areas, strict=True)
    return Rectangle(min(tops), max(bottoms), min(lefts), max(rights))


def bands(mask: NDArray[np.uint8], unit: tuple[int, int], band: int, cell: int) -> Iterator[list[Rectangle]]:
    """Rectangles that hold all pixels of a mask: one list for each band of rows with any, from left to right.

    Args:
        mask: uint8 (H, W), not 0 where there is something to do.
        unit: all borders are at multiples of this many rows and columns, or at the border of the picture.
        band, cell: about how many rows and columns to treat as one.
    """
    height, width = mask.shape
    band, cell = math.ceil(band / unit[0]) * unit[0], math.ceil(cell / unit[1]) * unit[1]
    lefts = np.arange(0, width, cell)
    for top in range(0, height, band):
        bottom = min(top + band, height)
        touched = np.maximum.reduceat(mask[top:bottom].max(axis=0), lefts) > 0
        padded = np.concatenate(([False], touched, [False]))
        edges = np.flatnonzero(padded[1:] != padded[:-1]).tolist()
        if edges:
            yield [
                Rectangle(top, bottom, first * cell, min(last * cell, width))
                for first, last in zip(edges[::2], edges[1::2], strict=True)
            ]


def upsampled(
    plane: NDArray[np.float32], source: Rectangle, area: Rectangle, small: Shape, full: Shape
) -> NDArray[np.float32]:
    """Linear interpolation of one area, the same as if the whole plane had been resized.

    Args:
        plane: float32 (h', w') or (h', w', C), the pixels of `source`, which must hold `area` grown by one unit.
        source, area: in the picture of shape `small`.

    Returns:
        `area` in the picture of shape `full`.
    """
    outer = area.grown(*units(small, full), small)
    outer_full = outer.scaled(small, full)
    size = outer_full.right - outer_full.left, outer_full.bottom - outer_full.top
    resized = cv2.resize(plane[outer.slices(source)], size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized[area.scaled(small, full).slices(outer_full)], np.float32)
