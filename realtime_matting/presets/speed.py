"""How long a frame takes with a preset: the live path, without its outputs."""

import threading
import time
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.channel import Channel
from realtime_matting.compositing.backgrounds import Background
from realtime_matting.compositing.cover import cover
from realtime_matting.defaults import PRESETS
from realtime_matting.frames import Frame
from realtime_matting.look import Look, composite_picture
from realtime_matting.matting.matter import Matter
from realtime_matting.matting.stream import Draft
from realtime_matting.sources.video import VideoSource

Rgb = NDArray[np.uint8]
T = TypeVar("T")

SIZE = (1280, 720)
"""(width, height) of the frames that presets are judged by."""
RATE = 30.0
"""Frames per second that a preset should keep."""
_SAMPLE = Path(__file__).parents[1] / "sample"
CLIP, BACKGROUND = str(_SAMPLE / "talk.mp4"), str(_SAMPLE / "beach.jpg")
_NETWORKS = ("trimap", "matting")
_SPARE = 0.85
"""A preset fits if a frame takes at most this share of its period: outputs need some time as well."""


@dataclass
class Times:
    """Milliseconds of each frame.

    Attributes:
        frames: from the composite before to its own, in a run that never waits for a frame.
        networks: in the networks, which work on it while the frame before is composited.
    """

    frames: list[float] = field(default_factory=list)
    networks: list[float] = field(default_factory=list)


def endless_frames(clip: str, size: tuple[int, int]) -> Generator[Rgb]:
    """The frames of a video, over and over, filling (width, height); InputError where it is none."""
    while True:
        with VideoSource(clip) as source:
            for frame in source:
                yield np.ascontiguousarray(cover(frame.rgb, size[1], size[0]))


def time_frames(matter: Matter, look: Look, background: Background, frames: Iterable[Rgb]) -> Times:
    """The stages of a live run, overlapped as there, as fast as they go; a frame's time is that after the one before.

    In a thread each: getting a frame, as from a camera; the networks; and, in the caller's, the rest. The first frame
    is not noted, for it has all to itself.

    Raises:
        MattingError: what frames, matter or background raise.
    """
    cv2.setNumThreads(1)  # as in a run
    times = Times()
    captured: Channel[Frame] = Channel(1)
    drafted: Channel[tuple[Frame, Draft]] = Channel(1)
    numbered = (Frame(rgb, index, Fraction(1, round(RATE)), index) for index, rgb in enumerate(frames))
    threads = [
        threading.Thread(target=_hand_on, args=(numbered, captured)),
        threading.Thread(target=_hand_on, args=(matter.drafts(captured), drafted)),
    ]
    picture = composite_picture(background, look)
    before: float | None = None
    for thread in threads:
        thread.start()
    try:
        for frame, draft in drafted:
            matte = matter.finish(frame, draft)
            picture(frame, matte)
            now = time.perf_counter()
            if before is not None:
                times.frames.append(1e3 * (now - before))
                times.networks.append(sum(matte.milliseconds.get(stage, 0.0) for stage in _NETWORKS))
            before = now
    finally:
        captured.cancel()
        drafted.cancel()
        for thread in threads:
            thread.join()
    return times


def _hand_on(items: Iterable[T], channel: Channel[T]) -> None:
    """Thread: one after the other, until there are no more, or nobody takes them any more."""
    try:
        for item in items:
            if not channel.put(item):
                break
    except BaseException as error:
        channel.cancel(error)
    else:
        channel.close()


def best_fitting(milliseconds: Mapping[str, float]) -> str | None:
    """The best of the built-in presets that fits ``RATE``, by milliseconds a frame; None where none does."""
    fitting = [name for name in PRESETS if name in milliseconds and fits(milliseconds[name])]
    return fitting[0] if fitting else None


def fits(milliseconds: float) -> bool:
    """Whether a frame that takes so long keeps ``RATE``, with some time to spare."""
    return milliseconds <= _SPARE * 1e3 / RATE
