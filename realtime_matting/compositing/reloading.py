"""A background whose file may be replaced while it is shown."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime_matting.compositing.backgrounds import Background, open_background
from realtime_matting.errors import MattingError

Rgb = NDArray[np.uint8]
Stamp = tuple[int, int, int]

_EVERY = 0.5
"""Seconds between two looks at a file."""


class ReloadingBackground:
    """A ``Background`` that is opened again when its file was changed; anything but a file stays as it is.

    What is opened is complete, or it does not take effect: a file that cannot be read any more leaves the old
    background in place, and is told once. A video that breaks while it is shown stays on with its last good picture.
    ``look`` may be called from another thread than ``at``, and should be where a pause of a large picture's loading
    time does harm.
    """

    def __init__(
        self,
        spec: str,
        say: Callable[[str], None],
        opener: Callable[[str], Background] = open_background,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open it; see ``open_background`` for ``spec``.

        Raises:
            InputError: it cannot be used.
        """
        self._spec = spec
        self._say = say
        self._opener = opener
        self._clock = clock
        self._lock = threading.Lock()
        self._known = _stamp(spec)  # before it is read: what is written meanwhile is seen as a change later
        self._seen = self._known
        self._look_at = clock() + _EVERY
        self._shown = opener(spec)
        self._closed = False
        self._last: Rgb | None = None
        self._failing = False

    def at(self, time: float, frame_rgb: Rgb, alpha: NDArray[np.float32]) -> Rgb:
        with self._lock:
            try:
                picture = self._shown.at(time, frame_rgb, alpha)
            except Exception as error:  # whatever a spoilt file does to a decoder must not end a call
                if self._last is None or self._last.shape != frame_rgb.shape:
                    raise
                if not self._failing:
                    self._say(f"{error}; the last picture of the background stays")
                self._failing = True
                return self._last
            # Only a picture that holds nothing of the frame may be shown again.
            self._last = picture if is_file(self._spec) else None
            return picture

    def look(self) -> None:
        """Open the file again if it was changed since; it is looked at twice a second at most.

        A file that changes between two looks is still being written: it is opened when it has come to rest.
        """
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + _EVERY
        stamp, before = _stamp(self._spec), self._seen
        self._seen = stamp
        if stamp is None or stamp == self._known or stamp != before:
            return
        self._known = stamp
        try:
            opened = self._opener(self._spec)
        except MattingError as error:
            self._say(f"{error}; the old background stays")
            return
        with self._lock:
            old, self._shown = self._shown, opened
            self._failing = False
            if self._closed:
                opened.close()
        old.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._shown.close()


def is_file(spec: str) -> bool:
    """Whether a background is a picture or a video, by its description."""
    return spec != "none" and spec.partition(":")[0] != "blur" and not spec.startswith("#")


def _stamp(spec: str) -> Stamp | None:
    """What changes when a file is replaced or written to; None where the background is no file."""
    if not is_file(spec):
        return None
    try:
        status = Path(spec).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
