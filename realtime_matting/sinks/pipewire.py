"""A virtual camera through PipeWire, without a kernel module: a node of the class Video/Source.

Pictures go as YUY2 through a pipe to GStreamer's ``pipewiresink``, a process of its own: no binding is needed, and
whatever happens in it does not end the call. ``pw-dump`` tells when somebody reads the node and when nobody does.
"""

import codecs
import json
import logging
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import InputError, OutputError

log = logging.getLogger(__name__)

NODE = "rtmatte"
_INSTALL = "sudo apt install pipewire wireplumber gstreamer1.0-pipewire gstreamer1.0-tools gstreamer1.0-plugins-base"
_PROGRAMS = ("gst-launch-1.0", "gst-inspect-1.0", "pw-dump")
_ELEMENTS = ("pipewiresink", "rawvideoparse")
_START_SECONDS = 10.0
_START_PERIOD = 0.1
_WRITE_SECONDS = 1.0
_RETRY_SECONDS = 2.0
_END_SECONDS = 0.3
_READ = 65536
_PIPE_BYTES = 1 << 20
"""As much as Linux lets anybody have; a picture then goes over in two pieces instead of twenty."""


def why_not() -> str | None:
    """Why this back end cannot be used, with the command that mends it; None where it can."""
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"pipewire: {' and '.join(missing)} not found: {_INSTALL}"
    for element in _ELEMENTS:
        # Not with --exists, which compares the version of a plug-in with that of GStreamer.
        found = subprocess.run(["gst-inspect-1.0", element], capture_output=True, check=False)
        if found.returncode:
            return f"pipewire: GStreamer has no {element}: {_INSTALL}"
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR")
    remote = os.environ.get("PIPEWIRE_REMOTE", "pipewire-0")
    if not folder or not os.path.exists(os.path.join(folder, remote)):
        return "pipewire: no PipeWire runs for this user: systemctl --user enable --now pipewire wireplumber"
    return None


class PipeWireSink:
    """A camera named "rtmatte" in PipeWire (a ``LiveSink``)."""

    private = False

    def __init__(self, width: int, height: int, fps: float, *, node: str = NODE) -> None:
        """Make the node and wait until it is there.

        Args:
            width, height: of the pictures, in pixels; an even width.
            fps: frames per second to announce.
            node: its name, which must be free.

        Raises:
            InputError: PipeWire or GStreamer cannot be used, with the command that mends it.
        """
        reason = why_not()
        if reason is not None:
            raise InputError(reason)
        self.name = f'PipeWire camera "{node}"'
        self._node = node
        self._size = (width, height)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._yuyv = np.empty((height, width, 2), np.uint8)
        self._failed_at: float | None = None
        self._said = ""
        self._start()
        self._states = _NodeStates(node)
        if not self._appears():
            self._end_process()
            lines = self._said.strip().splitlines()
            said = f" ({lines[-1]})" if lines else ""
            self.close()
            raise InputError(
                f"pipewire: the camera did not appear{said}: systemctl --user restart pipewire wireplumber"
            )

    def _appears(self) -> bool:
        """Send black until the node is there: it is made when the first picture has come through."""
        give_up = time.monotonic() + _START_SECONDS
        black = np.zeros((self._size[1], self._size[0], 3), np.uint8)
        while time.monotonic() < give_up and self._failed_at is None:
            self.send(black, time.monotonic())
            if self._states.appeared.wait(_START_PERIOD):
                return True
        return False

    def _start(self) -> None:
        width, height = self._size
        properties = ",".join(
            (
                "properties",
                "media.class=Video/Source",
                "media.role=Camera",
                f"node.name={self._node}",
                f"node.description={self._node}",
            )
        )
        pipeline = (
            f"fdsrc fd=0 blocksize={self._yuyv.nbytes} do-timestamp=true"
            f" ! rawvideoparse format=yuy2 width={width} height={height}"
            f" framerate={self._rate.numerator}/{self._rate.denominator}"
            " ! queue max-size-buffers=1 leaky=downstream"
            # Without it the buffers are handed over in a way that ends the programs that read them.
            " ! identity drop-allocation=true"
            f" ! pipewiresink mode=provide stream-properties={properties}"
        )
        self._process = subprocess.Popen(
            ["gst-launch-1.0", "-q", *pipeline.split()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this program, which then closes the pipe
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        os.set_blocking(self._pipe, False)
        _widen(self._pipe)
        self._failed_at = None

    def send(self, rgb: NDArray[np.uint8], time: float) -> None:
        if self._failed_at is None and self._states.ended:
            self._fail(time, "PipeWire has ended")
        if self._failed_at is not None:
            self._try_again(time)
            return
        # BT.601 in limited range: what readers take untagged video for, at any size, since real cameras send that.
        cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2YUV_YUY2, dst=self._yuyv)
        if not self._write(self._yuyv):
            self._fail(time, "GStreamer takes no more pictures")

    def _fail(self, now: float, why: str) -> None:
        if self._states.appeared.is_set():  # else it has been said
            log.warning("%s: %s; trying again until it can be used", self.name, why)
        self._failed_at = now
        self._end_process()

    def _try_again(self, now: float) -> None:
        """Start anew a while after it failed, as when PipeWire itself was restarted."""
        assert self._failed_at is not None
        if now - self._failed_at >= _RETRY_SECONDS:
            self._states.close()
            try:
                self._start()
                self._states = _NodeStates(self._node)
            except OSError as error:
                raise OutputError(f"{self.name}: is gone and cannot be started again ({error.strerror})") from error

    def _write(self, picture: NDArray[np.uint8]) -> bool:
        """Hand a picture over; False where the process takes it no more."""
        rest = picture.data.cast("B")
        give_up = time.monotonic() + _WRITE_SECONDS
        while rest:
            try:
                rest = rest[os.write(self._pipe, rest) :]
            except BlockingIOError:
                if not select.select([], [self._pipe], [], max(0.0, give_up - time.monotonic()))[1]:
                    return False
            except OSError:
                return False
        return True

    def watched(self) -> bool:
        return self._states.running

    def _end_process(self) -> None:
        """End the process, by the end of its input, then by force; keep what it said."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
            self._process.stdin = None  # communicate() would flush it
        if self._process.stderr is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            _, said = self._process.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, said = self._process.communicate()
        self._process.stderr = None
        self._said = said.decode(errors="replace")

    def close(self) -> None:
        self._end_process()
        self._states.close()


class _NodeStates:
    """Follows the state of one node through ``pw-dump --monitor``."""

    def __init__(self, node: str) -> None:
        self.appeared = threading.Event()
        self.running = False
        self.ended = False  # what was followed is gone: PipeWire itself, or the program that tells of it
        self._node = node
        self._ids: set[int] = set()
        self._process = subprocess.Popen(
            ["pw-dump", "--monitor"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._thread = threading.Thread(target=self._follow, name="rtmatte pipewire", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for changed in json_values(self._process.stdout):
            for thing in changed if isinstance(changed, list) else ():
                self._note(thing)
        self.running, self.ended = False, True

    def _note(self, thing: dict[str, Any]) -> None:
        info = thing.get("info")
        if not isinstance(info, dict):  # it was removed
            if thing.get("id") in self._ids:
                self._ids.discard(thing["id"])
                self.running = False
            return
        properties = info.get("props") or {}
        if properties.get("node.name") == self._node and properties.get("media.class") == "Video/Source":
            self._ids.add(thing["id"])
            self.appeared.set()
        if thing.get("id") in self._ids and "state" in info:
            self.running = info["state"] == "running"

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        self._thread.join(1.0)
        if self._process.stdout is not None:
            self._process.stdout.close()


def json_values(stream: IO[bytes]) -> Iterator[Any]:
    """The JSON values that follow one another in a stream, each as soon as it is complete."""
    decoder, to_text = json.JSONDecoder(), codecs.getincrementaldecoder("utf-8")("replace")
    text = ""
    while data := os.read(stream.fileno(), _READ):
        text = (text + to_text.decode(data)).lstrip()
        while text:
            try:
                value, end = decoder.raw_decode(text)
            except ValueError:
                break
            yield value
            text = text[end:].lstrip()


def _widen(pipe: int) -> None:
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
