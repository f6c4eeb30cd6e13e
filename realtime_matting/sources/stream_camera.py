"""Cameras that FFmpeg reads: V4L2 devices, network streams, the screen."""

import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from realtime_matting.errors import InputError
from realtime_matting.sources.colour import RgbConverter
from realtime_matting.sources.live_base import Camera, CameraError, CameraGone, Shot

_OPEN_SECONDS = 10.0
_READ_SECONDS = 3.0
_FALLBACK_RATE = 30.0


class StreamCamera:
    """One live stream, the newest frame first of all (a ``Camera``).

    What cannot be decoded is left out and counted. A change of size goes through: frames have the size they come in.
    A video file on the network, which has an end, comes at its own pace; a live stream as fast as it can be had.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        container_format: str | None = None,
        options: dict[str, str] | None = None,
        fps: float | None = None,
        is_device: bool = False,
    ) -> None:
        """Open the stream.

        Args:
            url: device or address.
            name: what people call it.
            container_format: FFmpeg's name of the input format; None lets it find out.
            options: of the format.
            fps: frames per second it was asked for; None: what the stream announces.
            is_device: ``url`` is a device file, on which can be waited without being stuck in it.

        Raises:
            OSError: it cannot be opened.
        """
        self.name = name
        self.damaged = 0
        try:
            # Nothing of "nobuffer" and its like: what is read to find out about a stream would be thrown away, and with
            # it the key frame that all that follows is decoded from.
            self._container: InputContainer | None = av.open(
                url,
                format=container_format,
                options=options or {},
                timeout=None if is_device else (_OPEN_SECONDS, _READ_SECONDS),
            )
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise OSError(error.errno, _reason(error)) from error
        try:
            stream = self._container.streams.best("video")
            if not isinstance(stream, VideoStream) or stream.codec_context is None:
                raise OSError(f"{url}: has no video that can be decoded")
        except BaseException:
            self.close()
            raise
        # Frame threads would each keep a frame back.
        stream.thread_type = "SLICE"
        self._handle = _unblocked(url) if is_device else None
        self._stream = stream
        self.size = (stream.width, stream.height)
        rate = stream.average_rate or stream.guessed_rate
        self.fps = fps or (float(rate) if rate else _FALLBACK_RATE)
        self._packets: Iterator[Any] = self._container.demux(stream)
        self._is_file = not is_device and self._container.duration is not None
        self._start = self._next_at = 0.0  # of a file: the clock at its time 0, and when its next frame is due
        self._to_rgb: RgbConverter | None = None
        self._converted_size = (0, 0)

    def read(self, timeout: float) -> Shot | None:
        """The next frame; see ``Camera.read``. A network stream may wait a few seconds for its next packet."""
        now = time.monotonic()
        give_up = now + timeout
        if self._next_at > now:
            time.sleep(min(timeout, self._next_at - now))
            if self._next_at > give_up:
                return None
        while True:
            if self._handle is not None:
                select.select([self._handle], [], [], max(0.0, give_up - time.monotonic()))
            packet = self._packet()
            if packet is not None:
                captured = time.monotonic()
                picture = self._decode(packet)
                if picture is not None:
                    if self._is_file:
                        self._wait_after(picture.time or 0.0, captured)
                    return Shot(self._rgb(picture), captured)
            if time.monotonic() >= give_up:
                return None

    def _wait_after(self, time_in_file: float, now: float) -> None:
        """Let the next frame of a file wait for its time; where this one comes late, so do those after it."""
        if now > self._start + time_in_file:
            self._start = now - time_in_file
        self._next_at = self._start + time_in_file + 1 / self.fps

    def _packet(self) -> Any:
        """The next packet; None where there is none yet."""
        if self._container is None:
            raise CameraGone(f"{self.name}: is closed")
        try:
            packet = next(self._packets, None)
        except BlockingIOError:
            # The generator has ended by its exception; the device has not.
            self._packets = self._container.demux(self._stream)
            return None
        except (av.FFmpegError, OSError) as error:
            raise CameraGone(f"{self.name}: is lost ({_reason(error)})") from error
        if packet is None or packet.size == 0:
            raise CameraGone(f"{self.name}: has ended")
        return packet

    def _decode(self, packet: Any) -> av.VideoFrame | None:
        """The last whole picture of a packet; None, counted, where it is damaged."""
        try:
            pictures = self._stream.decode(packet)
        except (av.FFmpegError, OSError):
            self.damaged += 1
            return None
        if not pictures:
            return None
        if packet.is_corrupt or pictures[-1].is_corrupt:
            self.damaged += 1
            return None
        return pictures[-1]

    def _rgb(self, picture: av.VideoFrame) -> NDArray[np.uint8]:
        size = (picture.width, picture.height)
        if self._to_rgb is None or size != self._converted_size:
            self._to_rgb, self._converted_size = RgbConverter(*size), size
        return self._to_rgb(picture)

    def close(self) -> None:
        """Release the device or the connection; calling it twice is harmless."""
        if self._container is not None:
            self._packets = iter(())  # before the container: reading from a closed one crashes
            self._container.close()
            self._container = None


def _reason(error: OSError | av.FFmpegError) -> str:
    """Why a stream failed, in words that help."""
    if isinstance(error, av.error.ExitError):
        return "it does not answer"
    return str(error.strerror or error)


def _unblocked(device: str) -> int | None:
    """This process's handle on a device, set so that reading from it never waits; None where it cannot be found.

    FFmpeg opens devices so that reading waits for the next frame, for ever when a camera stops without a word.
    """
    target = os.path.realpath(device)
    for handle in Path("/proc/self/fd").iterdir():
        if os.path.realpath(handle) == target:
            number = int(handle.name)
            os.set_blocking(number, False)
            return number
    return None


def open_network(url: str) -> Camera:
    """A camera on the network.

    Raises:
        CameraError: it cannot be reached, or gives no video.
    """
    options = {"rtsp_transport": "tcp"} if url.lower().startswith("rtsp") else {}
    try:
        return StreamCamera(url, name=_without_password(url), options=options)
    except OSError as error:
        raise CameraError(
            f"{_without_password(url)}: cannot be opened ({_reason(error)}); check the address and the network"
        ) from error


def open_screen(where: str, fps: float) -> Camera:
    """The screen as a camera.

    Args:
        where: on Linux an X11 display with an offset (``:0.0+100,50``), "" for the first; elsewhere "".
        fps: frames per second.

    Raises:
        InputError: screens cannot be read here.
        CameraError: this one cannot be read.
    """
    container_format, url = {
        "win32": ("gdigrab", "desktop"),
        "darwin": ("avfoundation", "Capture screen 0"),
    }.get(sys.platform, ("x11grab", where or os.environ.get("DISPLAY", "")))
    if container_format not in av.formats_available:
        raise InputError(f"the screen cannot be read here: this build of PyAV has no {container_format}")
    if container_format == "x11grab" and _opencv_has_windows():
        raise InputError(
            "the screen cannot be read beside an OpenCV with windows, whose X11 libraries get in the way: "
            "pip uninstall opencv-python opencv-contrib-python && pip install --force-reinstall opencv-python-headless"
        )
    if not url:
        raise InputError(
            "the screen cannot be read without an X11 display: set DISPLAY, or give --camera screen::0; "
            "a Wayland screen can only be shared through a program such as OBS"
        )
    try:
        return StreamCamera(url, name="screen", container_format=container_format, options={"framerate": f"{fps:g}"})
    except OSError as error:
        raise CameraError(
            f"screen {url}: cannot be read ({error.strerror or error}); check DISPLAY and its permissions"
        ) from error


def _opencv_has_windows() -> bool:
    """Whether OpenCV has loaded an X11 library of its own; with two of them in one process FFmpeg's grabber crashes."""
    try:
        loaded = Path("/proc/self/maps").read_text()
    except OSError:
        return False
    return any("libxcb" in line and "opencv" in line for line in loaded.splitlines())


def _without_password(url: str) -> str:
    """The address as it may be printed."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return scheme + mark + host.rpartition("@")[2] + slash + path
