"""One preset under measurement, in a process of its own: its memory is then its own as well, and nothing is shared."""

import math
import signal
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from pathlib import Path

import numpy as np

from realtime_matting.cli import options
from realtime_matting.cli.report import resident_mebibytes
from realtime_matting.compositing.backgrounds import open_background
from realtime_matting.compositing.cover import cover
from realtime_matting.frames import Frame
from realtime_matting.look import composite_picture
from realtime_matting.matting.matter import Matter
from realtime_matting.pipeline import run_offline
from realtime_matting.presets.opening import look_of, open_matter
from realtime_matting.presets.preset import Preset
from realtime_matting.presets.speed import BACKGROUND, Rgb, Times, endless_frames, time_frames
from realtime_matting.sinks import open_sink
from realtime_matting.sources.video import VideoSource

_SETTLING = 3
"""Frames that are not counted: networks are compiled for the first."""
_SETTLING_FILE = 12
"""The same where mattes are carried: parts of a frame come in several sizes, each compiled when it first comes."""


@dataclass(frozen=True)
class Task:
    """What is measured.

    Attributes:
        preset: the preset.
        clip: path of the video.
        size: (width, height) of the frames.
        engine, threads: see ``Matter``.
    """

    preset: Preset
    clip: str
    size: tuple[int, int]
    engine: options.EngineChoice
    threads: int | None


class Worker:
    """A preset with its networks, its background and its frames."""

    def __init__(self, task: Task) -> None:
        """Open all, and run the first frames.

        Raises:
            MattingError: the clip, the model or the engine cannot be used.
        """
        self._task = task
        self._frames: Generator[Rgb] = endless_frames(task.clip, task.size)
        self._background = open_background(BACKGROUND)
        self._look = look_of(task.preset)
        self._matter = open_matter(task.preset, live=True, engine=task.engine, threads=task.threads)
        self._matter.warm_up(*task.size)
        self._for_files: Matter | None = None
        self._resident = 0.0
        time_frames(self._matter, self._look, self._background, islice(self._frames, _SETTLING))

    def describe(self) -> str:
        return self._matter.describe()

    def live(self, seconds: float) -> Times:
        """The live path for a while."""
        until = time.monotonic() + seconds
        self._matter.reset()
        frames = takewhile(lambda frame: time.monotonic() < until, self._frames)
        times = time_frames(self._matter, self._look, self._background, frames)
        if self._for_files is None:  # whose networks a live run does not hold
            self._resident = resident_mebibytes()
        return times

    def _open_for_files(self) -> Matter:
        """As for a file, with its networks compiled."""
        matter = open_matter(self._task.preset, live=False, engine=self._task.engine, threads=self._task.threads)
        with VideoSource(self._task.clip) as source:
            for _ in matter.stream(islice(self._scaled(source, math.inf), _SETTLING_FILE), delay=self._delay):
                pass
        return matter

    @property
    def _delay(self) -> int:
        preset = self._task.preset
        return preset.delay if preset.reuses(live=False) else 0

    def encoded(self, seconds: float) -> float:
        """Frames per second from file to file, H.264, until the file is closed, for about so many seconds."""
        if self._for_files is None:
            self._for_files = self._open_for_files()
        self._for_files.reset()
        began = time.perf_counter()
        with VideoSource(self._task.clip) as source, tempfile.TemporaryDirectory() as folder:
            width, height = self._task.size
            info = replace(source.info, width=width, height=height, uri=f"{self._task.clip} scaled")
            with open_sink(str(Path(folder) / "out.mp4"), info=info, kind="composite") as sink:
                report = run_offline(
                    self._scaled(source, began + seconds),
                    self._for_files,
                    composite_picture(self._background, self._look),
                    sink,
                    delay=self._delay,
                )
            return report.frames / (time.perf_counter() - began)

    def _scaled(self, source: VideoSource, until: float) -> Generator[Frame]:
        width, height = self._task.size
        for frame in source:
            if time.perf_counter() > until:
                return
            yield replace(frame, rgb=np.ascontiguousarray(cover(frame.rgb, height, width)))

    def resident(self) -> float:
        """MiB of memory that this process held after its last live round without the networks for files."""
        return self._resident


_worker: Worker


def begin(task: Task) -> str:
    """In the worker's process: make the worker; says what it runs on."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who waits for the answers
    _worker = Worker(task)
    return _worker.describe()


def live(seconds: float) -> Times:
    return _worker.live(seconds)


def encoded(seconds: float) -> float:
    return _worker.encoded(seconds)


def resident() -> float:
    return _worker.resident()
