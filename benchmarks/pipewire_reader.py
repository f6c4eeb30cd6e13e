"""A private PipeWire session, and a program in it that reads a camera as a call would, for `live.py`."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime_matting.compositing.backgrounds import open_background
from realtime_matting.errors import InputError

PROGRAMS = ("dbus-daemon", "pipewire", "wireplumber", "gst-launch-1.0")
CHECK_EVERY = 15
"""Pictures of which one is compared with the background."""
STEP = 16
"""Pixels between those that are compared, both ways."""
CLOSE = 12
"""Grey levels that 4:2:2 and the limited range may change."""
LEAST, MOST = 0.2, 0.98
"""Shares of a composite's pixels that are the background's: with less it is something else, with more it is alone."""


@contextmanager
def private_session() -> Iterator[Mapping[str, str]]:
    """The environment of a session of its own with D-Bus, PipeWire and WirePlumber.

    Raises:
        InputError: a program is missing.
    """
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise InputError(f"{', '.join(missing)} not found; install PipeWire and GStreamer, or give --output none")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))  # mode 700
        environment = os.environ | {"XDG_RUNTIME_DIR": str(folder), "XDG_CONFIG_HOME": str(folder)}
        environment.pop("PIPEWIRE_REMOTE", None)
        environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={folder / 'bus'}"
        bus = ["dbus-daemon", "--session", "--nofork", f"--address=unix:path={folder / 'bus'}"]
        for command, ready in ((bus, folder / "bus"), (["pipewire"], folder / "pipewire-0"), (["wireplumber"], None)):
            process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            give_up = time.monotonic() + 10
            while ready is not None and not ready.exists():
                if time.monotonic() > give_up:
                    raise InputError(f"{command[0]} did not start")
                time.sleep(0.05)
        time.sleep(2)  # WirePlumber says nothing when it is ready
        yield environment


@dataclass(frozen=True)
class Read:
    """What a reader got: pictures per second that differ from the one before, and the share of composites."""

    fps: float
    composites: float


class Reader:
    """Reads a camera until it is closed."""

    def __init__(self, node: str, size: tuple[int, int], environment: Mapping[str, str], background: Path) -> None:
        width, height = size
        grey = np.full((height, width, 3), 128, np.uint8)
        shown = open_background(str(background)).at(0.0, grey, np.zeros((height, width), np.float32))
        self._shape = (height, width, 2)
        self._expected = _luma(shown[::STEP, ::STEP])
        self._differing = self._checked = self._good = 0
        self._began = time.monotonic()
        pipeline = (
            f"pipewiresrc target-object={node} always-copy=true ! videoconvert ! video/x-raw,format=YUY2"
            " ! fdsink fd=1 sync=false"
        )
        self._process = subprocess.Popen(
            ["gst-launch-1.0", "-q", *pipeline.split()],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        picture = np.empty(self._shape, np.uint8)
        before = b""
        count = 0
        while self._process.stdout.readinto(picture.data.cast("B")) == picture.nbytes:  # type: ignore[attr-defined]
            luma = picture[::STEP, ::STEP, 0]
            now = luma.tobytes()
            if now != before:
                before = now
                self._differing += 1
                count += 1
                if count % CHECK_EVERY == 0:
                    self._checked += 1
                    self._good += self._is_composite(luma)

    def _is_composite(self, luma: NDArray[np.uint8]) -> bool:
        same = float((np.abs(luma.astype(np.int16) - self._expected) <= CLOSE).mean())
        return LEAST <= same <= MOST

    def begin(self) -> None:
        """Count from now on."""
        self._differing = self._checked = self._good = 0
        self._began = time.monotonic()

    def end(self) -> Read:
        """What came since ``begin``."""
        seconds = time.monotonic() - self._began
        return Read(self._differing / seconds, self._good / max(1, self._checked))

    def close(self) -> None:
        self._process.kill()
        self._thread.join()
        self._process.communicate()


def _luma(rgb: NDArray[np.uint8]) -> NDArray[np.int16]:
    """BT.601, limited range, as cameras send it."""
    weights = np.array((65.481, 128.553, 24.966), np.float32) / 255
    return np.asarray(np.rint(rgb.astype(np.float32) @ weights + 16), np.int16)
