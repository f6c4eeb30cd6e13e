"""Camera → matter → composite → outputs, with the newest frame only: what a video call needs.

Four threads: one reads the camera, one runs the networks, one composites, the caller's hands pictures over. Between
them lies one slot each: a late frame is replaced by the newer one before any work is done on it, so latency is bounded
by the work on one frame and what is left of the one before it, whatever the speed of the machine.

What goes out is a composite, the last good composite again, or the background alone. There is no way from the camera
to an output but through a matte.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.backdrop import Backdrop
from realtime_matting.capture import Capture
from realtime_matting.errors import MattingError
from realtime_matting.live_matting import Composite, LiveOptions, Matting
from realtime_matting.live_presets import LivePreset
from realtime_matting.live_report import LiveReport, Tally
from realtime_matting.profiling import Profile
from realtime_matting.sinks.live_base import LiveSink
from realtime_matting.slot import Slot
from realtime_matting.sources.live_base import Camera, Shot

Rgb = NDArray[np.uint8]

_POLL = 0.02
"""Seconds a thread waits at most before it looks whether it should end."""
_HOLD = 0.1
"""Seconds after which a picture goes out again when there is no new one, for who reads the output waits for it."""
_STALLED = 0.5
"""Seconds without a new composite, though one is wanted, after which the run calls itself stalled."""
_WAKE = 0.3
"""Seconds that the first composite may take after nobody watched, or a pause, before it counts as late."""
_OLD = 2.0
"""Seconds after which the last composite gives way to the background alone: a frozen face is worse than none."""
_WATCH = 0.1
"""Seconds between two looks at whether somebody watches, and at whether a background's file is due for one."""
_LEAVE = 0.6
"""Seconds to wait for a thread at the end; one that hangs in a driver does not keep the process."""


class LiveRun:
    """One live run; ``run`` runs it in the caller's thread, everything else may be called from any thread."""

    def __init__(
        self,
        camera: Camera,
        reopen: Callable[[], Camera],
        presets: Mapping[str, LivePreset],
        backdrop: Backdrop,
        sinks: Sequence[LiveSink],
        options: LiveOptions,
        *,
        profile: Profile | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Put a run together; the caller closes backdrop and sinks after it, the cameras are closed by it.

        Args:
            camera: the camera, open; in this way one that cannot be used is told before anything starts.
            reopen: opens the camera again after it was lost; raises ``CameraError`` until that is possible.
            presets: by name, the best and dearest first. The caller closes them after the run.
            backdrop: what the person is put on.
            sinks: where pictures go, at least one; a frame's latency ends when all of them have its composite.
            options: see ``LiveOptions``.
            profile: where the stages' times are added.
            say: told one line for each thing that people should know.

        Raises:
            InputError: there is no preset of that name.
        """
        self._backdrop = backdrop
        self._sinks = list(sinks)
        self.options = options
        self._profile = profile or Profile()
        self._say = say
        self._tally = Tally()
        self._shots: Slot[Shot] = Slot()
        self._capture = Capture(camera, reopen, self._shots, self._tally, say)
        self._composites: Slot[Composite] = Slot()
        self.matting = Matting(
            presets,
            backdrop,
            options,
            self._shots,
            self._composites,
            self._tally,
            wanted=lambda: not (self._paused or self._resting),
            profile=self._profile,
            say=say,
        )
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._paused = False
        self._resting = False
        self._last: Composite | None = None
        self._last_out = 0.0
        self._began = self._wanted_since = time.monotonic()

    # What the user may do while it runs.

    @property
    def paused(self) -> bool:
        return self._paused

    def pause(self, paused: bool) -> None:
        """Stop or go on sending the person."""
        self._paused = paused

    def stop(self) -> None:
        """End the run."""
        self._stop.set()

    def picture(self) -> Rgb | None:
        """The last composite that went out, uint8 (height, width, 3); None before the first."""
        return self._last.picture if self._last else None

    def status(self) -> dict[str, object]:
        """What the run does now, in values that JSON can carry."""
        seconds = time.monotonic() - self._began
        counts = self._tally.counts()
        return {
            "state": self._state(),
            "camera": self._capture.camera_name,
            "outputs": [sink.name for sink in self._sinks],
            "size": list(self.options.size),
            "background": self._backdrop.spec,
            "preset": self.matting.preset,
            "auto": self.matting.auto,
            "mirror": self.matting.mirror,
            "framing": self.matting.framing,
            "seconds": round(seconds, 1),
            "fps": round(counts["shown"] / seconds, 1) if seconds else 0.0,
            "latency_ms": self._tally.latency_ms(),
            **counts,
        }

    def _state(self) -> str:
        if self._paused:
            return "paused"
        if self._capture.lost:
            return "camera lost"
        if self._resting:
            return "resting"
        return "stalled" if self._waits(time.monotonic()) > _STALLED else "running"

    # The run.

    def run(self, stop: threading.Event | None = None) -> LiveReport:
        """Run until ``stop`` is set, ``stop()`` is called, or the time is over.

        Raises:
            MattingError: an output is gone, or no matte could be made any more. The background was sent till then.
        """
        cv2.setNumThreads(1)  # OpenCV's pool beside the engine's slows the engine
        self._began = self._wanted_since = time.monotonic()
        self._look_who_watches()
        threads = [
            threading.Thread(target=self._guarded, args=(work,), name=f"rtmatte {name}", daemon=True)
            for name, work in (
                ("camera", self._capture.run),
                ("drafts", self.matting.run_drafts),
                ("composites", self.matting.run_composites),
                ("files", self._watch),
            )
        ]
        for thread in threads:
            thread.start()
        try:
            self._output(stop or threading.Event())
        finally:
            self._stop.set()
            self._shots.close()
            self.matting.close()
            self._composites.close()
            leave_by = time.monotonic() + _LEAVE
            for thread in threads:
                thread.join(max(0.0, leave_by - time.monotonic()))
        if self._error is not None:
            raise self._error
        return self._tally.report(
            time.monotonic() - self._began, self._profile.milliseconds_per_call(), tuple(self.matting.changes)
        )

    def _guarded(self, work: Callable[[threading.Event], None]) -> None:
        """Thread: an error that ends one thread ends the run."""
        try:
            work(self._stop)
        except BaseException as error:
            self._error = self._error or error
            self._stop.set()

    # Thread: what is looked at now and then.

    def _look_who_watches(self) -> None:
        self._resting = self.options.rest and not any(sink.watched() for sink in self._sinks)

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(_WATCH):
            self._look_who_watches()
            self._backdrop.reload_if_changed()

    # The caller's thread: the outputs.

    def _output(self, stop: threading.Event) -> None:
        was_paused = False
        self._send(self._safe(time.monotonic()), None, time.monotonic())
        while not (stop.is_set() or self._stop.is_set()):
            done = self._composites.take(_POLL)
            now = time.monotonic()
            if self.options.seconds is not None and now - self._began >= self.options.seconds:
                return
            paused = self._paused
            if paused or self._resting:
                self._wanted_since = now + _WAKE
            if paused != was_paused:
                # What is taken while paused, or was ready when it ended, is of before.
                done, was_paused = None, paused
                if paused:
                    self._send(self._safe(now), None, now)
            if done is not None and now - done.captured > _OLD:
                # The whole machine stood still, as in a debugger or a virtual machine that was stopped.
                self._tally.count("dropped")
                done = None
            if done is not None and not paused:
                self._send(done.picture, done.debug, now)
                self._last = done
                self._tally.shown(time.monotonic() - done.captured)
            elif now - self._last_out >= _HOLD:
                self._send(self._safe(now), None, now)
                if self._last is not None and self._waits(now) > _HOLD:
                    self._tally.count("stale")

    def _waits(self, now: float) -> float:
        """Seconds for which a composite has been wanted and was not there; below 0 where none is wanted yet."""
        return now - max(self._wanted_since, self._last.captured if self._last else self._began)

    def _send(self, picture: Rgb, debug: Rgb | None, now: float) -> None:
        self._last_out = now
        for sink in self._sinks:
            with self._profile.stage("output"):
                sink.send(debug if debug is not None and sink.private else picture, now)

    def _safe(self, now: float) -> Rgb:
        """What goes out where there is no new composite: the last one for a while, then the background alone."""
        if self._last is not None:
            still = self.options.pause == "still" if self._paused else now - self._last.captured < _OLD
            if still:
                return self._last.picture
        width, height = self.options.size
        try:
            return self._backdrop.alone(now, width, height)
        except MattingError:
            return np.zeros((height, width, 3), np.uint8)
