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

# Share of the new alpha in the result, where the picture is explained by the motion: at least so much, and more
# where the mattes are far apart, so that an old error is gone at once.
_LEAST, _NEAR_DIFFERENCE, _FAR_DIFFERENCE = 0.6, 0.2, 0.65
# From so much doubt on, in 1/255, the new alpha alone counts.
_CHANGED = 16
# Closer than this to 0 and 1 is 0 and 1: a slow decay would leave pixels soft that are not.
_SNAP = 0.02
# Share of the carried trimap in a new one, and the doubt from which on it has none.
_CARRIED, _LEANING = 0.5, 48
# Unexplained differences so small say nothing about which of two neighbours is right.
_EVEN = 2.0


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


def lean(planes: Bytes, carried: Bytes, doubt: Bytes) -> Bytes:
    """Let a new trimap lean on the carried one: a refresh is no reason for the outline to jump.

    Args:
        planes: uint8 (h, w, C), probabilities from the trimap network.
        carried: uint8 (h, w, C), of the frame before, moved to this frame.
        doubt: uint8 (h, w), see `Motion.doubt`.
    """
    trust = cv2.LUT(doubt, _LEANS)
    return np.asarray(cv2.blendLinear(carried, planes, trust, 1 - trust), np.uint8)


def between(before: Bytes, after: Bytes, doubt_before: Bytes, doubt_after: Bytes) -> Bytes:
    """The alpha of a frame from those of its two neighbours, each moved to it.

    Where one of the two motions explains the picture better than the other, its neighbour counts for more.

    Args:
        before, after: uint8 (h, w).
        doubt_before, doubt_after: uint8 (h', w'), what the motions leave unexplained, at any one size.

    Returns:
        uint8 (h, w), a new array.
    """
    square_before, square_after = (cv2.LUT(cv2.blur(doubt, (5, 5)), _SQUARED) for doubt in (doubt_before, doubt_after))
    share = cv2.divide(square_after, square_before + square_after)
    share = cv2.resize(share, (before.shape[1], before.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.LUT(cv2.blendLinear(before, after, share, 1 - share), _SNAPPED), np.uint8)


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
_LEANS = (_CARRIED * np.clip(1 - np.arange(256, dtype=np.float32) / _LEANING, 0, 1)).astype(np.float32).reshape(1, 256)
_SQUARED = np.square(np.arange(256, dtype=np.float32) + np.float32(_EVEN)).reshape(1, 256)
_SNAPPED = np.arange(256, dtype=np.uint8)
_SNAPPED[_LEVELS < _SNAP] = 0
_SNAPPED[_LEVELS > 1 - _SNAP] = 255
