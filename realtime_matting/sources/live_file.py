"""A video file as a camera: from the start again at its end, each frame at the moment it belongs to."""

import time
from collections.abc import Iterator

from realtime_matting.errors import InputError
from realtime_matting.frames import Frame
from realtime_matting.sources import open_source
from realtime_matting.sources.base import Source
from realtime_matting.sources.live_base import CameraGone, Shot

_FALLBACK_RATE = 25.0
_LATE = 0.25
"""Seconds behind the clock after which the file gives up catching up, as when the machine was busy or asleep."""


class LoopedFileCamera:
    """The frames of a video or of pictures, at their own pace or another rate (a ``Camera``).

    A camera does not wait for who reads it: a frame whose time has passed is given at once, and keeps its time.
    """

    def __init__(self, uri: str, *, fps: float | None = None) -> None:
        """Open the file.

        Args:
            uri: path of a video, a picture, or a folder of pictures; see ``open_source``.
            fps: frames per second to give it at, every frame being used; None for its own time stamps.

        Raises:
            InputError: it cannot be read.
        """
        self._uri = uri
        self._source: Source = open_source(uri)
        self._frames: Iterator[Frame] = iter(self._source)
        info = self._source.info
        self.name = uri
        self.size = (info.width, info.height)
        self.fps = fps or float(info.average_rate or _FALLBACK_RATE)
        self.damaged = 0
        self._paced = fps
        self._waiting: Frame | None = None
        self._due = 0.0
        self._start: float | None = None  # the clock at time 0 of this round
        self._given = 0

    def read(self, timeout: float) -> Shot | None:
        """The frame that is due next; see ``Camera.read``."""
        if self._waiting is None:
            self._waiting = self._next()
            time_in_file = self._given / self._paced if self._paced else self._waiting.time
            if self._start is None:
                self._start = time.monotonic() - time_in_file
            self._due = self._start + time_in_file
        now = time.monotonic()
        if now - self._due > _LATE:
            self._start = (self._start or 0.0) + now - self._due
            self._due = now
        wait = self._due - now
        if wait > timeout:
            time.sleep(timeout)
            return None
        if wait > 0:
            time.sleep(wait)
        shot = Shot(self._waiting.rgb, max(self._due, now))
        self._given += 1
        self._waiting = None
        return shot

    def _next(self) -> Frame:
        frame = next(self._frames, None)
        if frame is None:
            frame = self._begin_again()
        return frame

    def _begin_again(self) -> Frame:
        """The first frame once more, one frame's time after the last."""
        self._source.close()
        try:
            self._source = open_source(self._uri)
        except InputError as error:
            raise CameraGone(str(error)) from error
        self._frames = iter(self._source)
        frame = next(self._frames)
        if not self._paced:
            self._start = self._due + 1 / self.fps - frame.time
        return frame

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        self._source.close()
