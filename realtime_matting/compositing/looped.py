"""A video that runs behind the person at its own speed, from the start again whenever it ends."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from realtime_matting.frames import Frame
from realtime_matting.sources.video import VideoSource

_TOLERANCE = 1e-3  # seconds; time stamps of two videos of one rate must not miss each other by their rounding
_FALLBACK_RATE = Fraction(25)


class LoopedVideo:
    """Gives the frame that is on at a time, counted from the first time asked for.

    Frames are decoded one after the other and only the current and the next are held, so memory does not grow with
    the length of the video. A time before the one asked for last starts the video again.
    """

    def __init__(self, uri: str) -> None:
        """Open the video.

        Raises:
            InputError: missing, not a video, or no frame of it can be decoded.
        """
        self._uri = uri
        self._round_began: float | None = None
        self._latest = 0.0
        self._duration: float | None = None  # of one round in seconds, known once its end was reached
        self._open()

    def _open(self) -> None:
        self._source = VideoSource(self._uri)
        self._frames = iter(self._source)
        self._current = next(self._frames)
        self._start = self._current.time
        self._following: Frame | None = next(self._frames, None)

    def frame_at(self, time: float) -> NDArray[np.uint8]:
        """RGB uint8 (H, W, 3) of a time in seconds; the same array as long as the frame does not change.

        Raises:
            InputError: the file cannot be opened again for the next round.
        """
        if self._round_began is None or time < self._latest:
            if self._round_began is not None:
                self._begin_again()
            self._round_began = time
        self._latest = time

        self._advance(time - self._round_began)
        while self._duration is not None and time - self._round_began + _TOLERANCE >= self._duration:
            rounds = (time - self._round_began + _TOLERANCE) // self._duration
            self._round_began += rounds * self._duration
            self._begin_again()
            self._advance(time - self._round_began)
        return self._current.rgb

    def _advance(self, elapsed: float) -> None:
        """Go on to the frame that is on `elapsed` seconds into this round, or to the last."""
        while self._following is not None and self._following.time - self._start <= elapsed + _TOLERANCE:
            self._current, self._following = self._following, next(self._frames, None)
            if self._following is None:
                rate = self._source.info.average_rate or _FALLBACK_RATE
                self._duration = self._current.time - self._start + float(1 / rate)

    def _begin_again(self) -> None:
        self._source.close()
        self._open()

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        self._source.close()
