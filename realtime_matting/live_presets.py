"""The presets of a live run: each with its own networks, which are opened when they may soon be needed."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from realtime_matting.allocator import give_back_freed_memory
from realtime_matting.defaults import DEFAULT_PRESET
from realtime_matting.frames import Frame
from realtime_matting.look import Look
from realtime_matting.pipeline import MatteLike
from realtime_matting.presets.opening import look_of
from realtime_matting.presets.preset import Preset

Rgb = NDArray[np.uint8]


class StreamMatter(Protocol):
    """What a preset opens; ``Matter`` is one."""

    def warm_up(self, width: int, height: int, /) -> None: ...
    def draft(self, rgb: Rgb, /) -> Any: ...
    def finish(self, frame: Frame, draft: Any, /) -> MatteLike: ...
    def describe(self) -> str: ...
    def reset(self) -> None: ...
    def close(self) -> None: ...


class LivePreset:
    """One preset: closed at first, opened in a thread of its own, then used in the run's; it may rest in between.

    Frames are drafted in one thread, and finished, in the same order, in one that may be another.

    Attributes:
        look: how the person is put before the background; for the thread that finishes.
    """

    def __init__(self, opener: Callable[[], StreamMatter], look: Look | None = None) -> None:
        """Nothing is opened yet."""
        self.look = look or Look()
        self._opener = opener
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rtmatte networks")
        self._matter: Future[StreamMatter] | None = None
        self._warm: Future[None] | None = None

    def open(self) -> Future[StreamMatter]:
        """Begin to open it, if that was not begun before."""
        with self._lock:
            if self._matter is None:
                self._matter = self._thread.submit(self._opener)
            return self._matter

    def prepare(self, width: int, height: int) -> None:
        """Begin to open it and to compile its networks for frames of this size, if that was not begun before."""
        matter = self.open()
        with self._lock:
            if self._warm is None:
                self._warm = self._thread.submit(_warm_up, matter, width, height)

    @property
    def ready(self) -> bool:
        """Whether it can matte a frame without a pause."""
        return self._warm is not None and self._warm.done() and self._warm.exception() is None

    @property
    def busy(self) -> bool:
        """Whether it is being opened."""
        return self._warm is not None and not self._warm.done()

    @property
    def error(self) -> BaseException | None:
        """Why it cannot be used; None as long as nothing is known against it."""
        return self._warm.exception() if self._warm is not None and self._warm.done() else None

    def draft(self, rgb: Rgb) -> object:
        """What the networks say of the next frame; waits where the preset is not ready.

        Raises:
            MattingError: it cannot be opened, or a network failed.
        """
        return self.open().result().draft(rgb)

    def finish(self, frame: Frame, draft: object) -> MatteLike:
        """The matte of a frame and its own draft."""
        return self.open().result().finish(frame, draft)

    def reset(self) -> None:
        """The next frame to be drafted is the first of a new stream; of the look, who finishes it thinks himself."""
        self.open().result().reset()

    def rest(self) -> None:
        """Free what was opened, in its own thread, until it is opened again; not while a frame of it is on its way."""
        with self._lock:
            matter, self._matter, self._warm = self._matter, None, None
            if matter is not None:
                self._thread.submit(_close, matter)

    def close(self, *, wait: bool = True) -> None:
        """Free what was opened; calling it twice is harmless.

        Args:
            wait: for what is being opened, to free that as well; otherwise it is left to its thread.
        """
        self._thread.shutdown(wait=wait)
        opening = any(future is not None and not future.done() for future in (self._matter, self._warm))
        if self._matter is not None and not opening and self._matter.exception() is None:
            self._matter.result().close()


def _warm_up(matter: Future[StreamMatter], width: int, height: int) -> None:
    matter.result().warm_up(width, height)


def _close(matter: Future[StreamMatter]) -> None:
    if matter.exception() is None:
        matter.result().close()
    give_back_freed_memory()


def live_presets(presets: Mapping[str, Preset], opener: Callable[[Preset], StreamMatter]) -> dict[str, LivePreset]:
    """Presets that open themselves, under the same names; those that are equal are one."""
    made: dict[Preset, LivePreset] = {}
    for preset in presets.values():
        if preset not in made:
            made[preset] = LivePreset(lambda preset=preset: opener(preset), look_of(preset))  # type: ignore[misc]
    return {name: made[preset] for name, preset in presets.items()}


def steps(presets: Mapping[str, Preset]) -> tuple[str, ...]:
    """One name for each that differs, in their order; of those that are equal, as with one's own model, the default."""
    names: dict[Preset, str] = {}
    for name, preset in presets.items():
        if preset not in names or name == DEFAULT_PRESET:
            names[preset] = name
    return tuple(names.values())
