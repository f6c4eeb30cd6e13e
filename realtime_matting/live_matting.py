"""The working thread of a live run: the newest frame in, its composite out; nothing in between is kept."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.backdrop import Backdrop
from realtime_matting.compositing.blend import composite
from realtime_matting.compositing.cover import cover
from realtime_matting.debug_view import debug_view
from realtime_matting.errors import InputError
from realtime_matting.framing import Framing, cropped
from realtime_matting.live_report import Tally
from realtime_matting.pipeline import MatteFunction
from realtime_matting.profiling import Profile
from realtime_matting.slot import Slot
from realtime_matting.sources.live_base import Shot
from realtime_matting.stepping import Stepper

Rgb = NDArray[np.uint8]
Pause = Literal["background", "still"]

_POLL = 0.02
"""Seconds to wait for a frame before it is looked whether the run should end."""
_GIVE_UP = 10.0
"""Seconds of nothing but failing mattes after which the run ends."""
_NEW_STREAM = 1.0
"""Seconds between two frames after which the first says nothing of the second."""


@dataclass(frozen=True)
class LiveOptions:
    """How a live run behaves.

    Attributes:
        size: (width, height) of what goes out; frames of other proportions are cut to it.
        fps: frames per second wanted.
        mirror: show the person, not the background, as in a mirror.
        framing: follow the person with a smooth crop.
        preset: a name of the presets, or "auto", which steps with the machine's speed.
        rest: do not matte while nobody watches.
        pause: what goes out while paused: the background alone, or the last composite as a still.
        seconds: end after this time; None runs until told to stop.
    """

    size: tuple[int, int]
    fps: float
    mirror: bool = False
    framing: bool = False
    preset: str = "auto"
    rest: bool = True
    pause: Pause = "background"
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Composite:
    """What was made of one frame.

    Attributes:
        picture: uint8 (height, width, 3), the person on the background.
        captured: ``time.monotonic()`` at which the frame was captured.
        debug: the debug view, for the user alone; None unless it was asked for.
    """

    picture: Rgb
    captured: float
    debug: Rgb | None


class Matting:
    """Mattes and composites the newest frame, again and again.

    Attributes:
        mirror, framing, debug: may be changed at any time; they hold from the next frame on.
        changes: one line for each change of the preset by itself.
    """

    def __init__(
        self,
        presets: Mapping[str, MatteFunction],
        backdrop: Backdrop,
        options: LiveOptions,
        shots: Slot[Shot],
        composites: Slot[Composite],
        tally: Tally,
        *,
        wanted: Callable[[], bool],
        reset: Callable[[], None],
        profile: Profile,
        say: Callable[[str], None],
    ) -> None:
        """See ``LiveRun`` for the arguments.

        Args:
            wanted: whether anybody wants composites now; frames are thrown away otherwise.

        Raises:
            InputError: there is no preset of the name in ``options``.
        """
        self._presets = dict(presets)
        self._backdrop = backdrop
        self._size = options.size
        self._period = 1 / options.fps
        self._shots = shots
        self._composites = composites
        self._tally = tally
        self._wanted = wanted
        self._reset = reset
        self._profile = profile
        self._say = say
        self._framing = Framing()
        self._choosing = threading.Lock()
        self.mirror = options.mirror
        self.framing = options.framing
        self.debug = False
        self.changes: list[str] = []
        self.choose_preset(options.preset)

    @property
    def preset(self) -> str:
        """The preset in use."""
        return self._preset

    @property
    def auto(self) -> bool:
        """Whether the machine's speed decides the preset."""
        return self._stepper is not None

    def choose_preset(self, name: str) -> None:
        """Take the preset ``name``, or "auto" to let the machine's speed decide.

        Raises:
            InputError: there is none of that name.
        """
        names = list(self._presets)
        if name != "auto" and name not in names:
            raise InputError(f"{name}: no such preset; choose auto, {', '.join(names)}")
        with self._choosing:
            self._stepper = Stepper(names, names[len(names) // 2], self._period) if name == "auto" else None
            self._preset = self._stepper.name if self._stepper else name

    def run(self, stop: threading.Event) -> None:
        """Thread: work until ``stop`` is set.

        Raises:
            Exception: what the mattes raise, when they have done nothing else for a while.
        """
        last: Shot | None = None  # None: the next frame is the first of a new stream
        failing_since: float | None = None
        while not stop.is_set():
            shot = self._shots.take(_POLL)
            if shot is None:
                continue
            if not self._wanted():
                self._tally.count("rested")
                last = None
                continue
            began = time.monotonic()
            if last is None or shot.rgb.shape != last.rgb.shape or shot.captured - last.captured > _NEW_STREAM:
                self._reset()
            last = shot
            try:
                done = self._composite(shot)
            except Exception as error:
                self._tally.count("failed")
                last = None
                if failing_since is None:
                    self._say(f"a frame could not be matted ({error}); the last good picture stays")
                    failing_since = time.monotonic()
                if time.monotonic() - failing_since > _GIVE_UP:
                    raise
                continue
            failing_since = None
            self._tally.count("dropped", self._composites.put(done))
            self._step(time.monotonic(), time.monotonic() - began)

    def _composite(self, shot: Shot) -> Composite:
        width, height = self._size
        preset = self._preset
        with self._profile.stage("fit"):
            frame = cover(shot.rgb, height, width)
            if self.mirror:
                frame = np.asarray(cv2.flip(frame, 1), np.uint8)
            frame = np.ascontiguousarray(frame)
        with self._profile.stage("matte"):
            matte = self._presets[preset](frame)
        debug = debug_view(frame, matte, preset, self._profile.milliseconds_per_call()) if self.debug else None
        with self._profile.stage("composite"):
            alpha, foreground = matte.alpha, matte.foreground
            if self.framing:
                crop = self._framing.follow(alpha, shot.captured)
                frame, foreground, alpha = (cropped(frame, crop), cropped(foreground, crop), cropped(alpha, crop))
            behind = self._backdrop.at(shot.captured, frame, alpha)
            picture = frame.copy() if behind is frame else composite(foreground, alpha, behind)
        return Composite(picture, shot.captured, debug)

    def _step(self, now: float, seconds: float) -> None:
        with self._choosing:
            change = self._stepper.observe(now, seconds) if self._stepper else None
            if change is None or self._stepper is None:
                return
            self._preset = self._stepper.name
        self.changes.append(change)
        self._say(change)
