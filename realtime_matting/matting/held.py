"""A trimap that serves up to three frames: moved along with the person, it lets the trimap network rest.

A live run cannot wait for the next frame, and carrying a matte, as files have it, costs it as much as it saves. But the
unknown band is many pixels wide: where a trimap is moved about as the person moved, the matting network, which sees
every frame, finds the edge in the band as well as in a new one. So the motion of a very small picture will do.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

_SIZE = (160, 90)
"""Width and height of the pictures in which motion is looked for."""
_MOST = 2
"""Frames that a trimap serves beside its own."""
# Mean way, in pixels of those, that the motion leaves unexplained in and around the band, summed up over the frames. On
# seven rendered clips and a dancer over two backgrounds, T-Net runs a frame, and MAD and dtSSD of those with a run for
# every frame: 0.2 0.70, 1.011, 1.013; 0.25 0.67, 1.014, 1.017. The trimap as it was, for one frame: 0.85, 1.007, 1.008.
_LIMIT = 0.2
_BAND = 0.05  # probability of "unknown"
_NOBODY = 0.95  # probability of "background"
_NOTHING = 0.05  # of contrast, in 1/255: there is nothing to see that could move
# Mean difference of the background, in 1/255, at which somebody may have come in.
_ELSEWHERE = 1.5
# DIS optical flow (Kroeger et al. 2016, arXiv 1603.03590): at the pictures' own size, patches of 8 pixels every 6, a
# few iterations, smoothed. A millisecond; with a patch every 4 pixels and 16 iterations, 2.1 ms, the network runs a
# twentieth less often, at half of the size, 0.5 ms, a tenth more often.
_FINEST, _PATCH, _EVERY, _ITERATIONS, _SMOOTH = 0, 8, 6, 8, 2.0


class HeldTrimap:
    """The class probabilities of a frame before, and whether they will do. For each frame: `for_frame`, or `keep`."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(_FINEST)
        self._flow.setPatchSize(_PATCH)
        self._flow.setPatchStride(_EVERY)
        self._flow.setGradientDescentIterations(_ITERATIONS)
        self._probabilities: FloatArray | None = None
        self._before: FloatArray | None = None
        self._served = 0
        self._unexplained = 0.0

    def forget(self) -> None:
        """The next frame is the first."""
        self._probabilities = self._before = None

    def for_frame(self, rgb: Bytes) -> FloatArray | None:
        """The probabilities for the next frame, float32 (3, h, w), or None where a network had better look.

        Args:
            rgb: uint8 (H, W, 3), the frame at any size.
        """
        grey = cv2.cvtColor(cv2.resize(rgb, _SIZE, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        now = np.asarray(cv2.GaussianBlur(np.asarray(grey, np.float32), (0, 0), 1), np.float32)
        before, self._before = self._before, now
        held = self._probabilities
        if held is None or before is None or self._served == _MOST:
            return None
        nobody, band = (np.asarray(cv2.resize(plane, _SIZE, interpolation=cv2.INTER_AREA)) for plane in held[:2])
        if cv2.mean(cv2.absdiff(now, before), _mask(nobody, _NOBODY))[0] > _ELSEWHERE:
            return None
        way = self._way(before, now)
        self._unexplained += _unexplained(_moved([before], way)[0], now, _mask(band, _BAND))
        if self._unexplained > _LIMIT:
            return None
        self._served += 1
        self._probabilities = np.stack(_moved(held, way))
        return self._probabilities

    def keep(self, probabilities: FloatArray) -> None:
        """What the network said of the frame last asked for: float32 (3, h, w) of any size; copied."""
        self._probabilities, self._served, self._unexplained = probabilities.copy(), 0, 0.0

    def _way(self, before: FloatArray, now: FloatArray) -> FloatArray:
        """From each pixel to the place that it came from: float32 (h, w, 2), x and y in pixels of the small size."""
        target, source = (np.asarray(cv2.convertScaleAbs(picture), np.uint8) for picture in (now, before))
        way = self._flow.calc(target, source, None)  # type: ignore[call-overload]  # no first guess
        return np.asarray(cv2.GaussianBlur(way, (0, 0), _SMOOTH), np.float32)


def _mask(plane: NDArray[np.float32], above: float) -> Bytes:
    return np.asarray(plane > above).view(np.uint8)


def _moved(planes: Sequence[FloatArray] | FloatArray, way: FloatArray) -> list[FloatArray]:
    """float32 (H, W) of one size, each pixel taken from where ``way``, float32 (h, w, 2) of the small size, leads."""
    height, width = planes[0].shape
    x, y = (
        np.asarray(cv2.resize(part, (width, height)), np.float32) * np.float32(full / small)
        for part, full, small in zip(cv2.split(way), (width, height), _SIZE, strict=True)
    )
    x += np.arange(width, dtype=np.float32)
    y += np.arange(height, dtype=np.float32)[:, None]
    return [
        np.asarray(cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
        for plane in planes
    ]


def _unexplained(moved: FloatArray, now: FloatArray, band: Bytes) -> float:
    """By how many pixels, in the mean, what is in the band is not where it was moved to.

    By the brightness constancy of Horn and Schunck: where a slope of s levels a pixel moves by w pixels, the picture
    changes by s·w levels.
    """
    slopes = cv2.magnitude(*(cv2.Sobel(now, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1))))
    change = cv2.mean(cv2.absdiff(now, moved), band)[0]
    return float(change / max(cv2.mean(slopes, band)[0], _NOTHING))
