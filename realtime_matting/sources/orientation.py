"""Turning a stored picture upright: the eight orientations of EXIF and of the display matrix in MP4, MOV and MKV."""

import struct
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Orientation:
    """How to make a stored picture upright, in this order: transpose, mirror left-right, flip top-bottom."""

    transposed: bool
    mirrored: bool
    flipped: bool

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The upright picture of uint8 (H, W) or (H, W, C); the picture itself where nothing is to be done."""
        if self.transposed:
            picture = np.asarray(cv2.transpose(picture), dtype=np.uint8)
        if self.mirrored or self.flipped:
            around = -1 if self.mirrored and self.flipped else int(self.mirrored)
            picture = np.asarray(cv2.flip(picture, around), dtype=np.uint8)
        return picture

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the upright picture of a stored one."""
        return (height, width) if self.transposed else (width, height)


UPRIGHT = Orientation(transposed=False, mirrored=False, flipped=False)

# EXIF 2.32, tag 0x0112 "Orientation": where row 0 and column 0 of the stored picture are shown.
_EXIF = {
    1: UPRIGHT,
    2: Orientation(transposed=False, mirrored=True, flipped=False),
    3: Orientation(transposed=False, mirrored=True, flipped=True),
    4: Orientation(transposed=False, mirrored=False, flipped=True),
    5: Orientation(transposed=True, mirrored=False, flipped=False),
    6: Orientation(transposed=True, mirrored=True, flipped=False),
    7: Orientation(transposed=True, mirrored=True, flipped=True),
    8: Orientation(transposed=True, mirrored=False, flipped=True),
}


def from_exif(value: int) -> Orientation:
    """The orientation of an EXIF tag value 1…8; upright for any other value."""
    return _EXIF.get(value, UPRIGHT)


def from_display_matrix(matrix: bytes) -> Orientation:
    """The nearest of the eight orientations to a display matrix.

    Args:
        matrix: nine native int32 ``a b u  c d v  x y w`` (ISO/IEC 14496-12, 8.3.2): a stored pixel (p, q) is shown at
            (a·p + c·q + x, b·p + d·q + y), y pointing down.
    """
    a, b, _, c, d = struct.unpack("=5i", matrix[:20])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transposed=True, mirrored=c < 0, flipped=b < 0)
    return Orientation(transposed=False, mirrored=a < 0, flipped=d < 0)
