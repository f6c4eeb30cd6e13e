"""Steady mattes: what flickers is smoothed over time, what moves is followed.

Networks answer a little differently for every frame, although the person has not changed. Where the picture is the
frame before, moved, so must the matte be; where it is not, the past has no say.
"""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

# Share of the new alpha in the result, where the picture is explained by the motion: at least so much, and this much
# where the mattes are far apart, so that an old error is gone at once.
_LEAST, _FAR = 0.4, 1.0
_NEAR_DIFFERENCE, _FAR_DIFFERENCE = 0.15, 0.5
# From so much doubt on, the new alpha alone counts.
_CHANGED = 4
# Closer than this to 0 and 1 is 0 and 1: a slow decay would leave pixels soft that are not.
_SNAP = 0.02
# MODNet (Ke et al. 2022, arXiv 2011.11961, section "one-frame delay") calls alphas within 20 levels of 255 close.
_CLOSE = 20 / 255
# Neighbours so far apart do not agree; from so much doubt on, they have no say.
_APART = 0.25
_DOUBTFUL = 16
# Share of the carried trimap in a new one, and the doubt from which on it has none.
_CARRIED, _LEANING = 0.3, 24


def follow(new: FloatArray, carried: FloatArray, doubt: NDArray[np.uint8]) -> FloatArray:
    """The new alpha, smoothed by the last one where frame and last alpha agree.

    Args:
        new: float32 (h, w) in [0, 1], of this frame.
        carried: float32 (h, w), the last result, moved to this frame.
        doubt: uint8 (h, w), see `Motion.doubt`.

    Returns:
        float32 (h, w) in [0, 1], a new array.
    """
    change = new - carried
    share = np.abs(change)
    share -= np.float32(_NEAR_DIFFERENCE)
    share *= np.float32((_FAR - _LEAST) / (_FAR_DIFFERENCE - _NEAR_DIFFERENCE))
    share += np.float32(_LEAST)
    np.clip(share, _LEAST, _FAR, out=share)
    np.maximum(share, _distrust(doubt, _CHANGED), out=share)
    change *= share
    change += carried
    return _snapped(change)


def lean(probabilities: FloatArray, carried: FloatArray, doubt: NDArray[np.uint8]) -> None:
    """Let a new trimap lean on the carried one, in place: a refresh is no reason for the outline to jump.

    Args:
        probabilities: float32 (3, h, w), of the trimap network; changed.
        carried: float32 (3, h, w), of the frame before, moved to this frame.
        doubt: uint8 (h, w), see `Motion.doubt`.
    """
    share = 1 - _distrust(doubt, _LEANING)
    share *= np.float32(_CARRIED)
    for new, old in zip(probabilities, carried, strict=True):
        new += share * (old - new)


def between(before: FloatArray, now: FloatArray, after: FloatArray, doubt: NDArray[np.uint8]) -> FloatArray:
    """The alpha of a frame, seen between its two neighbours.

    Where the neighbours agree and this one differs from both, it flickers, and their mean is taken (MODNet's one-frame
    delay); where they are close to it, it is averaged with them; where the picture changes it is left as it is.

    Args:
        before, after: float32 (h, w), alphas of the neighbouring frames, moved to this one.
        now: float32 (h, w) in [0, 1], of this frame.
        doubt: uint8 (h, w), the larger of the two motions' `Motion.doubt`.

    Returns:
        float32 (h, w) in [0, 1], a new array.
    """
    neighbours = before + after
    neighbours *= np.float32(0.5)
    # 2/3 makes the plain mean of three. All of it, where the neighbours agree and this one is far from both.
    share = np.abs(now - neighbours)
    share *= np.float32(1 / (3 * _CLOSE))
    share += np.float32(1 / 3)
    np.clip(share, 2 / 3, 1, out=share)
    apart = np.abs(before - after)
    apart *= np.float32(1 / _APART)
    share *= np.clip(np.float32(1.5) - apart, 0, 1)
    share *= 1 - _distrust(doubt, _DOUBTFUL)
    neighbours -= now
    neighbours *= share
    neighbours += now
    return _snapped(neighbours)


def _distrust(doubt: NDArray[np.uint8], limit: int) -> FloatArray:
    """0 where there is no doubt, 1 where there is ``limit`` or more: float32 (h, w)."""
    return np.asarray(np.minimum(doubt, limit) * np.float32(1 / limit), np.float32)


def _snapped(alpha: FloatArray) -> FloatArray:
    alpha[alpha < _SNAP] = 0
    alpha[alpha > 1 - _SNAP] = 1
    return alpha
