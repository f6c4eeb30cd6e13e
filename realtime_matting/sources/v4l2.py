"""What Linux's Video4Linux2 tells of its devices: which are cameras, what modes they have, who holds them.

The structures and requests are those of the kernel's ``linux/videodev2.h``; the ``ioctl`` interface is stable.
"""

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_QUERYCAP = 0x80685600
_ENUM_FMT = 0xC0405602
_ENUM_FRAMESIZES = 0xC02C564A
_ENUM_FRAMEINTERVALS = 0xC034564B
_VIDEO_CAPTURE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE, and V4L2_CAP_VIDEO_CAPTURE
_VIDEO_OUTPUT = 2  # V4L2_CAP_VIDEO_OUTPUT
_DISCRETE = 1
_USABLE = {"MJPG": "mjpeg", "YUYV": "yuyv422", "NV12": "nv12", "YU12": "yuv420p", "JPEG": "mjpeg"}
"""FourCC of V4L2 → FFmpeg's ``input_format``, the formats every FFmpeg decodes."""
_RAW_FIRST_PIXELS = 640 * 480
"""Up to this size an uncompressed format is taken: it fits USB 2 at 30 per second and needs no decoding."""
_COMMON = ((1920, 1080), (1280, 720), (960, 540), (848, 480), (640, 480), (640, 360), (320, 240))
_ROOT = Path("/dev")
_SYSTEM = Path("/sys/class/video4linux")
_PROCESSES = Path("/proc")


@dataclass(frozen=True)
class Mode:
    """One way in which a camera can run.

    Attributes:
        fourcc: V4L2's name of the format: MJPG, YUYV …
        width, height: in pixels.
        fps: the most frames per second; 0 where the driver does not tell.
    """

    fourcc: str
    width: int
    height: int
    fps: float

    @property
    def ffmpeg_format(self) -> str:
        """FFmpeg's name of the format."""
        return _USABLE[self.fourcc]

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.fourcc}" + (f" {self.fps:g} fps" if self.fps else "")


@dataclass(frozen=True)
class Device:
    """A device that gives pictures."""

    path: str
    name: str
    modes: tuple[Mode, ...]


def find_devices() -> list[Device]:
    """The cameras, by number; those that may not be opened have no modes, what gives no pictures is left out."""
    devices = []
    for path in sorted(_ROOT.glob("video*"), key=lambda path: (len(path.name), path.name)):
        try:
            modes = tuple(modes_of(str(path)))
        except PermissionError:
            modes = ()
        except OSError:
            continue
        else:
            if not modes:
                continue
        devices.append(Device(str(path), device_name(str(path)), modes))
    return devices


def device_name(path: str) -> str:
    """The name the driver gives the device, or its path."""
    try:
        return (_SYSTEM / Path(path).name / "name").read_text().strip() or path
    except OSError:
        return path


def modes_of(path: str) -> list[Mode]:
    """The modes of a device in formats that can be used; none where it is no camera.

    Raises:
        OSError: it cannot be opened, or is no V4L2 device.
    """
    handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        if not _capabilities(handle) & _VIDEO_CAPTURE:
            return []
        return list(dict.fromkeys(_modes(handle)))
    finally:
        os.close(handle)


def is_output(path: str) -> bool:
    """Whether pictures can be written to the device, as to one of v4l2loopback."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return bool(_capabilities(handle) & _VIDEO_OUTPUT)
    except OSError:
        return False
    finally:
        os.close(handle)


def _capabilities(handle: int) -> int:
    answer = bytearray(104)
    fcntl.ioctl(handle, _QUERYCAP, answer)
    whole, of_this_node = struct.unpack_from("=II", answer, 84)
    return int(of_this_node or whole)


def _modes(handle: int) -> Iterator[Mode]:
    for fourcc in _formats(handle):
        if fourcc in _USABLE:
            for width, height in _sizes(handle, fourcc):
                yield Mode(fourcc, width, height, _highest_rate(handle, fourcc, width, height))


def _formats(handle: int) -> Iterator[str]:
    for index in range(64):
        question = bytearray(64)
        struct.pack_into("=II", question, 0, index, _VIDEO_CAPTURE)
        try:
            fcntl.ioctl(handle, _ENUM_FMT, question)
        except OSError:
            return
        yield question[44:48].decode("ascii", "replace")


def _sizes(handle: int, fourcc: str) -> Iterator[tuple[int, int]]:
    for index in range(128):
        question = bytearray(44)
        struct.pack_into("=I4s", question, 0, index, fourcc.encode())
        try:
            fcntl.ioctl(handle, _ENUM_FRAMESIZES, question)
        except OSError:
            return
        kind, *numbers = struct.unpack_from("=7I", question, 8)
        if kind == _DISCRETE:
            yield numbers[0], numbers[1]
            continue
        yield from sizes_within(numbers)
        return


def sizes_within(range_of_sizes: Sequence[int]) -> list[tuple[int, int]]:
    """The usual sizes a driver can scale to, which tells (min, max, step) of width and of height."""
    least_width, most_width, step_width, least_height, most_height, step_height = range_of_sizes
    return [
        (width, height)
        for width, height in _COMMON
        if least_width <= width <= most_width
        and least_height <= height <= most_height
        and (width - least_width) % max(1, step_width) == 0
        and (height - least_height) % max(1, step_height) == 0
    ]


def _highest_rate(handle: int, fourcc: str, width: int, height: int) -> float:
    highest = 0.0
    for index in range(64):
        question = bytearray(52)
        struct.pack_into("=I4sII", question, 0, index, fourcc.encode(), width, height)
        try:
            fcntl.ioctl(handle, _ENUM_FRAMEINTERVALS, question)
        except OSError:
            break
        # Discrete: one interval as a fraction of seconds; else the shortest one comes first.
        _, numerator, denominator = struct.unpack_from("=III", question, 16)
        if numerator:
            highest = max(highest, denominator / numerator)
    return highest


def choose_mode(modes: Sequence[Mode], size: tuple[int, int], fps: float) -> Mode:
    """The best mode for a size and rate.

    First one that keeps the pace; among those the smallest that is not smaller than asked for, or else the largest;
    then proportions nearest to those asked for; then uncompressed where the size is small, else MJPEG.

    Args:
        modes: at least one.
        size: (width, height) wanted.
        fps: frames per second wanted.
    """
    width, height = size

    def badness(mode: Mode) -> tuple[float, ...]:
        slow = max(0.0, fps - mode.fps) if mode.fps else 0.0
        too_small = max(0.0, 1 - min(mode.width / width, mode.height / height))
        pixels = mode.width * mode.height
        proportions = abs(mode.width / mode.height - width / height)
        raw = mode.ffmpeg_format != "mjpeg"
        compressed_is_wrong = raw != (pixels <= _RAW_FIRST_PIXELS)
        return (round(slow / fps, 1), too_small, pixels * (1 + proportions), compressed_is_wrong)

    return min(modes, key=badness)


def holders(path: str) -> list[str]:
    """Programs that hold a device or file open, as "name (process 123)"; only those this user may look into."""
    target = os.path.realpath(path)
    found = []
    for process in _PROCESSES.glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        try:
            if any(os.path.realpath(handle) == target for handle in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
        except OSError:
            continue
    return found
