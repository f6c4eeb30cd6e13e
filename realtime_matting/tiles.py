"""Rectangles of pictures, and a picture that is enlarged in parts."""

import math
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Value = TypeVar("Value", np.uint8, np.float32)


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
        """The pixels of the same picture at shape `target` that lie, also in part, in this area of it at `source`."""
        return Rectangle(
            self.top * target[0] // source[0],
            -(-self.bottom * target[0] // source[0]),
            self.left * target[1] // source[1],
            -(-self.right * target[1] // source[1]),
        )

    def slices(self) -> tuple[slice, slice]:
        """Index of this area in the picture."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def upsampled(plane: NDArray[Value], area: Rectangle, full: Shape) -> NDArray[Value]:
    """Linear interpolation of one area, the same as if the whole plane had been resized.

    Args:
        plane: uint8 or float32 (h, w) or (h, w, C).
        area: of the picture of shape `full`, which is no smaller than the plane.

    Returns:
        The pixels of `area`, of the plane's type; part of a larger array.
    """
    top, bottom, y, ratio_y = _reach(area.top, area.bottom, plane.shape[0], full[0])
    left, right, x, ratio_x = _reach(area.left, area.right, plane.shape[1], full[1])
    resized = cv2.resize(plane[top:bottom, left:right], None, fx=ratio_x, fy=ratio_y, interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized[y : y + area.bottom - area.top, x : x + area.right - area.left], plane.dtype)


def _reach(start: int, end: int, small: int, full: int) -> tuple[int, int, int, float]:
    """Along one side: which pixels to enlarge to get from `start` to `end`, where these begin, and the ratio.

    Pixels can be enlarged on their own from where both grids meet; beyond the last pixel wanted one more is looked at.
    """
    divisor = math.gcd(small, full)
    unit, unit_full = small // divisor, full // divisor
    first = max(0, ((2 * start + 1) * small - full) // (2 * full)) // unit
    last = min(small, -(-((2 * end + 1) * small) // (2 * full)) + 1)
    return first * unit, last, start - first * unit_full, full / small
