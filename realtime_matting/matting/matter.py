"""The heart: frames of ONE stream in, mattes out."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.allocator import keep_freed_memory
from realtime_matting.compositing.blend import composite
from realtime_matting.defaults import DEFAULT_MODEL
from realtime_matting.engines import EngineName, Precision
from realtime_matting.errors import InputError
from realtime_matting.frames import Frame
from realtime_matting.matting.foreground import Fusion, fusion_of
from realtime_matting.matting.held import HeldTrimap
from realtime_matting.matting.lookout import Choice
from realtime_matting.matting.networks import BAND, Networks, network_input, pad, resize
from realtime_matting.matting.refine import at_picture_size
from realtime_matting.matting.stream import Draft, Stream, draft_of_still
from realtime_matting.matting.viewing import Viewing
from realtime_matting.matting.watching import Seen, Watcher, seen_ahead
from realtime_matting.matting.window import Window
from realtime_matting.models.registry import find_bundle
from realtime_matting.profiling import Profile

__all__ = ["BAND", "DEFAULT_MODEL", "SMALLEST_SIDE", "Matte", "Matter", "network_input", "pad", "resize"]

FloatArray = NDArray[np.float32]
_GREY = 128
SMALLEST_SIDE = 16
"""Pixels a side that a frame needs at least."""


@dataclass(frozen=True, eq=False)
class Matte:
    """What is known of one frame.

    Attributes:
        alpha: float32 (H, W) in [0, 1]; 0 background, 1 person.
        source: uint8 (H, W, 3) RGB, what the colours come from; to stay as it is for as long as they are asked for.
        fusion: how they are estimated within the window; None where they are those of the source.
        classes: makes the trimap of the window at the networks' size, see `trimap`.
        window: the part of the frame that the networks saw; elsewhere alpha is 0.
        why: how the trimap of this frame came about, for people: "refresh: scene cut", "reuse: age 3".
        band: share of the picture in the unknown band, where the matting network has a say.
        matted: share of the picture that the matting network was given; tiles overlap, so it may be more than 1.
        milliseconds: what each stage took for this frame.
    """

    alpha: FloatArray
    source: NDArray[np.uint8]
    fusion: Fusion | None
    classes: Callable[[], NDArray[np.uint8]]
    window: Window
    why: str
    band: float = 0.0
    matted: float = 0.0
    milliseconds: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def foreground(self) -> NDArray[np.uint8]:
        """uint8 (H, W, 3) RGB, colours of the person without the old background; meaningful where alpha > 0.

        Made when first asked for.
        """
        return self.source if self.fusion is None else self.window.replaced(self.source, self.fusion.colours())

    def over(self, background: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The person before a background, uint8 (H, W, 3): as `composite` of ``foreground``, but faster.

        Raises:
            ValueError: the background is of another size.
        """
        if self.fusion is None or background.shape != self.source.shape:
            return composite(self.foreground, self.alpha, background)
        area = self.window.area.slices()
        out = np.empty_like(self.source) if self.window.is_whole else background.copy()
        self.fusion.over(background[area], out[area])
        return out

    @cached_property
    def trimap(self) -> NDArray[np.uint8]:
        """uint8 (H, W); 0 background, 128 unknown, 255 foreground. Made when first asked for: few ever look at it."""
        height, width = self.window.size
        trimap = np.zeros(self.alpha.shape, np.uint8)
        part = cv2.resize(self.classes(), (width, height), interpolation=cv2.INTER_NEAREST)
        trimap[self.window.area.slices()] = part
        return trimap


class Matter:
    """Mattes the frames of one stream, in order.

        matter = Matter()
        matte = matter(rgb)              # uint8 (H, W, 3), RGB
        matte.alpha                      # float32 (H, W)

    For pictures that are no stream, call `reset` before each. Not for several threads at once: one object, one stream.
    The first one made has the C library keep freed memory (see `keep_freed_memory`).

    Args:
        model: name of a built-in bundle, or a bundle's folder.
        engine: one of `EngineName`.
        threads: how many threads the networks may use; None: as many as there are cores.
        precision: of the networks' arithmetic; None is the engine's own choice for this device.
        profile: where the time of each stage is added up.
        foreground: estimate foreground colours; without, :attr:`Matte.foreground` is the frame itself.
        reuse: carry trimap and alpha from frame to frame, run the networks only when and where they are needed, and
            smooth what flickers. Without, every frame is matted for itself. It pays where `stream` may look one frame
            ahead: then about half of the frames go through no network.
        live: the frames are a stream that cannot wait: without ``reuse``, a trimap serves up to three frames, moved
            along with the person, and the matting network sees the part of the frame that the person is in.
        window: show the networks the part of the frame that people are in (see `matting.window`), for bundles that take
            it. Without, always the whole frame.
        waits: whether a frame may wait for an engine to prepare for another window, half a second; if not, the whole
            frame is shown meanwhile. None: unless ``live``. What waits always gives the same for the same frames.

    Raises:
        BundleError, EngineError, MissingExtraError: one line that says what is wrong and what to do.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        engine: EngineName = "auto",
        threads: int | None = None,
        precision: Precision | None = None,
        profile: Profile | None = None,
        foreground: bool = True,
        reuse: bool = False,
        live: bool = False,
        window: bool = True,
        waits: bool | None = None,
    ) -> None:
        keep_freed_memory()
        self.bundle = find_bundle(model)
        self.profile = profile or Profile()
        self._estimate_foreground = foreground
        self._reuse = reuse
        self._held = HeldTrimap() if live else None
        self._stream: Stream | None = None
        self._window: Window | None = None  # of the last frame
        self._last = np.empty((0, 0, 3), np.uint8)  # the last frame, reduced
        self._begun: tuple[int, ...] | None = None  # shape of the last frame
        if threads is None and hasattr(os, "sched_getaffinity"):  # Linux: the cores this process may use
            threads = len(os.sched_getaffinity(0))
        self._networks = Networks(self.bundle, engine=engine, threads=threads, precision=precision)
        self._viewing = Viewing(self._networks, window=window, waits=not live if waits is None else waits)

    def __call__(self, rgb: NDArray[np.uint8]) -> Matte:
        """Matte of the next frame.

        Args:
            rgb: uint8 (H, W, 3), RGB, at least ``SMALLEST_SIDE`` pixels a side. Not kept and not changed. A frame of
                another size than the last is the first of a new stream.

        Raises:
            InputError: another dtype or shape.
            EngineError: a network failed.
        """
        matte = self._finish(rgb, self._draft(rgb))
        # With all of its colours: many who read frames one by one read the next one into the same array.
        return matte if matte.fusion is None else replace(matte, source=matte.foreground, fusion=None)

    def draft(self, rgb: NDArray[np.uint8]) -> Draft:
        """The networks' part of a call, for those who `finish` it in another thread while the next frame is drafted.

        Args, raises: as for a call; ``rgb`` must stay as it is until it is finished.
        """
        return self._draft(rgb)

    def stream(self, frames: Iterable[Frame], *, delay: int = 0) -> Iterator[tuple[Frame, Matte]]:
        """Frames, each with its matte, in order.

        Args:
            frames: the next ones of the stream; each must stay as it is until its matte has come. With ``reuse`` they
                are taken in another thread, two more ahead, to estimate their motion while the networks are busy.
            delay: 1 to look one frame ahead, which makes reused mattes steadier; 0 not to.

        Raises:
            ValueError: another delay.
            InputError, EngineError: as for a call.
        """
        return ((frame, self.finish(frame, draft)) for frame, draft in self.drafts(frames, delay=delay))

    def drafts(self, frames: Iterable[Frame], *, delay: int = 0) -> Iterator[tuple[Frame, Draft]]:
        """The networks' part of `stream`, for those who call `finish` in another thread meanwhile.

        Args, raises: as for `stream`.
        """
        if delay not in (0, 1):
            raise ValueError(f"the delay is 0 or 1 frames, not {delay}")
        return self._drafts(frames, delay)

    def _drafts(self, frames: Iterable[Frame], delay: int) -> Iterator[tuple[Frame, Draft]]:
        waiting: tuple[Frame, Draft] | None = None
        for frame, seen in self._watched(frames):
            draft = self._draft(frame.rgb, ahead=delay > 0, seen=seen)
            if waiting is not None:
                if self._stream is not None and waiting[1].is_between and waiting[1].window == draft.window:
                    # Left to the thread that finishes: this one has the networks to run.
                    waiting[1].settle = partial(self._stream.look_back, waiting[1], draft)
                yield waiting
            waiting = frame, draft
            if not delay:
                waiting = None
                yield frame, draft
        if waiting is not None:
            yield waiting

    def _watched(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Seen | None]]:
        """The frames, where mattes are carried with what is seen of them before the networks look."""
        if not self._reuse:
            return ((frame, None) for frame in frames)
        watch = Watcher()

        def see(rgb: NDArray[np.uint8]) -> Seen:
            _check(rgb)
            with self.profile.stage("motion"):
                window = self._viewing.expected(rgb)
                return watch(rgb, window, self._viewing.networks(window))

        return seen_ahead(frames, see)

    def finish(self, frame: Frame, draft: Draft) -> Matte:
        """The matte of a frame and its own draft. May be called in another thread than the one that drafts."""
        return self._finish(frame.rgb, draft)

    def _draft(self, rgb: NDArray[np.uint8], *, ahead: bool = False, seen: Seen | None = None) -> Draft:
        _check(rgb)
        if self._begun != rgb.shape:
            self._networks.begin(rgb.shape[1], rgb.shape[0])
            self._begun = rgb.shape
        with self.profile.stage("look"):
            choice, looked = self._viewing.choose(rgb)
        window, networks = choice.window, self._viewing.networks(choice.window)
        before, self._window = self._window, window
        if before != window:
            if networks is not self._networks:
                networks.begin(window.size[1], window.size[0])
            if self._held is not None:
                self._held.forget()
        part = window.cut(rgb)
        if not self._reuse:
            draft = draft_of_still(networks, part, self._stage, self._held, choice.trimap)
        else:
            self._stream, anew = self._stream_for(networks, part.shape, before, choice)
            if seen is not None and seen.window != window:
                seen = None
            draft = self._stream.draft(part, self._stage, ahead=ahead, seen=seen, trimap=choice.trimap)
            draft.why = f"refresh: {anew}" if anew else draft.why
            if self._viewing.moves:
                self._last = draft.small if window.is_whole else self._networks.shrink(rgb)
        draft.window = window
        draft.milliseconds["look"] = looked
        self._viewing.saw(draft.alpha)
        return draft

    def _stream_for(
        self, networks: Networks, shape: tuple[int, ...], before: Window | None, choice: Choice
    ) -> tuple[Stream, str | None]:
        """The stream of the chosen window, and why it begins anew where it does and had begun before."""
        window = choice.window
        if self._stream is None or before is None or before.frame != window.frame:
            return Stream(networks, shape), None
        if before == window:
            return self._stream, None
        if choice.looked:
            # Who has come to light is not in what would be carried.
            return Stream(networks, shape), "scene cut" if choice.is_cut else "window moved"
        return self._stream.moved(networks, shape, before, window, window.cut_small(self._last)), None

    def _finish(self, rgb: NDArray[np.uint8], draft: Draft) -> Matte:
        """From the networks' size to the frame's own."""
        if draft.settle is not None:
            with self._stage("stability", draft):
                draft.settle()
            draft.settle = None  # it holds the draft: a circle would keep its memory until Python looks for circles
        window = draft.window
        assert window is not None  # `_draft`
        with self._stage("refine", draft):
            part = window.cut(rgb)
            small = draft.small if draft.picture is None else draft.picture
            alpha_of_part = at_picture_size(draft.alpha, part, small=small)
            alpha = window.placed(alpha_of_part)
        with self._stage("foreground", draft):
            fusion = None
            if self._estimate_foreground:
                fusion = fusion_of(part, alpha_of_part, halved=draft.small, short_side=min(rgb.shape[:2]))
        band, matted = draft.band * window.share, draft.matted * window.share
        return Matte(alpha, rgb, fusion, draft.classes, window, draft.why, band, matted, draft.milliseconds)

    @contextmanager
    def _stage(self, name: str, draft: Draft) -> Iterator[None]:
        start = time.perf_counter()
        with self.profile.stage(name):
            yield
        spent = 1e3 * (time.perf_counter() - start)
        draft.milliseconds[name] = draft.milliseconds.get(name, 0.0) + spent

    def warm_up(self, width: int, height: int) -> None:
        """Have everything ready for a stream of frames of this size, so that the first is as fast as the others."""
        self._networks.warm_up(width, height)
        self(np.full((height, width, 3), _GREY, np.uint8))
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next frame is treated as the first of a new one."""
        if self._held is not None:
            self._held.forget()
        self._stream = None
        self._viewing.forget()
        self._window = None

    def describe(self) -> str:
        """One line for people: which model runs on what."""
        manifest = self.bundle.manifest
        return f"{manifest.name} {manifest.version} on {' + '.join(self._networks.engines)}"

    def close(self) -> None:
        """Free the networks; the object cannot be used afterwards."""
        self._networks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _check(rgb: NDArray[np.uint8]) -> None:
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise InputError(f"a frame is uint8 (H, W, 3) RGB, not {rgb.dtype} {rgb.shape}; convert it first")
    if min(rgb.shape[:2]) < SMALLEST_SIDE:
        raise InputError(
            f"a frame needs at least {SMALLEST_SIDE} pixels a side, not {rgb.shape[1]}x{rgb.shape[0]}; scale it up"
        )
