"""Where each pixel of a frame was in the frame before, and how much of the picture that does not explain.

DIS optical flow (Kroeger et al. 2016, arXiv 1603.03590) with the settings OpenCV calls ultrafast: patches on a quarter
of the picture's size, nothing finer. So everything about motion is done on pictures of about 256 pixels, whatever the
networks' size, and only what is carried is moved at full size, as bytes. Chosen by carrying the exact alpha of nine
moving sequences (seven rendered clips, a dancer over two backgrounds) at 512×288; the figures are MAD·1e3 after 1 frame
and after 9, and milliseconds on one busy core:

==============================  =====  =====  =====
no motion at all                 13.6   63.8      0
DIS ultrafast at 160×90           8.2   36.3    0.1
DIS ultrafast at 256×144          6.5   27.1    0.3
**DIS ultrafast at 512×288**      4.9   22.1    1.1
DIS fast at 512×288               5.1   25.1    6.2
DIS medium at 512×288             3.9   19.8   30.7
==============================  =====  =====  =====

With a patch every 5 pixels for every 4 it is a third faster and no worse (six sequences at 672×378, exact alpha after
one frame, and of a frame between two: 5.2 and 2.8 for both).
"""

from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from realtime_matting.resampling import shrunk

FloatArray = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Plane = TypeVar("Plane", NDArray[np.uint8], NDArray[np.float32])

WIDTH = 256
"""Pixels, about: the width at which motion is looked for."""
# Of the pyramid: a quarter of the networks' size, where motion pictures are half of that.
_FINEST = 1
# A way is turned round by looking so many times where it leads.
_TURNS = 2
# A patch of 8 pixels every so many: a pixel more than OpenCV's own choice.
_PATCH_STRIDE = 5
# Means over 3 × 3 of the small pixels are compared: a webcam's noise all but vanishes in them, a wrong edge does not.
_BLUR = (3, 3)
# What is left of noise and of interpolation, in 1/255.
_NOISE = 8
# By so much a motion may explain noise better than none, in 1/255.
_CHANCE = 2
# Shorter ways, in pixels of the small picture, are the estimate's own unrest; carrying by them would only blur.
_STILL = 0.15
# The person's motion is extended outwards in a picture so many times smaller, by two boxes so wide.
_COARSE, _REACH = 2, 5
# Doubt by way: so much for each pixel of the small picture.
_PER_PIXEL = 8
# Mean evidence, in 1/255, that is hardly any.
_LITTLE = 0.2


@dataclass(frozen=True, eq=False)
class Grid:
    """The places of pixels: ``size`` (width, height) of the small pictures, of ``full_size`` of what is carried.

    ``fine_size`` lies between: half of the full size, or all of it where that is small.

    ``small``, ``fine`` and ``full``: float32 (h, w, 2), x and y of each pixel.
    """

    size: tuple[int, int]
    fine_size: tuple[int, int]
    full_size: tuple[int, int]
    small: FloatArray
    fine: FloatArray
    full: FloatArray

    @classmethod
    def of(cls, height: int, width: int) -> "Grid":
        """For what is carried at this size."""
        factor = max(1, round(width / WIDTH))
        size, fine = ((max(2, width // by), max(2, height // by)) for by in (factor, min(2, factor)))
        return cls(size, fine, (width, height), _places(*size), _places(*fine), _places(width, height))

    def shrink(self, picture: Bytes) -> Bytes:
        """uint8 (H, W[, C]) → (h, w[, C]): means."""
        return np.asarray(cv2.resize(picture, self.size, interpolation=cv2.INTER_AREA), np.uint8)

    def enlarge(self, plane: Bytes) -> Bytes:
        """uint8 (h, w) → (H, W), bilinear."""
        return np.asarray(cv2.resize(plane, self.full_size, interpolation=cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True, eq=False)
class Motion:
    """From the frame before to this one, in pictures of the small size (h, w).

    Attributes:
        way: float32 (h, w, 2), x and y from each pixel to the place in the frame before that it came from, in pixels.
        unexplained: uint8 (h, w), how much the frame differs from the frame before carried here: the largest
            difference of the three colours beyond noise, in 1/255.
        evidence: uint8 (h, w), how much worse the frame would be explained if nothing had moved, in 1/255: on plain
            walls and clothes the way is guesswork.
        camera: (x, y) as shares of width and height, how far the picture as a whole has moved.
        grid: the places of pixels.
    """

    way: FloatArray
    unexplained: Bytes
    evidence: Bytes
    camera: tuple[float, float]
    grid: Grid

    def with_person(self, person: Bytes) -> "Motion":
        """The same, but what surrounds the person goes where the person goes.

        The band of a trimap lies half on the background, whose own motion would tear it off the outline.

        Args:
            person: uint8 (h, w), 255 where the person is in this frame, about.
        """
        height, width = person.shape
        small = max(2, width // _COARSE), max(2, height // _COARSE)
        weight = np.float32(1 / 255) * cv2.resize(person, small, interpolation=cv2.INTER_AREA)
        weight *= weight
        way = cv2.resize(self.way, small, interpolation=cv2.INTER_AREA)
        weighted = cv2.merge([*(plane * weight for plane in cv2.split(way)), weight])
        for _ in range(2):
            weighted = cv2.blur(weighted, (_REACH, _REACH))
        x, y, total = cv2.split(weighted)
        total += np.float32(1e-4)
        mean = cv2.merge([x / total, y / total])
        mean = cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR)
        # In the person everything as it is; half way out of it, and farther, the mean.
        inside = cv2.LUT(person, _INSIDE)
        blended = cv2.blendLinear(self.way, mean, inside, 1 - inside)
        return replace(self, way=np.asarray(blended, np.float32))

    def doubt(self) -> Bytes:
        """uint8 (h, w): the larger of what is unexplained and of the way, in quarters of a full pixel.

        What comes from far is a little out of place and out of focus, even where the picture looks explained.
        """
        length = cv2.convertScaleAbs(cv2.magnitude(*cv2.split(self.way)), alpha=_PER_PIXEL)
        return np.asarray(cv2.max(self.unexplained, length), np.uint8)

    def travel(self, where: Bytes) -> float:
        """Mean way, a share of the width, where the picture shows it and ``where``, uint8 (h, w), is not 0."""
        length = cv2.magnitude(*cv2.split(self.way))
        weighted = cv2.mean(cv2.multiply(self.evidence, length, dtype=cv2.CV_32F), where)[0]
        return weighted / (cv2.mean(self.evidence, where)[0] + _LITTLE) / self.grid.size[0]

    def carry(self, planes: Bytes) -> Bytes:
        """What belongs to the frame before moved to where it is in this one: uint8 of one of the three sizes."""
        grid = self.grid
        size = planes.shape[1], planes.shape[0]
        if size == grid.size:
            return _moved(planes, self.way + grid.small)
        x, y = cv2.split(self.way)
        way = cv2.merge([x * np.float32(size[0] / grid.size[0]), y * np.float32(size[1] / grid.size[1])])
        source = cv2.resize(way, size, interpolation=cv2.INTER_LINEAR)
        return _moved(planes, cv2.add(source, grid.fine if size == grid.fine_size else grid.full, dst=source))


class View:
    """What motion is estimated from: one frame, prepared once. ``rgb``: uint8 (H, W, 3) of any size, not kept."""

    def __init__(self, rgb: Bytes, grid: Grid) -> None:
        # Half way down, for what is finer than motion.
        fine = shrunk(rgb, grid.fine_size[1], grid.fine_size[0])
        self.fine = np.asarray(cv2.cvtColor(fine, cv2.COLOR_RGB2GRAY), np.uint8)
        small = shrunk(rgb, grid.size[1], grid.size[0])
        self.grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        self.blurred = np.asarray(cv2.blur(small, _BLUR), np.uint8)


class MotionEstimator:
    """Estimates motion between pictures of one full size; keeps its work space."""

    def __init__(self, height: int, width: int) -> None:
        self.grid = Grid.of(height, width)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(_FINEST)
        self._flow.setPatchStride(_PATCH_STRIDE)
        # The way is found in patches of 8 pixels on halved pictures; where there is no room for them, nothing moves.
        self._too_small = min(self.grid.size) < 32

    def view(self, rgb: Bytes) -> View:
        """A frame as motion is estimated from."""
        return View(rgb, self.grid)

    def __call__(self, before: View, now: View) -> Motion:
        """The motion from ``before`` to ``now``."""
        if self._too_small:
            way = np.zeros_like(self.grid.small)
        else:
            flow = self._flow.calc(now.grey, before.grey, None)  # type: ignore[call-overload]  # a new array
            moving = cv2.compare(cv2.magnitude(*cv2.split(flow)), _STILL, cv2.CMP_GE)  # type: ignore[call-overload]
            way = np.asarray(cv2.bitwise_and(flow, flow, mask=moving), np.float32)
        return self._judged(way, before, now)

    def reversed(self, motion: Motion, before: View, now: View) -> Motion:
        """The motion from ``now`` back to ``before``, from the ``motion`` between them: a way turned round.

        Finding it anew takes twice as long and is no better: the alpha of a frame between two neighbours was wrong by
        2.83·1e-3, this way by 2.80 (six sequences, exact alpha of the neighbours).
        """
        way = -motion.way
        for _ in range(_TURNS):
            way = -_moved(motion.way, way + self.grid.small)
        return self._judged(way, now, before)

    def _judged(self, way: FloatArray, before: View, now: View) -> Motion:
        camera = -np.median(way[::12, ::12].reshape(-1, 2), axis=0)
        moved = _moved(before.blurred, way + self.grid.small)
        difference = _difference(now.blurred, moved)
        unexplained = cv2.subtract(difference, _NOISE)  # type: ignore[call-overload]  # a number
        evidence = cv2.subtract(_difference(now.blurred, before.blurred), cv2.add(difference, _CHANCE))  # type: ignore[call-overload]
        width, height = self.grid.size
        share = float(camera[0]) / width, float(camera[1]) / height
        return Motion(way, np.asarray(unexplained, np.uint8), np.asarray(evidence, np.uint8), share, self.grid)


_INSIDE = np.clip(2 * np.linspace(0, 1, 256, dtype=np.float32) - 1, 0, 1).reshape(1, 256)


def _difference(one: MatLike, other: MatLike) -> MatLike:
    """The largest of the colours' differences."""
    red, green, blue = cv2.split(cv2.absdiff(one, other))
    return cv2.max(cv2.max(red, green), blue)


def _places(width: int, height: int) -> FloatArray:
    y, x = np.indices((height, width), np.float32)
    return np.dstack([x, y])


def _moved(picture: Plane, source: MatLike) -> Plane:
    return cv2.remap(picture, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload,no-any-return]  # one map
