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

Bytes = NDArray[np.uint8]

_AHEAD = 2


@dataclass(frozen=True, eq=False)
class Seen:
    """One frame.

    Attributes:
        small: uint8, the frame halved as often as the networks allow; see `Networks.shrink`.
        view: what motion is estimated from.
        motion: from the frame before; None for the first.
        milliseconds: what it took.
    """

    small: Bytes
    view: View
    motion: Motion | None
    milliseconds: float


class Watcher:
    """Sees the frames of a stream, uint8 (H, W, 3), in order. A frame of another size is the first of a new stream."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._shape: tuple[int, ...] = ()
        self._estimate: MotionEstimator | None = None
        self._before: View | None = None

    def __call__(self, rgb: Bytes) -> Seen:
        """What is seen of the next frame; it is not kept."""
        start = time.perf_counter()
        if self._estimate is None or self._shape != rgb.shape:
            width, height = self._networks.work_size(rgb.shape[1], rgb.shape[0])
            self._estimate, self._shape, self._before = MotionEstimator(height, width), rgb.shape, None
        small = self._networks.shrink(rgb)
        before, view = self._before, self._estimate.view(small)
        self._before = view
        motion = None if before is None else self._estimate(before, view)
        return Seen(small, view, motion, 1e3 * (time.perf_counter() - start))

    def forget(self) -> None:
        """The next frame is the first."""
        self._before = None


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
