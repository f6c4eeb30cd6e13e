"""The camera's thread of a live run: the newest frame into a slot, and a lost camera opened again."""

import threading
import time
from collections.abc import Callable

from realtime_matting.errors import InputError
from realtime_matting.live_report import Tally
from realtime_matting.slot import Slot
from realtime_matting.sources.live_base import Camera, CameraError, CameraGone, Shot

_POLL = 0.02
"""Seconds a read waits at most before it is looked whether the run should end."""
_SILENT = 3.0
"""Seconds without a frame after which a camera counts as lost."""
_BACK_OFF = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each try to open it again; the last one repeats."""
_SUSPENDED = 5.0
"""Seconds by which the calendar runs ahead of the process's own clock after the machine was suspended."""


class Capture:
    """Reads a camera until it is told to stop.

    Attributes:
        camera_name: what people call the camera.
        lost: the camera is gone, and is being tried again.
    """

    def __init__(
        self,
        camera: Camera,
        reopen: Callable[[], Camera],
        shots: Slot[Shot],
        tally: Tally,
        say: Callable[[str], None],
    ) -> None:
        """Take over an open camera; see ``LiveRun`` for the arguments."""
        self._camera = camera
        self._reopen = reopen
        self._shots = shots
        self._tally = tally
        self._say = say
        self.lost = False

    @property
    def camera_name(self) -> str:
        return self._camera.name

    def run(self, stop: threading.Event) -> None:
        """Thread: read until ``stop`` is set, and release the camera."""
        last = time.monotonic()
        ahead = time.time() - last
        try:
            while not stop.is_set():
                try:
                    shot = self._read()
                    now = time.monotonic()
                    if shot is None and now - last > _SILENT:
                        raise CameraGone(f"{self.camera_name}: gave no frame for {_SILENT:.0f} s")
                    if time.time() - now - ahead > _SUSPENDED:
                        raise CameraGone(f"{self.camera_name}: the machine was suspended")
                except CameraGone as error:
                    self._reconnect(error, stop)
                    last = time.monotonic()
                    ahead = time.time() - last
                    continue
                if shot is not None:
                    last = now
                    self._tally.count("captured")
                    self._tally.count("dropped", self._shots.put(shot))
        finally:
            self._camera.close()

    def _read(self) -> Shot | None:
        damaged = self._camera.damaged
        try:
            return self._camera.read(_POLL)
        finally:
            self._tally.count("damaged", self._camera.damaged - damaged)

    def _reconnect(self, why: CameraGone, stop: threading.Event) -> None:
        """Close the camera and try to open it, less and less often, until that works or ``stop`` is set."""
        self.lost = True
        self._say(f"{why}; trying to open it again")
        self._camera.close()
        tries, told = 0, ""
        while not stop.wait(_BACK_OFF[min(tries, len(_BACK_OFF) - 1)]):
            tries += 1
            try:
                self._camera = self._reopen()
            except (CameraGone, InputError):  # it is not there yet
                continue
            except CameraError as error:
                if str(error) != told:
                    told = str(error)
                    self._say(told)
                continue
            self._tally.count("reconnects")
            self.lost = False
            self._say(f"{self.camera_name}: is back")
            return
