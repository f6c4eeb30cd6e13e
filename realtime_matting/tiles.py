"""Rectangles of pictures."""

from typing import NamedTuple

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
