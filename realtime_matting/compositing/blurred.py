"""The room behind the person, out of focus, without a glow of the person's colours around the outline."""

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from realtime_matting.resampling import reduced

Rgb = NDArray[np.uint8]

_SIGMA_OF_SHORT_SIDE = 0.08  # the blur at full strength
_SIGMA = 3.0  # of the blur in the reduced picture: as small as is still smooth when enlarged,
_ROWS = 240  # unless that takes a picture larger than this
_MARGIN = np.ones((3, 3), np.uint8)
_ROOM = 0.25  # a pixel with more alpha than this is left out
_WIDER = (12, 4)  # half the sides, in σ, of the boxes that look for the room where the blur finds next to none
_FAINT = np.float32(0.02)  # the share of room in the blur's reach that counts as next to none


def blurred_room(frame: Rgb, alpha: NDArray[np.float32], strength: float) -> Rgb:
    """Blur what is behind the person: normalised blur(w·I) / blur(w), in a reduced picture.

    Blurring the frame itself would smear the person into the room. So the weight w = max(0, 1 − 4α)² is zero not only
    in the person but also in pixels that are a mixture with the person's colour, and alpha is grown by a pixel of the
    reduced picture, for it is never exact. Where the person hides the room, wider means of it fill in, up to the mean
    of all that is seen of it.

    Args:
        frame: uint8 (H, W, 3).
        alpha: float32 (H, W) in [0, 1].
        strength: above 0, to 1: a Gaussian with a σ of 8 % of the frame's shorter side.

    Returns:
        uint8 (H, W, 3), a new array.
    """
    height, width = alpha.shape
    sigma = strength * _SIGMA_OF_SHORT_SIDE * min(height, width)
    reduction = max(1.0, sigma / _SIGMA, min(height, width) / _ROWS)
    shape = max(1, round(height / reduction)), max(1, round(width / reduction))
    sigma /= reduction
    picture, person = reduced(frame, *shape), cv2.dilate(reduced(alpha, *shape), _MARGIN)
    weight = np.square(np.clip(1 - person / np.float32(_ROOM), 0, 1))
    weighted = picture * _three(weight)

    seen = weight.sum()
    room = weighted.sum((0, 1)) / seen if seen > 0 else picture.mean((0, 1))
    for reach in _WIDER:
        box = (2 * round(reach * sigma) + 1,) * 2
        room = _mean(cv2.blur(weighted, box), cv2.blur(weight, box), room)
    room = _mean(cv2.GaussianBlur(weighted, (0, 0), sigma), cv2.GaussianBlur(weight, (0, 0), sigma), room)
    rounded = cv2.convertScaleAbs(room)
    return np.asarray(cv2.resize(rounded, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _three(plane: MatLike) -> NDArray[np.float32]:
    """(h, w) to (h, w, 3)."""
    return np.asarray(cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB), np.float32)


def _mean(weighted: MatLike, weight: MatLike, otherwise: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted mean; where there is next to no weight, `otherwise`."""
    return np.asarray((weighted + _FAINT * otherwise) / (_three(weight) + _FAINT), np.float32)
