"""A recording, and the sink that keeps nothing, as outputs of a live run."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from realtime_matting.frames import Frame, StreamInfo
from realtime_matting.sinks import open_sink

_TIME_BASE = Fraction(1, 90000)


class RecordingSink:
    """Writes what goes out to a video file, at the times it went out (a ``LiveSink``).

    The file appears, complete, when the sink is closed.
    """

    private = False

    def __init__(self, uri: str, *, width: int, height: int, fps: float, camera: str) -> None:
        """Open the file; see ``open_sink`` for the errors.

        Args:
            uri: path of the video to make.
            width, height: of the pictures to come, in pixels.
            fps: frames per second to expect.
            camera: what is being read, which must not be overwritten.
        """
        self.name = uri
        rate = Fraction(fps).limit_denominator(1001)
        info = StreamInfo(width, height, _TIME_BASE, rate, None, camera)
        self._sink = open_sink(uri, info=info, kind="composite", preset="superfast")
        self._start: float | None = None
        self._pts = -1
        self._count = 0

    def send(self, rgb: NDArray[np.uint8], time: float) -> None:
        if self._start is None:
            self._start = time
        self._pts = max(self._pts + 1, round((time - self._start) / _TIME_BASE))
        self._sink.write(rgb, Frame(rgb, self._pts, _TIME_BASE, self._count))
        self._count += 1

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        if self._count:
            self._sink.close()
        else:
            self._sink.abort()

    @property
    def warnings(self) -> list[str]:
        """One line for each thing that was left out; complete once the sink is closed."""
        return self._sink.warnings


class NoSink:
    """Keeps nothing: to try the camera and the matting, and to measure them (a ``LiveSink``)."""

    name = "none"
    private = False

    def send(self, rgb: NDArray[np.uint8], time: float) -> None:
        pass

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        pass
