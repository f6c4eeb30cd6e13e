"""What the live pipeline asks of a camera, and of anything that stands in for one."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import MattingError


class CameraError(MattingError):
    """The camera cannot be opened or gives no more frames; the text says why and what to do."""


class CameraGone(CameraError):
    """The camera worked and is lost: unplugged, its connection cut, the machine suspended. It may come back."""


@dataclass(frozen=True, eq=False)
class Shot:
    """One captured frame.

    Attributes:
        rgb: uint8 (H, W, 3), RGB, upright; H and W may change from one shot to the next.
        captured: ``time.monotonic()`` when it was taken, or handed over where the device does not tell.
    """

    rgb: NDArray[np.uint8]
    captured: float


class Camera(Protocol):
    """Gives frames at the pace of the real world.

    Attributes:
        name: what people call it.
        size: (width, height) of the frames when it was opened.
        fps: frames per second it was asked for or announces.
        damaged: frames so far that could not be decoded and were left out.
    """

    name: str
    size: tuple[int, int]
    fps: float
    damaged: int

    def read(self, timeout: float) -> Shot | None:
        """The next frame; None where there was none within about ``timeout`` seconds.

        Raises:
            CameraGone: it is lost; close it, and open another one later.
        """
        ...

    def close(self) -> None:
        """Release the device; calling it twice is harmless."""
        ...
