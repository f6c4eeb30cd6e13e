"""Decoded pictures to RGB of one fixed size, with the colour matrix and range the stream is tagged with.

Measured on a 1280x720 yuv420p picture, one core: swscale's unscaled path takes 0.27 ms, as long as OpenCV's I420
conversion, which knows only BT.601 in limited range. So everything goes through swscale.
"""

from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

# ITU-T H.273 matrix coefficients, as tagged in the stream -> the matrix swscale knows by that name.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT709, _BT601 = 1, 5
_RGB, _UNSPECIFIED = 0, 2

_FROM_LIMITED = np.clip(np.rint((np.arange(256, dtype=np.float32) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


def matrix_of(tag: int, width: int, height: int) -> int:
    """The YUV matrix (swscale's number) of a picture tagged ``tag`` (ITU-T H.273).

    Untagged pictures are taken as players take them: BT.709 where either side is beyond 1024x576, else BT.601.
    """
    return _MATRICES.get(tag, _BT709 if width > 1024 or height > 576 else _BT601)


def is_known_matrix(tag: int) -> bool:
    """False for tags whose colours cannot be converted exactly (YCgCo, ICtCp …)."""
    return tag in _MATRICES or tag in (_RGB, _UNSPECIFIED)


def square_pixel_size(width: int, height: int, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """The size at which pixels of ``pixel_aspect`` (width / height of one pixel) become square, never smaller.

    The side that grows is rounded to an even number. Aspects within 1 % of square, and those so far off that they
    are a mistake in the file (beyond 1:8), count as square.
    """
    if not pixel_aspect or not Fraction(1, 8) <= pixel_aspect <= 8 or abs(pixel_aspect - 1) < Fraction(1, 100):
        return width, height
    if pixel_aspect > 1:
        return 2 * round(width * pixel_aspect / 2), height
    return width, 2 * round(height / pixel_aspect / 2)


class RgbConverter:
    """Converts decoded pictures to RGB uint8 (height, width, 3), scaling those of another size."""

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._height = height
        self._swscale = VideoReformatter()

    def __call__(self, picture: av.VideoFrame) -> NDArray[np.uint8]:
        """RGB uint8 (height, width, 3), contiguous; memory of its own, not kept by the converter."""
        name = picture.format.name
        limited_grey = name.startswith("gray") and picture.color_range == ColorRange.MPEG
        full = name.startswith("yuvj") or picture.color_range == ColorRange.JPEG or picture.format.is_rgb
        matrix = matrix_of(picture.colorspace, picture.width, picture.height)
        same_size = (picture.width, picture.height) == (self._width, self._height)
        converted = self._swscale.reformat(
            picture,
            width=self._width,
            height=self._height,
            format="rgb24",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            # RGB is full range either way; PyAV 14 takes two equal ranges for "nothing to convert".
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.UNSPECIFIED if full else ColorRange.JPEG,
            interpolation=Interpolation.BILINEAR if same_size else Interpolation.BICUBIC,
        )
        plane = converted.planes[0]
        rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(self._height, plane.line_size)
        rgb = rows[:, : 3 * self._width].reshape(self._height, self._width, 3)
        if limited_grey:  # swscale takes grey as full range whatever its tag says
            rgb = np.asarray(cv2.LUT(rgb, _FROM_LIMITED), dtype=np.uint8)
        return np.ascontiguousarray(rgb)
