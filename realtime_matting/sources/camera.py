"""Cameras, and all that can stand in for one: ``open_camera(spec)``."""

import errno
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realtime_matting.errors import InputError
from realtime_matting.sources.live_base import Camera, CameraError
from realtime_matting.sources.live_file import LoopedFileCamera
from realtime_matting.sources.stream_camera import StreamCamera, open_network, open_screen

_NETWORK = re.compile(r"(?:rtsp|rtsps|rtmp|http|https|udp|tcp|srt)://", re.IGNORECASE)
_DEFAULT_FPS = 30.0
_DEFAULT_SIZE = (1280, 720)


@dataclass(frozen=True)
class CameraInfo:
    """One camera of this machine.

    Attributes:
        spec: what opens it: ``/dev/video0``, or a number.
        name: what people call it.
        modes: what it can do, for people; empty where the system does not tell.
    """

    spec: str
    name: str
    modes: tuple[str, ...] = ()


def list_cameras() -> list[CameraInfo]:
    """The cameras of this machine, the first being the default one."""
    if sys.platform == "linux":
        from realtime_matting.sources.v4l2 import find_devices

        return [
            CameraInfo(device.path, device.name, tuple(str(mode) for mode in device.modes)) for device in find_devices()
        ]
    from realtime_matting.sources.opencv_camera import find_cameras

    return [CameraInfo(str(number), name) for number, name in find_cameras()]


def open_camera(spec: str | None, *, size: tuple[int, int] | None = None, fps: float | None = None) -> Camera:
    """Open a camera by what the user calls it.

    Args:
        spec: a number; a device (``/dev/video0``); a part of a camera's name; the path of a video or of pictures
            (looped, at its own pace or at ``fps``); an address (``rtsp://…``, ``http://…``); ``screen``, or
            ``screen:DISPLAY`` (``screen::1.0+100,50``); None for the first camera.
        size: (width, height) wanted; the mode nearest to it is chosen. None: 1280×720, or a file's own.
        fps: frames per second wanted; None: 30, or a file's own.

    Raises:
        InputError: there is no such thing, with the cameras there are.
        CameraError: it is there and cannot be used, with the reason.
    """
    wanted = size or _DEFAULT_SIZE
    if spec is not None and _NETWORK.match(spec):
        return open_network(spec)
    if spec is not None and (spec == "screen" or spec.startswith("screen:")):
        return open_screen(spec.partition(":")[2], fps or _DEFAULT_FPS)
    if spec is not None and not spec.startswith("/dev/") and Path(spec).exists():
        return LoopedFileCamera(spec, fps=fps)
    return _open_device(_device(spec, list_cameras()), wanted, fps or _DEFAULT_FPS)


def _device(spec: str | None, cameras: Sequence[CameraInfo]) -> str:
    """The device that ``spec`` means, of the ``cameras`` there are."""
    if spec is not None and spec.startswith("/dev/"):
        if not Path(spec).exists():
            raise InputError(f"{spec}: no such device; {_there_are(cameras)}")
        return spec
    if spec is None:
        if not cameras:
            raise InputError(
                "no camera was found; plug one in, or give --camera a video file, an rtsp:// or http:// address, screen"
            )
        return cameras[0].spec
    if spec.isdecimal():
        device = f"/dev/video{spec}" if sys.platform == "linux" else spec
        if sys.platform == "linux" and not Path(device).exists():
            raise InputError(f"camera {spec}: there is no {device}; {_there_are(cameras)}")
        return device
    named = [camera for camera in cameras if spec.lower() in camera.name.lower()]
    if len(named) > 1:
        raise InputError(f"{spec}: {len(named)} cameras have this name; {_there_are(named)}")
    if not named:
        raise InputError(f"{spec}: neither a file nor a camera; {_there_are(cameras)}")
    return named[0].spec


def _there_are(cameras: Sequence[CameraInfo]) -> str:
    if not cameras:
        return "no camera was found on this machine"
    return "there are " + ", ".join(f"{camera.spec} ({camera.name})" for camera in cameras)


def _open_device(device: str, size: tuple[int, int], fps: float) -> Camera:
    if sys.platform != "linux":
        from realtime_matting.sources.opencv_camera import OpenCvCamera

        return OpenCvCamera(int(device), size=size, fps=fps)
    from realtime_matting.sources.v4l2 import choose_mode, device_name, holders, modes_of

    try:
        modes = modes_of(device)
    except OSError as error:
        raise CameraError(f"{device}: {_why_not(error, device, holders(device))}") from error
    if not modes:
        raise CameraError(f"{device}: is no camera that gives pictures; rtmatte webcam --list-cameras shows those")
    mode = choose_mode(modes, size, fps)
    options = {"input_format": mode.ffmpeg_format, "video_size": f"{mode.width}x{mode.height}"}
    if mode.fps:
        options["framerate"] = f"{min(mode.fps, max(fps, 1)):g}"
    try:
        return StreamCamera(
            device,
            name=f"{device_name(device)} ({mode})",
            container_format="v4l2",
            options=options,
            fps=mode.fps or fps,
            is_device=True,
        )
    except OSError as error:
        raise CameraError(f"{device}: {_why_not(error, device, holders(device))}") from error


def _why_not(error: OSError, device: str, held_by: Sequence[str]) -> str:
    """Why a device cannot be used, and what to do about it."""
    if isinstance(error, PermissionError):
        return "may not be opened (permission denied); add yourself to the group: sudo usermod -aG video $USER"
    if error.errno == errno.EBUSY and held_by:
        return f"is in use by {', '.join(held_by)}; close that, or choose another camera"
    return f"cannot be used ({error.strerror or error}); unplug it and plug it in again, or choose another camera"
