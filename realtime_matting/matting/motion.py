"""Where each pixel of a frame was in the frame before, and how much of the picture that does not explain.

DIS optical flow (Kroeger et al. 2016, arXiv 1603.03590) with the settings OpenCV calls ultrafast. Chosen by carrying
the exact alpha of nine moving sequences (seven rendered clips, a dancer over two backgrounds) at 512×288; the figures
are MAD·1e3 after 1 frame and after 9, and milliseconds on one busy core:

==============================  =====  =====  =====
no motion at all                 13.6   63.8      0
DIS ultrafast at 160×90           8.2   36.3    0.1
DIS ultrafast at 256×144          6.5   27.1    0.3
**DIS ultrafast at 512×288**      4.9   22.1    1.1
DIS fast at 512×288               5.1   25.1    6.2
DIS medium at 512×288             3.9   19.8   30.7
==============================  =====  =====  =====
"""

from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Rgb = NDArray[np.uint8]

# Means over 5 × 5 pixels are compared: a webcam's noise all but vanishes in them, an edge in the wrong place does not.
_BLUR = (5, 5)
# What is left of noise and of interpolation, in 1/255.
_NOISE = 8
# Shorter ways are the estimate's own unrest, and carrying by them would only blur.
_STILL = 0.3
# The person's motion is extended outwards in a picture so many times smaller, by two boxes so wide.
_COARSE, _REACH = 4, 5
_PER_PIXEL = 4


@dataclass(frozen=True, eq=False)
class Motion:
    """From the frame before to this one.

    Attributes:
        source: float32 (h, w, 2), x and y of the place in the frame before that each pixel came from.
        unexplained: uint8 (h, w), how much the frame differs from the frame before carried here: the largest
            difference of the three colours beyond noise, in 1/255.
        camera: (x, y) in pixels, how far the picture as a whole has moved.
        here: float32 (h, w, 2), x and y of each pixel itself.
    """

    source: FloatArray
    unexplained: NDArray[np.uint8]
    camera: tuple[float, float]
    here: FloatArray

    def with_person(self, person: FloatArray) -> "Motion":
        """The same, but what surrounds the person goes where the person goes.

        The band of a trimap lies half on the background, whose own motion would tear it off the outline.

        Args:
            person: float32 (h, w) in [0, 1], where the person is in this frame, about.
        """
        height, width = person.shape
        small = max(2, width // _COARSE), max(2, height // _COARSE)
        weight = np.square(cv2.resize(person, small, interpolation=cv2.INTER_AREA))
        way = cv2.resize(self.source - self.here, small, interpolation=cv2.INTER_AREA)
        weighted = np.dstack([way * weight[..., None], weight])
        for _ in range(2):
            weighted = np.asarray(cv2.blur(weighted, (_REACH, _REACH)), np.float32)
        mean = weighted[..., :2] / (weighted[..., 2:] + np.float32(1e-4))
        source = np.asarray(cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        source += self.here
        source -= self.source
        source *= np.clip(2 - 2 * person, 0, 1)[..., None]
        source += self.source
        return Motion(source, self.unexplained, self.camera, self.here)

    def doubt(self) -> NDArray[np.uint8]:
        """uint8 (h, w): the larger of what is unexplained and of the way, in quarters of a pixel.

        What comes from far is a little out of place and out of focus, even where the picture looks explained.
        """
        way = self.source - self.here
        length = cv2.convertScaleAbs(cv2.magnitude(*cv2.split(way)), alpha=_PER_PIXEL)
        return np.asarray(cv2.max(self.unexplained, length), np.uint8)

    def carry(self, planes: FloatArray) -> FloatArray:
        """What belongs to the frame before, float32 (h, w) or (h, w, C), moved to where it is in this frame."""
        return np.asarray(_moved(planes, self.source), np.float32)


class View:
    """What motion is estimated from: one frame, prepared once. ``rgb`` is uint8 (h, w, 3) and not kept."""

    def __init__(self, rgb: Rgb) -> None:
        self.grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        self.blurred = cv2.blur(rgb, _BLUR)


class MotionEstimator:
    """Estimates motion between pictures of one size; keeps its work space."""

    def __init__(self, height: int, width: int) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        y, x = np.indices((height, width), np.float32)
        self._here = np.dstack([x, y])
        # The way is found in patches of 8 pixels on halved pictures; where there is no room for them, nothing moves.
        self._too_small = min(height, width) < 32

    def __call__(self, before: View, now: View) -> Motion:
        """The motion from ``before`` to ``now``."""
        if self._too_small:
            way = np.zeros_like(self._here)
        else:
            flow = self._flow.calc(now.grey, before.grey, None)  # type: ignore[call-overload]  # a new array
            way = np.asarray(flow, np.float32)
            moving = (cv2.magnitude(*cv2.split(way)) >= _STILL).view(np.uint8)
            way = np.asarray(cv2.bitwise_and(way, way, mask=moving), np.float32)
        sparse = way[::8, ::8].reshape(-1, 2)
        camera = -np.median(sparse, axis=0)
        way += self._here
        moved = _moved(before.blurred, way)
        red, green, blue = cv2.split(cv2.absdiff(now.blurred, moved))
        unexplained = cv2.subtract(cv2.max(cv2.max(red, green), blue), _NOISE)  # type: ignore[call-overload]  # a number
        return Motion(way, np.asarray(unexplained, np.uint8), (float(camera[0]), float(camera[1])), self._here)


def _moved(picture: MatLike, source: FloatArray) -> MatLike:
    return cv2.remap(picture, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload,no-any-return]  # one map
