"""Source → matter → output picture → sink, every frame, with the four kinds of work overlapped.

Decoding, the networks and encoding run in a thread each, what is done at the frame's own size in the caller's; all
four spend their time in native code that frees the interpreter lock, so they share the cores. Short bounded queues lie
between them: the memory in use does not depend on the length of the video.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.channel import Channel
from realtime_matting.compositing.backgrounds import Background
from realtime_matting.errors import InputError
from realtime_matting.frames import Frame
from realtime_matting.profiling import Profile
from realtime_matting.sinks.base import Kind, Sink

_QUEUE_FRAMES = 2
"""Enough to ride out one slow frame on either side; at 1280x720 each costs 2.6 MiB."""
_QUEUE_DRAFTS = 2


class MatteLike(Protocol):
    """What the pipeline reads of a matte: ``alpha`` float32 (H, W) in [0, 1], ``foreground`` uint8 (H, W, 3).

    And what it has a matte do: put its person ``over`` a background, uint8 (H, W, 3), which stays as it is.
    """

    @property
    def alpha(self) -> NDArray[np.float32]: ...
    @property
    def foreground(self) -> NDArray[np.uint8]: ...
    def over(self, background: NDArray[np.uint8], /) -> NDArray[np.uint8]: ...


D = TypeVar("D")
MatteFunction = Callable[[NDArray[np.uint8]], MatteLike]
PictureFunction = Callable[[Frame, MatteLike], NDArray[np.uint8]]


@runtime_checkable
class InTwoSteps(Protocol[D]):
    """A matter whose networks can work on a frame while the one before is brought to its own size; as `Matter` does."""

    def drafts(self, frames: Iterable[Frame], *, delay: int) -> Iterator[tuple[Frame, D]]:
        """Frames, each with what the networks say, in order, ``delay`` frames late."""
        ...

    def finish(self, frame: Frame, draft: D) -> MatteLike:
        """The matte of a frame; called in another thread."""
        ...


@dataclass(frozen=True)
class RunReport:
    """What a run did.

    Attributes:
        frames: pictures matted and handed to the sink.
        seconds: wall time from the first frame asked for to the last one written.
        milliseconds: mean milliseconds per frame of each stage (decode, the matter's own stages, composite, encode).
            The stages overlap, so their sum is more than ``seconds / frames``.
        stopped_early: ``stop`` was set before the source ended.
        partial: where the sink left what was written, when the run was stopped early; None when the run was complete
            or no frame was done.
    """

    frames: int
    seconds: float
    milliseconds: Mapping[str, float]
    stopped_early: bool
    partial: Path | None

    @property
    def fps(self) -> float:
        """Frames per second over the whole run."""
        return self.frames / self.seconds if self.seconds else 0.0


def output_picture(kind: Kind, background: Background | None = None) -> PictureFunction:
    """The function that makes the picture to be written from a frame and its matte.

    Args:
        kind: ``"composite"`` → (H, W, 3) over ``background``; ``"alpha"`` → (H, W), 255 is the person;
            ``"foreground"`` → (H, W, 3), the person's own colours, black where alpha is 0;
            ``"rgba"`` → (H, W, 4), straight (not premultiplied), black and transparent where alpha is 0.
        background: what the person is put on; for ``"composite"`` only.

    Raises:
        InputError: a composite without a background, or a background with anything else.
    """
    if kind == "composite":
        if background is None:
            raise InputError("a composite needs a background: give one, or choose alpha, foreground or rgba")
        return lambda frame, matte: _over(background.at(frame.time, frame.rgb, matte.alpha), frame, matte)
    if background is not None:
        raise InputError(f"a background has no use with {kind} output: leave it out, or choose composite output")
    return {"alpha": _alpha_picture, "foreground": _foreground_picture, "rgba": _rgba_picture}[kind]


def _over(behind: NDArray[np.uint8], frame: Frame, matte: MatteLike) -> NDArray[np.uint8]:
    # Estimated colours over the frame they were estimated from would not quite be the frame again.
    return behind if behind is frame.rgb else matte.over(behind)


def _alpha_picture(frame: Frame, matte: MatteLike) -> NDArray[np.uint8]:
    del frame
    rounded = cv2.convertScaleAbs(matte.alpha, alpha=255.0)  # to the nearest, saturated
    return np.asarray(rounded, dtype=np.uint8)


def _foreground_picture(frame: Frame, matte: MatteLike) -> NDArray[np.uint8]:
    # The old room must not travel along in pixels that only look empty.
    kept = cv2.bitwise_and(matte.foreground, matte.foreground, mask=_alpha_picture(frame, matte))
    return np.asarray(kept, dtype=np.uint8)


def _rgba_picture(frame: Frame, matte: MatteLike) -> NDArray[np.uint8]:
    rgba = cv2.cvtColor(_foreground_picture(frame, matte), cv2.COLOR_RGB2RGBA)
    return np.asarray(cv2.insertChannel(_alpha_picture(frame, matte), rgba, 3), dtype=np.uint8)


def run_offline(
    source: Iterable[Frame],
    matter: MatteFunction,
    picture: PictureFunction,
    sink: Sink,
    *,
    delay: int = 0,
    profile: Profile | None = None,
    progress: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> RunReport:
    """Matte every frame of ``source``, in order, and write the pictures to ``sink``.

    The caller opens source, matter and sink, and closes them; nothing is closed here. OpenCV is set to one thread
    for the whole process: its pool beside the engine's slows the engine to half its speed.

    Args:
        source: frames in presentation order; read in a thread of its own.
        matter: the matte of an RGB picture. One that works in two steps (see `InTwoSteps`) does the first in a thread
            of its own and the second in the caller's, as any other does all; with a ``delay`` it must be such a one.
            A matte's arrays need to stay as they are until the next only.
        picture: see ``output_picture``; it returns an array of its own each time.
        sink: written to in a thread of its own.
        delay: how many frames the matter may look ahead of the one it mattes. Every picture is made of a frame and of
            that frame's own matte, whatever the delay.
        profile: where the stages' times are added; give the matter the same one to see its stages in the report.
        progress: called in the caller's thread after each frame with the number of frames so far.
        stop: when set, from any thread or a signal handler, no new frame is begun, what is ready is written, and
            ``sink.finish_early()`` leaves a playable file; ``sink.abort()`` leaves none where no frame was done.

    Raises:
        ValueError: a delay, and a matter that cannot look ahead.
        Whatever source, matter, picture or sink raised, once, after all threads have ended.
    """
    if delay and not isinstance(matter, InTwoSteps):
        raise ValueError("this matter takes one frame at a time; leave the delay out")
    cv2.setNumThreads(1)
    profile = profile or Profile()
    stop = stop or threading.Event()
    before = dict(profile.seconds)
    exhausted, cut_short = threading.Event(), threading.Event()
    decoded: Channel[Frame] = Channel(_QUEUE_FRAMES)
    pictures: Channel[tuple[NDArray[np.uint8], Frame]] = Channel(_QUEUE_FRAMES)
    drafts: Channel[tuple[Frame, object]] = Channel(_QUEUE_DRAFTS)
    threads = [
        threading.Thread(target=_decode, args=(source, decoded, profile, stop, exhausted), daemon=True),
        threading.Thread(target=_encode, args=(sink, pictures, profile), daemon=True),
    ]
    begun = _until(stop, decoded, cut_short)
    if isinstance(matter, InTwoSteps):
        threads.append(threading.Thread(target=_draft, args=(matter, begun, delay, drafts), daemon=True))
        mattes = _finished(matter, drafts)
    else:
        mattes = ((frame, matter(frame.rgb)) for frame in begun)
    frames = 0
    complete = False
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    try:
        for frame, matte in mattes:
            with profile.stage("composite"):
                ready = picture(frame, matte)
            if not pictures.put((ready, frame)):
                break
            frames += 1
            if progress is not None:
                progress(frames)
        else:
            complete = exhausted.is_set() and not cut_short.is_set()
        pictures.close()
    except BaseException:
        pictures.cancel()
        raise
    finally:
        decoded.cancel()
        drafts.cancel()
        for thread in threads:
            thread.join()
    pictures.raise_error()
    partial: Path | None = None
    if not complete and frames:
        partial = sink.finish_early()
    elif not complete:
        sink.abort()
    seconds = time.perf_counter() - start
    spent = {name: total - before.get(name, 0.0) for name, total in profile.seconds.items()}
    return RunReport(
        frames=frames,
        seconds=seconds,
        milliseconds={name: 1e3 * total / frames for name, total in spent.items()} if frames else {},
        stopped_early=not complete,
        partial=partial,
    )


def _until(stop: threading.Event, decoded: Channel[Frame], cut_short: threading.Event) -> Iterator[Frame]:
    """The frames until there are no more, or until no new one is to be begun, which sets ``cut_short``."""
    for frame in decoded:
        if stop.is_set():
            cut_short.set()
            break
        yield frame


def _draft(matter: InTwoSteps[D], frames: Iterator[Frame], delay: int, drafts: Channel[tuple[Frame, D]]) -> None:
    """Thread: the networks' part of each frame, until there are no more frames or nobody takes drafts any more."""
    try:
        for draft in matter.drafts(frames, delay=delay):
            if not drafts.put(draft):
                break
    except BaseException as error:
        drafts.cancel(error)
    else:
        drafts.close()


def _finished(matter: InTwoSteps[D], drafts: Channel[tuple[Frame, D]]) -> Iterator[tuple[Frame, MatteLike]]:
    for frame, draft in drafts:
        yield frame, matter.finish(frame, draft)


def _decode(
    source: Iterable[Frame],
    decoded: Channel[Frame],
    profile: Profile,
    stop: threading.Event,
    exhausted: threading.Event,
) -> None:
    """Thread: hand the source's frames on until it ends, is stopped, or nobody takes them any more."""
    try:
        frames = iter(source)
        while not stop.is_set():
            with profile.stage("decode"):
                frame = next(frames, None)
            if frame is None:
                exhausted.set()
                break
            if not decoded.put(frame):
                break
    except BaseException as error:
        decoded.cancel(error)
    else:
        decoded.close()


def _encode(sink: Sink, pictures: Channel[tuple[NDArray[np.uint8], Frame]], profile: Profile) -> None:
    """Thread: write the pictures until there are no more."""
    try:
        for image, frame in pictures:
            with profile.stage("encode"):
                sink.write(image, frame)
    except BaseException as error:
        pictures.cancel(error)
