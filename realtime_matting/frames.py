"""The unit of work: one picture and the moment it belongs to."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded picture, upright (rotation metadata already applied).

    Attributes:
        rgb: uint8 (H, W, 3), RGB order, contiguous.
        pts: presentation time stamp in units of ``time_base``, exactly as the source gave it.
        time_base: seconds per unit of ``pts``.
        index: 0 for the first frame of the stream, then counting up by one.
    """

    rgb: NDArray[np.uint8]
    pts: int
    time_base: Fraction
    index: int

    @property
    def time(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]


@dataclass(frozen=True)
class StreamInfo:
    """What is known about a stream before its frames are read.

    Attributes:
        width, height: size of the upright frames, in pixels.
        time_base: seconds per unit of a frame's ``pts``.
        average_rate: frames per second, None where the container does not tell.
        frames: estimated number of frames, None where unknown (a camera, a pipe).
        uri: what was opened, as the user named it.
    """

    width: int
    height: int
    time_base: Fraction
    average_rate: Fraction | None
    frames: int | None
    uri: str
