"""What the networks look at in each frame, and at which size: the whole of it, or a window around people."""

import time
from functools import partial

import numpy as np
from numpy.typing import NDArray

from realtime_matting.matting.lookout import Choice, Lookout
from realtime_matting.matting.networks import Networks
from realtime_matting.matting.window import FRAME, SHAPES, Shape, Window, takes_windows

FloatArray = NDArray[np.float32]


class Viewing:
    """The networks of a bundle at the sizes of all shapes of windows, and the choice between these in one stream.

    Args:
        networks: at the bundle's own sizes; they see whole frames.
        window: whether to choose windows, for bundles that take them; without, always the whole frame.
        waits: whether a frame may wait for an engine to prepare for another shape.
    """

    def __init__(self, networks: Networks, *, window: bool, waits: bool) -> None:
        self._networks = networks
        self._sized: dict[Shape, Networks] = {FRAME: networks}
        self._lookout: Lookout | None = None
        if window and takes_windows(networks.roles):
            # Engines for GPUs were built for the frame's own shape.
            shapes = SHAPES if networks.takes_tiles else (FRAME,)
            self._sized |= {shape: networks.sized(shape.sized(networks.roles)) for shape in shapes}
            self._lookout = Lookout(networks.roles, shapes=shapes, ready=_always if waits else self._is_ready)

    @property
    def moves(self) -> bool:
        """Whether there may be windows other than the whole frame."""
        return self._lookout is not None

    def choose(self, rgb: NDArray[np.uint8]) -> tuple[Choice, float]:
        """What the networks are to see of the next frame, uint8 (H, W, 3), and the milliseconds this took."""
        if self._lookout is None:
            return Choice(_all_of(rgb)), 0.0
        start = time.perf_counter()
        choice = self._lookout.choose(rgb, partial(self._look, rgb))
        return choice, 1e3 * (time.perf_counter() - start)

    def saw(self, alpha: FloatArray) -> None:
        """To be told the alpha of the frame last chosen for, float32 (h, w), of its window alone."""
        if self._lookout is not None:
            self._lookout.saw(alpha)

    def expected(self, rgb: NDArray[np.uint8]) -> Window:
        """The window in use, which as a rule the frames after have too. May be called from another thread."""
        window = self._lookout.window if self._lookout is not None else None
        return window if window is not None and window.frame == rgb.shape[:2] else _all_of(rgb)

    def networks(self, window: Window) -> Networks:
        """Those for the pictures of a window."""
        return self._sized[window.shape]

    def forget(self) -> None:
        """The next frame is the first."""
        if self._lookout is not None:
            self._lookout.forget()

    def _look(self, rgb: NDArray[np.uint8]) -> FloatArray:
        """The trimap network on the whole frame."""
        return self._networks.trimap(self._networks.shrink(rgb))[0].copy()

    def _is_ready(self, window: Window) -> bool:
        return self._sized[window.shape].ready(window.size[1], window.size[0])


def _all_of(rgb: NDArray[np.uint8]) -> Window:
    return Window.whole((rgb.shape[0], rgb.shape[1]))


def _always(window: Window) -> bool:
    return True
