"""What is seen of a frame before any network looks at it: a smaller picture, and the motion since the frame before.

None of it depends on what the networks say of the frame before. So where the next frame is there already, it is done in
a thread of its own while the networks are busy: a sixth of what drafting a frame of 1280×720 takes.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime_matting.frames import Frame
from realtime_matting.matting.motion import Motion, MotionEstimator, View
from realtime_matting.matting.networks import Networks
from realtime_matting.matting.window import Window

Bytes = NDArray[np.uint8]

_AHEAD = 2


@dataclass(frozen=True, eq=False)
class Seen:
    """One frame.

    Attributes:
        window: the part of the frame that was looked at.
        small: uint8, that part halved as often as the networks allow; see `Networks.shrink`.
        view: what motion is estimated from.
        motion: from the same part of the frame before; None for the first.
        milliseconds: what it took.
    """

    window: Window
    small: Bytes
    view: View
    motion: Motion | None
    milliseconds: float


class Watcher:
    """Sees the frames of a stream in order, or of each the same window. Frames of another size begin a new stream."""

    def __init__(self) -> None:
        self._window: Window | None = None
        self._estimate: MotionEstimator | None = None
        self._before: View | None = None

    def __call__(self, rgb: Bytes, window: Window, networks: Networks) -> Seen:
        """What is seen of the next frame; it is not kept.

        Args:
            rgb: uint8 (H, W, 3), all of the frame.
            window: the part of it that counts.
            networks: of the window's shape.
        """
        start = time.perf_counter()
        if self._estimate is None or self._window != window:
            height, width = window.size
            across, down = networks.work_size(width, height)
            self._estimate, self._window, self._before = MotionEstimator(down, across), window, None
        small = networks.shrink(window.cut(rgb))
        before, view = self._before, self._estimate.view(small)
        self._before = view
        motion = None if before is None else self._estimate(before, view)
        return Seen(window, small, view, motion, 1e3 * (time.perf_counter() - start))


def seen_ahead(frames: Iterable[Frame], see: Callable[[Bytes], Seen]) -> Iterator[tuple[Frame, Seen]]:
    """Frames with what is seen of them; the next two are taken and seen while this one is in use.

    Two, for where every second frame goes through no network, it is in use for a moment only, and the one after it
    would have to be waited for.

    ``frames`` and ``see`` run in one thread that is not the caller's, and what they raise is raised here. To close this
    before the last frame waits for the frame that is being taken.
    """
    source = iter(frames)

    def following() -> tuple[Frame, Seen] | None:
        frame = next(source, None)
        return None if frame is None else (frame, see(frame.rgb))

    with ThreadPoolExecutor(1, thread_name_prefix="rtmatte motion") as worker:
        coming = deque(worker.submit(following) for _ in range(_AHEAD))
        while (found := coming.popleft().result()) is not None:
            coming.append(worker.submit(following))
            yield found
