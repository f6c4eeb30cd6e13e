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
from realtime_matting.compositing.cover import cover
from realtime_matting.debug_view import debug_view
from realtime_matting.errors import InputError
from realtime_matting.framing import Framing, cropped
from realtime_matting.live_presets import LivePreset
from realtime_matting.live_report import Tally
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
        steps: the presets that "auto" steps through, the dearest first; all if empty.
        start: the one that "auto" begins with; None for the middle one.
        rest: do not matte while nobody watches.
        pause: what goes out while paused: the background alone, or the last composite as a still.
        seconds: end after this time; None runs until told to stop.
    """

    size: tuple[int, int]
    fps: float
    mirror: bool = False
    framing: bool = False
    preset: str = "auto"
    steps: tuple[str, ...] = ()
    start: str | None = None
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
        presets: Mapping[str, LivePreset],
        backdrop: Backdrop,
        options: LiveOptions,
        shots: Slot[Shot],
        composites: Slot[Composite],
        tally: Tally,
        *,
        wanted: Callable[[], bool],
        profile: Profile,
        say: Callable[[str], None],
    ) -> None:
        """See ``LiveRun`` for the arguments.

        Args:
            wanted: whether anybody wants composites now; frames are thrown away otherwise.

        Raises:
            InputError: there is no preset of a name in ``options``.
        """
        self._presets = dict(presets)
        self._backdrop = backdrop
        self._size = options.size
        self._period = 1 / options.fps
        self._shots = shots
        self._composites = composites
        self._tally = tally
        self._wanted = wanted
        self._profile = profile
        self._say = say
        self._framing = Framing()
        self._choosing = threading.Lock()
        self.mirror = options.mirror
        self.framing = options.framing
        self.debug = False
        self.changes: list[str] = []
        self._steps = list(options.steps or presets)
        self._start = options.start or self._steps[len(self._steps) // 2]
        self._current: str | None = None
        self.choose_preset(options.preset)
        self._first = self._chosen

    @property
    def preset(self) -> str:
        """The preset in use, or to be used as soon as its networks are open."""
        return self._chosen

    @property
    def auto(self) -> bool:
        """Whether the machine's speed decides the preset."""
        return self._stepper is not None

    def choose_preset(self, name: str) -> None:
        """Take the preset ``name``, or "auto" to let the machine's speed decide.

        The preset in use goes on until the networks of the new one are open.

        Raises:
            InputError: there is none of that name.
            MattingError: it is known that it cannot be opened.
        """
        if name != "auto" and name not in self._presets:
            raise InputError(f"{name}: no such preset; choose auto, {', '.join(self._presets)}")
        with self._choosing:
            stepper = self._stepper_from(self._current) if name == "auto" else None
            chosen = stepper.name if stepper else name
            error = self._presets[chosen].error
            if error is not None:
                raise error
            self._presets[chosen].prepare(*self._size)
            self._stepper, self._chosen = stepper, chosen

    def _stepper_from(self, name: str | None) -> Stepper:
        usable = [step for step in self._steps if self._presets[step].error is None] or self._steps
        start = next((step for step in (name, self._start) if step in usable), usable[-1])
        return Stepper(usable, start, self._period, lambda step: self._presets[step].ready)

    def run(self, stop: threading.Event) -> None:
        """Thread: work until ``stop`` is set.

        Raises:
            Exception: the first preset cannot be opened; or what the mattes raise, when they have done nothing else for
                a while.
        """
        last: Shot | None = None  # None: the next frame is the first of a new stream
        failing_since: float | None = None
        while not stop.is_set():
            shot = self._shots.take(_POLL)
            if self._take_chosen():
                last = None
            if shot is None:
                continue
            if not self._wanted():
                self._tally.count("rested")
                last = None
                continue
            if self._current is None:
                self._tally.count("dropped")
                continue
            began = time.monotonic()
            preset = self._presets[self._current]
            if last is None or shot.rgb.shape != last.rgb.shape or shot.captured - last.captured > _NEW_STREAM:
                preset.reset()
            last = shot
            try:
                done = self._composite(shot, preset, self._current)
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

    def _take_chosen(self) -> bool:
        """Change to the chosen preset when it is ready; true where that has changed the one in use."""
        with self._choosing:
            chosen = self._presets[self._chosen]
            if self._chosen == self._current:
                return False
            if chosen.error is not None:
                before = self._current or self._first
                if before == self._chosen:
                    raise chosen.error
                self._give_up(self._chosen, chosen.error, before)
                self._chosen = before
            if not chosen.ready:
                return False
            self._current = self._chosen
            return True

    def _composite(self, shot: Shot, preset: LivePreset, name: str) -> Composite:
        width, height = self._size
        with self._profile.stage("fit"):
            frame = cover(shot.rgb, height, width)
            if self.mirror:
                frame = np.asarray(cv2.flip(frame, 1), np.uint8)
            frame = np.ascontiguousarray(frame)
        with self._profile.stage("matte"):
            matte = preset(frame)
        debug = debug_view(frame, matte, name, self._profile.milliseconds_per_call()) if self.debug else None
        with self._profile.stage("composite"):
            alpha, foreground = matte.alpha, matte.foreground
            if self.framing:
                crop = self._framing.follow(alpha, shot.captured)
                frame, foreground, alpha = (cropped(frame, crop), cropped(foreground, crop), cropped(alpha, crop))
            behind = self._backdrop.at(shot.captured, frame, alpha)
            picture = preset.look.over(shot.captured, frame, foreground, alpha, behind)
            if picture is frame:
                picture = frame.copy()
        return Composite(picture, shot.captured, debug)

    def _step(self, now: float, seconds: float) -> None:
        with self._choosing:
            stepper = self._stepper
            if stepper is None or self._chosen != self._current:
                return
            if any(preset.busy for preset in self._presets.values()):
                stepper.disturb()
                return
            change = stepper.observe(now, seconds)
            wanted = stepper.wanted
            if change is None:
                if wanted is not None:
                    self._make_ready(wanted)
                return
            self._chosen = stepper.name
        self.changes.append(change)
        self._say(change)

    def _make_ready(self, name: str) -> None:
        """In the background, while the preset in use goes on."""
        preset = self._presets[name]
        if preset.error is not None:
            self._give_up(name, preset.error, self._chosen)
        else:
            preset.prepare(*self._size)

    def _give_up(self, name: str, error: BaseException, before: str) -> None:
        """Stay with the preset before one that cannot be opened, and do not step to that one again."""
        self._say(f"preset {name} cannot be used ({error}); {before} stays")
        if self._stepper is not None:
            self._stepper = self._stepper_from(before)
