"""Mattes that fail: told once, gone on from, and the end of a run where there is nothing else for too long."""

import threading
import time
from collections.abc import Callable

_GIVE_UP = 10.0
"""Seconds of nothing but failing mattes after which the run ends."""


class Failures:
    """The failures of two threads that work on different frames of one stream.

    Attributes:
        lost_track: a frame is missing that others may build on; whoever begins a new stream for it clears this.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._since: float | None = None
        self._last = 0.0
        self.lost_track = threading.Event()

    def failed(self, error: Exception) -> None:
        """Note a frame that failed, and say so if it is the first of several.

        Raises:
            Exception: ``error``, when nothing has succeeded for too long.
        """
        self.lost_track.set()
        with self._lock:
            now = self._last = time.monotonic()
            since, is_news = (now, True) if self._since is None else (self._since, False)
            self._since = since
        if is_news:
            self._say(f"a frame could not be matted ({error}); the last good picture stays")
        if now - since > _GIVE_UP:
            raise error

    def succeeded(self, began: float) -> None:
        """Note a frame that came through; one begun before another failed does not show that this is over.

        Args:
            began: ``time.monotonic()`` when the work on it began.
        """
        with self._lock:
            if began > self._last:
                self._since = None
