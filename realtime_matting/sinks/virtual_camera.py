"""Virtual cameras behind one door: ``open_virtual_camera(name, …)``."""

import sys
from collections.abc import Callable

from realtime_matting.errors import InputError, MattingError
from realtime_matting.sinks.live_base import LiveSink

_Opener = Callable[[str, int, int, float], LiveSink]


def _pipewire(device: str, width: int, height: int, fps: float) -> LiveSink:
    from realtime_matting.sinks.pipewire import PipeWireSink

    return PipeWireSink(width, height, fps)


def _v4l2loopback(device: str, width: int, height: int, fps: float) -> LiveSink:
    from realtime_matting.sinks.v4l2loopback import V4l2LoopbackSink

    return V4l2LoopbackSink(width, height, fps, device=device or None)


def _obs(device: str, width: int, height: int, fps: float) -> LiveSink:
    from realtime_matting.sinks.v4l2loopback import ObsSink

    return ObsSink(width, height, fps)


BACK_ENDS: dict[str, _Opener] = {"v4l2loopback": _v4l2loopback, "pipewire": _pipewire, "obs": _obs}
"""By name. v4l2loopback comes first: every program can read it, PipeWire's cameras only some."""


def back_ends_here() -> list[str]:
    """The back ends that exist on this system, in the order they are tried."""
    return ["v4l2loopback", "pipewire"] if sys.platform == "linux" else ["obs"]


def open_virtual_camera(name: str, *, width: int, height: int, fps: float) -> LiveSink:
    """Open a virtual camera.

    Args:
        name: "virtual" for the first back end that works, the name of one, or a device of v4l2loopback.
        width, height: of the pictures, in pixels.
        fps: frames per second to expect.

    Raises:
        InputError: none works; one line with each back end, its reason, and the command that mends it.
        MattingError: the one that was asked for does not work.
    """
    if name.startswith("/dev/"):
        return _v4l2loopback(name, width, height, fps)
    if name != "virtual":
        if name not in back_ends_here():
            raise InputError(f"{name}: not on this system; use {' or '.join(back_ends_here())}, or --output window")
        return BACK_ENDS[name]("", width, height, fps)
    reasons = []
    for back_end in back_ends_here():
        try:
            return BACK_ENDS[back_end]("", width, height, fps)
        except MattingError as error:
            reasons.append(str(error))
    raise InputError(
        f"no virtual camera can be used. {' '.join(f'{r}.' for r in reasons)} Or see it with --output window"
    )
