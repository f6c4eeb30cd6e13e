"""How long a frame takes with a preset: the live path, without camera and output."""

import time
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.compositing.backgrounds import Background
from realtime_matting.compositing.cover import cover
from realtime_matting.defaults import PRESETS
from realtime_matting.look import Look
from realtime_matting.matting.matter import Matter
from realtime_matting.sources.video import VideoSource

Rgb = NDArray[np.uint8]

SIZE = (1280, 720)
"""(width, height) of the frames that presets are judged by."""
RATE = 30.0
"""Frames per second that a preset should keep."""
_SAMPLE = Path(__file__).parents[1] / "sample"
CLIP, BACKGROUND = str(_SAMPLE / "talk.mp4"), str(_SAMPLE / "beach.jpg")
_NETWORKS = ("trimap", "matting")
_SPARE = 0.85
"""A preset fits if a frame takes at most this share of its period: camera and output need some time as well."""


@dataclass
class Times:
    """Milliseconds of each frame.

    Attributes:
        frames: from the captured picture to the composite.
        networks: of them, in the networks.
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
    """Matte and composite frames one after the other, and note what each takes; getting a frame is not counted."""
    cv2.setNumThreads(1)  # as in a run
    times = Times()
    for index, frame in enumerate(frames):
        began = time.perf_counter()
        matte = matter(frame)
        behind = background.at(index / RATE, frame, matte.alpha)
        look.over(index / RATE, frame, matte.foreground, matte.alpha, behind)
        times.frames.append(1e3 * (time.perf_counter() - began))
        times.networks.append(sum(matte.milliseconds.get(stage, 0.0) for stage in _NETWORKS))
    return times


def best_fitting(milliseconds: Mapping[str, float]) -> str | None:
    """The best of the built-in presets that fits ``RATE``, by milliseconds a frame; None where none does."""
    fitting = [name for name in PRESETS if name in milliseconds and fits(milliseconds[name])]
    return fitting[0] if fitting else None


def fits(milliseconds: float) -> bool:
    """Whether a frame that takes so long keeps ``RATE``, with some time to spare."""
    return milliseconds <= _SPARE * 1e3 / RATE
