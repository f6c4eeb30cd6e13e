"""The work of a live run, in two threads: the newest frame in, its composite out; nothing in between is kept.

The first thread fits the newest frame and runs the networks (the draft), the second brings the draft to the frame's
size and puts it before the background. Between them is one place. The first takes a frame when that place is empty, so
no draft is ever thrown away, and what a frame may have to wait for is the rest of the work on the one before it.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.backdrop import Backdrop
from realtime_matting.compositing.blend import Layer
from realtime_matting.compositing.cover import cover
from realtime_matting.debug_view import debug_view
from realtime_matting.frames import Frame
from realtime_matting.framing import Framing, cropped
from realtime_matting.live_choice import PresetChoice
from realtime_matting.live_failures import Failures
from realtime_matting.live_presets import LivePreset
from realtime_matting.live_report import Tally
from realtime_matting.profiling import Profile
from realtime_matting.slot import Slot
from realtime_matting.sources.live_base import Shot

Rgb = NDArray[np.uint8]
Pause = Literal["background", "still"]

_POLL = 0.02
"""Seconds to wait for a frame before it is looked whether the run should end."""
_NEW_STREAM = 1.0
"""Seconds between two frames after which the first says nothing of the second."""
_TICK = Fraction(1, 1_000_000)


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


@dataclass(frozen=True, eq=False)
class _Drafted:
    """A frame between the two stages.

    Attributes:
        frame: at the size of what goes out.
        captured: see ``Shot``.
        draft: what the networks of ``preset`` say of it, to be finished by the same preset.
        name, preset: of the preset.
        is_first: of a new stream.
        began: ``time.monotonic()`` when the work on it began.
        seconds: of work in the first stage.
    """

    frame: Frame
    captured: float
    draft: object
    name: str
    preset: LivePreset
    is_first: bool
    began: float
    seconds: float


class Matting:
    """Mattes and composites the newest frame, again and again.

    Attributes:
        mirror, framing, debug: may be changed at any time; they hold from the next frame on.
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
        self._backdrop = backdrop
        self._size = options.size
        self._shots = shots
        self._drafts: Slot[_Drafted] = Slot()
        self._composites = composites
        self._tally = tally
        self._wanted = wanted
        self._profile = profile
        self._framing = Framing()
        self.mirror = options.mirror
        self.framing = options.framing
        self.debug = False
        self._choice = PresetChoice(
            presets,
            size=options.size,
            period=1 / options.fps,
            preset=options.preset,
            steps=options.steps,
            start=options.start,
            say=say,
        )
        self._failures = Failures(say)

    @property
    def preset(self) -> str:
        """The preset in use, or to be used as soon as its networks are open."""
        return self._choice.chosen

    @property
    def auto(self) -> bool:
        """Whether the machine's speed decides the preset."""
        return self._choice.auto

    @property
    def changes(self) -> list[str]:
        """One line for each change of the preset by itself."""
        return self._choice.changes

    def choose_preset(self, name: str) -> None:
        """Take the preset ``name``, or "auto" to let the machine's speed decide.

        The preset in use goes on until the networks of the new one are open.

        Raises:
            InputError: there is none of that name.
            MattingError: it is known that it cannot be opened.
        """
        self._choice.choose(name)

    def close(self) -> None:
        """Wake both threads, that they may end."""
        self._drafts.close()

    # The first thread.

    def run_drafts(self, stop: threading.Event) -> None:
        """Thread: fit and draft frames until ``stop`` is set.

        Raises:
            Exception: the first preset cannot be opened; or what the networks raise, when no composite came out for a
                while.
        """
        last: tuple[Shot, str] | None = None  # None: the next frame is the first of a new stream
        while not stop.is_set():
            if not self._drafts.wait_empty(_POLL):
                continue
            shot = self._shots.take(_POLL)
            current = self._choice.current()
            if shot is None:
                continue
            if not self._wanted():
                self._tally.count("rested")
                last = None
                continue
            if current is None:
                self._tally.count("dropped")
                continue
            name, preset = current
            if self._failures.lost_track.is_set():
                self._failures.lost_track.clear()
                last = None
            is_first = last is None or last[1] != name or _is_new_stream(last[0], shot)
            if is_first:
                preset.reset()
            last = shot, name
            began = time.monotonic()
            try:
                frame = self._fitted(shot)
                with self._profile.stage("draft"):
                    draft = preset.draft(frame.rgb)
            except Exception as error:
                self._tally.count("failed")
                self._failures.failed(error)
                continue
            seconds = time.monotonic() - began
            self._drafts.put(_Drafted(frame, shot.captured, draft, name, preset, is_first, began, seconds))

    def _fitted(self, shot: Shot) -> Frame:
        width, height = self._size
        with self._profile.stage("fit"):
            rgb = cover(shot.rgb, height, width)
            if self.mirror:
                rgb = np.asarray(cv2.flip(rgb, 1), np.uint8)
            return Frame(np.ascontiguousarray(rgb), round(shot.captured / _TICK), _TICK, 0)

    # The second thread.

    def run_composites(self, stop: threading.Event) -> None:
        """Thread: finish and composite what was drafted until ``stop`` is set.

        Raises:
            Exception: what the mattes raise, when no composite came out for a while.
        """
        while not stop.is_set():
            drafted = self._drafts.take(_POLL)
            if drafted is None:
                continue
            if not self._wanted():
                self._tally.count("rested")
                self._failures.lost_track.set()
                continue
            began = time.monotonic()
            try:
                done = self._composite(drafted)
            except Exception as error:
                self._tally.count("failed")
                self._failures.failed(error)
                continue
            now = time.monotonic()
            self._tally.count("dropped", self._composites.put(done))
            self._failures.succeeded(drafted.began)
            self._choice.judge(drafted.name, now, (drafted.seconds, now - began))

    def _composite(self, drafted: _Drafted) -> Composite:
        frame, preset = drafted.frame.rgb, drafted.preset
        with self._profile.stage("finish"):
            matte = preset.finish(drafted.frame, drafted.draft)
        debug = None
        if self.debug:
            debug = debug_view(frame, matte, drafted.name, self._profile.milliseconds_per_call())
        with self._profile.stage("composite"):
            if drafted.is_first:
                preset.look.reset()
            if self.framing:
                crop = self._framing.follow(matte.alpha, drafted.captured)
                frame = cropped(frame, crop)
                matte = Layer(cropped(matte.foreground, crop), cropped(matte.alpha, crop))
            behind = self._backdrop.at(drafted.captured, frame, matte.alpha)
            picture = preset.look.over(drafted.captured, frame, matte, behind)
            if picture is frame:
                picture = frame.copy()
        return Composite(picture, drafted.captured, debug)


def _is_new_stream(before: Shot, after: Shot) -> bool:
    return before.rgb.shape != after.rgb.shape or after.captured - before.captured > _NEW_STREAM
