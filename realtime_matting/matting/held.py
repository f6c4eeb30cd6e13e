"""A trimap that serves twice: where hardly anything moves, the trimap network rests every second frame.

A live run cannot wait for the next frame, and carrying a matte by its motion costs it as much as it saves. But a person
who listens moves by a fraction of a pixel a frame, and the unknown band is many pixels wide: the matting network, which
sees every frame, finds the edge in the band of the frame before just as well.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

_SIZE = (160, 90)
"""Width and height of the pictures that are compared."""
# Mean way of what is in and around the band, in pixels of those. MAD of a trimap's second frame beside a new one's, on
# seven rendered clips and a dancer over two backgrounds: up to 0.13 5.2 for 5.1, to 0.20 4.9 for 4.8, to 0.27 5.0 for
# 4.5, to 0.38 8.5 for 7.0, to 0.5 10.5 for 7.3.
_LIMIT = 0.2
_BAND = 0.05  # probability of "unknown"
_NOTHING = 0.05  # of contrast, in 1/255: there is nothing to see that could move
# Mean difference of the whole picture, in 1/255, at which somebody may have come in.
_ELSEWHERE = 1.5


class HeldTrimap:
    """The class probabilities of the frame before, and whether they will do. For each frame: `for_frame`, or `keep`."""

    def __init__(self) -> None:
        self._probabilities: FloatArray | None = None
        self._before: FloatArray | None = None
        self._served = False

    def forget(self) -> None:
        """The next frame is the first."""
        self._probabilities = self._before = None

    def for_frame(self, rgb: Bytes, size: tuple[int, int]) -> FloatArray | None:
        """The probabilities for the next frame, float32 (3, h, w), or None where a network had better look.

        Args:
            rgb: uint8 (H, W, 3), the frame at any size.
            size: (w, h) of the probabilities wanted.
        """
        grey = cv2.cvtColor(cv2.resize(rgb, _SIZE, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        now = np.asarray(cv2.GaussianBlur(np.asarray(grey, np.float32), (0, 0), 1), np.float32)
        before, self._before = self._before, now
        held = self._probabilities
        if held is None or before is None or self._served or held.shape[:0:-1] != size:
            return None
        if not _is_calm(before, now, held[1]):
            return None
        self._served = True
        return held

    def keep(self, probabilities: FloatArray) -> None:
        """What the network said of the frame last asked for: float32 (3, h, w), not to be changed any more."""
        self._probabilities, self._served = probabilities, False


def _is_calm(before: FloatArray, now: FloatArray, unknown: FloatArray) -> bool:
    """Whether what is in the band has moved by less than `_LIMIT`, by the brightness constancy of Horn and Schunck.

    Where a slope of s levels a pixel moves by w pixels, the picture changes by s·w levels.
    """
    change = cv2.absdiff(now, before)
    if cv2.mean(change)[0] > _ELSEWHERE:
        return False
    band = np.asarray(cv2.resize(unknown, _SIZE, interpolation=cv2.INTER_AREA) > _BAND).view(np.uint8)
    slopes = cv2.magnitude(*(cv2.Sobel(now, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1))))
    return bool(cv2.mean(change, band)[0] < _LIMIT * max(cv2.mean(slopes, band)[0], _NOTHING))
