"""Virtual cameras through pyvirtualcam: v4l2loopback on Linux, OBS's on Windows and macOS.

pyvirtualcam is under the GPL and therefore an optional extra.
"""

import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import InputError, MissingExtraError, OutputError

MODPROBE = 'sudo modprobe v4l2loopback devices=1 video_nr=10 card_label="rtmatte" exclusive_caps=1'
"""Without exclusive_caps=1 Chrome, Zoom and Teams do not see a camera in the device."""
LOAD_MODULE = f"sudo apt install v4l2loopback-dkms && {MODPROBE}"
_LOOK = 0.2
"""Seconds between two looks at who reads the device."""


def _open(back_end: str, width: int, height: int, fps: float, device: str | None) -> Any:
    """The camera of pyvirtualcam.

    Raises:
        MissingExtraError: pyvirtualcam is not installed.
        RuntimeError: from pyvirtualcam, with the reason.
    """
    try:
        import pyvirtualcam
    except ImportError as error:
        raise MissingExtraError(f"{back_end} needs pyvirtualcam, which", "virtualcam") from error
    return pyvirtualcam.Camera(
        width=width,
        height=height,
        fps=fps,
        fmt=pyvirtualcam.PixelFormat.RGB,
        backend=back_end,
        device=device,
    )


class _PyVirtualCamSink:
    """What both have in common (a ``LiveSink``)."""

    private = False

    def __init__(self, camera: Any, name: str) -> None:
        self._camera = camera
        self.name = name

    def send(self, rgb: NDArray[np.uint8], time: float) -> None:
        try:
            self._camera.send(np.ascontiguousarray(rgb))
        except (RuntimeError, OSError) as error:
            raise OutputError(f"{self.name}: takes no more pictures ({error}); start rtmatte webcam again") from error

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        self._camera.close()


class V4l2LoopbackSink(_PyVirtualCamSink):
    """A device of the kernel module v4l2loopback, which every program on Linux takes for a camera."""

    def __init__(self, width: int, height: int, fps: float, *, device: str | None = None) -> None:
        """Open a device; None for the first that is free.

        Raises:
            InputError: there is none, or it cannot be written to, with the command that mends it.
            MissingExtraError: pyvirtualcam is not installed.
        """
        from realtime_matting.sources.v4l2 import is_output

        if not _loopback_devices():
            raise InputError(f"v4l2loopback: the kernel module is not loaded: {LOAD_MODULE}")
        if device is not None and not is_output(device):
            raise InputError(f"{device}: pictures cannot be written to it; use one of {', '.join(_loopback_devices())}")
        try:
            camera = _open("v4l2loopback", width, height, fps, device)
        except RuntimeError as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise InputError(
                f"v4l2loopback: no device is free ({reason}): close who uses it, or load the module anew: "
                f"sudo modprobe -r v4l2loopback && {MODPROBE}"
            ) from error
        super().__init__(camera, f"v4l2loopback {camera.device}")
        self._watched = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="rtmatte readers", daemon=True)
        self._thread.start()

    def watched(self) -> bool:
        return self._watched

    def _look(self) -> None:
        """Thread: who else holds the device open."""
        from realtime_matting.sources.v4l2 import holders

        while not self._stop.wait(_LOOK):
            self._watched = bool(holders(self._camera.device))

    def close(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join(1.0)
            super().close()


class ObsSink(_PyVirtualCamSink):
    """OBS's virtual camera on Windows and macOS; OBS itself need not run."""

    def __init__(self, width: int, height: int, fps: float) -> None:
        """Open it.

        Raises:
            InputError: OBS is not installed, or its camera is in use.
            MissingExtraError: pyvirtualcam is not installed.
        """
        try:
            camera = _open("obs", width, height, fps, None)
        except RuntimeError as error:
            reason = " ".join(str(error).split()).rstrip(".")
            how = "winget install OBSProject.OBSStudio" if sys.platform == "win32" else "brew install --cask obs"
            raise InputError(
                f"obs: its virtual camera cannot be used ({reason}): {how}, start its virtual camera once, close OBS"
            ) from error
        super().__init__(camera, "OBS Virtual Camera")


def _loopback_devices() -> list[str]:
    """Devices that pictures can be written to."""
    from pathlib import Path

    from realtime_matting.sources.v4l2 import is_output

    return [str(path) for path in sorted(Path("/dev").glob("video*")) if is_output(str(path))]
