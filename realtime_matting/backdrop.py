"""The background of a live run: changed while frames are under way, and never the room by mistake."""

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from realtime_matting.compositing.backgrounds import Background, open_background
from realtime_matting.compositing.reloading import ReloadingBackground
from realtime_matting.errors import InputError

Rgb = NDArray[np.uint8]

_GREY = 40
"""Of the picture that goes out where a background is made from the frame and there must be no frame."""
_WAIT = 0.02
"""Seconds to wait for a background that is busy behind another frame, before plain grey goes out instead."""
_BLUR_STEP = 0.1


class Backdrop:
    """The backgrounds the user may choose from, one of which is shown.

    A change is complete or does not happen: what cannot be opened leaves the old background in place. A file that is
    changed, or spoilt, while it is shown: see ``ReloadingBackground``.
    """

    def __init__(
        self,
        specs: Sequence[str],
        say: Callable[[str], None],
        opener: Callable[[str], Background] = open_background,
    ) -> None:
        """Open the first of ``specs``; see ``open_background``.

        Raises:
            InputError: it cannot be used, or there is none.
        """
        if not specs:
            raise InputError("no background is given; for example --bg blur")
        self._specs = list(specs)
        self._say = say
        self._opener = opener
        self._lock = threading.Lock()
        self._spec = self._specs[0]
        self._index = 0
        self._shown = ReloadingBackground(self._spec, say, opener)
        self._latest = 0.0

    @property
    def spec(self) -> str:
        """What is shown now, as the user described it."""
        return self._spec

    def at(self, time: float, frame: Rgb, alpha: NDArray[np.float32]) -> Rgb:
        """The background of one frame; see ``Background.at``."""
        with self._lock:
            return self._at(time, frame, alpha)

    def alone(self, time: float, width: int, height: int) -> Rgb:
        """The background without any frame, uint8 (height, width, 3): what goes out where there is no matte."""
        grey = np.full((height, width, 3), _GREY, np.uint8)
        if not self._lock.acquire(timeout=_WAIT):
            return grey
        try:
            return self._at(time, grey, np.zeros((height, width), np.float32))
        finally:
            self._lock.release()

    def _at(self, time: float, frame: Rgb, alpha: NDArray[np.float32]) -> Rgb:
        self._latest = max(self._latest, time)  # a video would begin again for a time that has passed
        return self._shown.at(self._latest, frame, alpha)

    def show(self, spec: str) -> None:
        """Change to another background.

        Raises:
            InputError: it cannot be used; the old one stays.
        """
        opened = ReloadingBackground(spec, self._say, self._opener)
        with self._lock:
            old, self._shown, self._spec = self._shown, opened, spec
            if spec in self._specs:
                self._index = self._specs.index(spec)
        old.close()

    def next(self) -> None:
        """Change to the one after it in the list, or after the last of the list that was shown."""
        self.show(self._specs[(self._index + 1) % len(self._specs)])

    def reload(self) -> None:
        """Open the one that is shown again."""
        self.show(self._spec)

    def reload_if_changed(self) -> None:
        """Open a file again that was changed since; one that cannot be used any more is told, the old one stays."""
        self._shown.look()

    def blur(self, strength: float) -> None:
        """Blur the room, 0.05 (slightly) to 1."""
        self.show(f"blur:{min(1.0, max(0.05, strength)):.2f}")

    def blur_more(self, steps: int) -> None:
        """Blur more (positive) or less; from half strength where another background is shown."""
        strength = 0.5
        if self._spec.startswith("blur:"):
            strength = float(self._spec.partition(":")[2])
        elif self._spec != "blur":
            steps = 0
        self.blur(strength + steps * _BLUR_STEP)

    def close(self) -> None:
        """Free what the background holds."""
        with self._lock:
            self._shown.close()
