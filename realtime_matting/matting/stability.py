"""Steady mattes: what flickers is smoothed over time, what moves is followed.

Networks answer a little differently for every frame, although the person has not changed. Where the picture is the
frame before, moved, so must the matte be; where it is not, the past has no say.

Everything is done on bytes, 1/255 being finer than what a network says, in operations that fill no float plane.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

# Share of the new alpha in the result, where the picture is explained by the motion: at least so much, and more
# where the mattes are far apart, so that an old error is gone at once.
_LEAST, _NEAR_DIFFERENCE, _FAR_DIFFERENCE = 0.6, 0.2, 0.65
# From so much doubt on, in 1/255, the new alpha alone counts.
_CHANGED = 16
# Closer than this to 0 and 1 is 0 and 1: a slow decay would leave pixels soft that are not.
_SNAP = 0.02
# Unexplained differences so small say nothing about which of two neighbours is right.
_EVEN = 2.0
# Windows in which picture and alpha are compared, and the variance, in squares of 1/255, of a plain picture.
_WINDOW, _PLAIN = (5, 5), 100.0


def follow(new: Bytes, carried: Bytes, doubt: Bytes) -> Bytes:
    """The new alpha, smoothed by the last one where frame and last alpha agree.

    Args:
        new: uint8 (h, w), of this frame.
        carried: uint8 (h, w), the last result, moved to this frame.
        doubt: uint8 (h, w), see `Motion.doubt`.

    Returns:
        uint8 (h, w), a new array.
    """
    share = cv2.max(cv2.LUT(cv2.absdiff(new, carried), _FAR), cv2.LUT(doubt, _DISTRUST))
    return np.asarray(cv2.LUT(_towards(carried, new, np.asarray(share, np.uint8)), _SNAPPED), np.uint8)


def between(before: Bytes, after: Bytes, share: FloatArray) -> Bytes:
    """The alpha of a frame from those of its two neighbours, each moved to it.

    Args:
        before, after: uint8 (h, w).
        share: float32 (h', w') of any size, see `share_of_before`.

    Returns:
        uint8 (h, w), a new array.
    """
    enlarged = cv2.resize(share, (before.shape[1], before.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.blendLinear(before, after, enlarged, 1 - enlarged), np.uint8)


def share_of_before(doubt_before: Bytes, doubt_after: Bytes) -> FloatArray:
    """How much a frame's neighbour before it counts, where the one after it counts for the rest.

    Where one of the two motions explains the picture better than the other, its neighbour counts for more.

    Args:
        doubt_before, doubt_after: uint8 (h, w), what the motions leave unexplained.

    Returns:
        float32 (h, w) in [0, 1].
    """
    square_before, square_after = (cv2.LUT(cv2.blur(doubt, (5, 5)), _SQUARED) for doubt in (doubt_before, doubt_after))
    return np.asarray(cv2.divide(square_after, square_before + square_after), np.float32)


def corrected(alpha: Bytes, expected: Bytes, shown: Bytes) -> Bytes:
    """An alpha that was moved to a frame, made to fit what the frame shows there.

    Motion is a little wrong everywhere, and picture and alpha are moved by the same wrong way. So wherever the picture
    differs from what was ``expected``, alpha differs too, by so much as alpha and picture hang together thereabouts:
    the linear model of the guided filter (He et al. 2010), fitted to the moved pair and applied to the difference.

    Args:
        alpha: uint8 (H, W).
        expected: uint8 (h, w), a grey picture moved as alpha was.
        shown: uint8 (h, w), the grey picture of the frame.

    Returns:
        uint8 (H, W), a new array.
    """
    size = expected.shape[1], expected.shape[0]
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    mean, product = cv2.boxFilter(expected, cv2.CV_32F, _WINDOW), cv2.multiply(expected, small, dtype=cv2.CV_32F)
    means = cv2.multiply(mean, cv2.boxFilter(small, cv2.CV_32F, _WINDOW))
    covariance = cv2.subtract(cv2.boxFilter(product, cv2.CV_32F, _WINDOW), means, dst=means)
    squares = cv2.multiply(mean, mean, dst=mean)
    variance = cv2.subtract(cv2.sqrBoxFilter(expected, cv2.CV_32F, _WINDOW), squares, dst=squares)
    variance = cv2.add(variance, _PLAIN, dst=variance)  # type: ignore[call-overload]  # a number
    slope = cv2.divide(covariance, variance, dst=covariance)
    change = cv2.multiply(slope, cv2.subtract(shown, expected, dtype=cv2.CV_32F), dst=slope)
    change = cv2.resize(change, (alpha.shape[1], alpha.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.LUT(cv2.add(alpha, change, dtype=cv2.CV_8U), _SNAPPED), np.uint8)


def _towards(start: Bytes, end: Bytes, share: Bytes) -> Bytes:
    """``start`` + (``end`` − ``start``) · ``share`` / 255."""
    up = cv2.multiply(cv2.subtract(end, start), share, scale=1 / 255)
    down = cv2.multiply(cv2.subtract(start, end), share, scale=1 / 255)
    return np.asarray(cv2.subtract(cv2.add(start, up), down), np.uint8)


_LEVELS = np.linspace(0, 1, 256, dtype=np.float32)


def _bytes(values: NDArray[np.floating[Any]]) -> Bytes:
    return np.asarray(np.rint(255 * np.clip(values, 0, 1)), np.uint8)


_FAR = _bytes(np.interp(_LEVELS, (_NEAR_DIFFERENCE, _FAR_DIFFERENCE), (_LEAST, 1)))
_DISTRUST = _bytes(np.arange(256, dtype=np.float32) / _CHANGED)
_SQUARED = np.square(np.arange(256, dtype=np.float32) + np.float32(_EVEN)).reshape(1, 256)
_SNAPPED = np.arange(256, dtype=np.uint8)
_SNAPPED[_LEVELS < _SNAP] = 0
_SNAPPED[_LEVELS > 1 - _SNAP] = 255
