"""Cameras through OpenCV: DirectShow on Windows, AVFoundation on macOS."""

import sys
import time

import cv2
import numpy as np

from realtime_matting.sources.live_base import CameraError, CameraGone, Shot
from realtime_matting.sources.quiet import quiet_libraries

_MOST = 8
_FAILURES = 30
"""Reads in a row without a frame after which the camera is lost."""
_BACK_ENDS = {"win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}
_PRIVACY = {
    "win32": "Settings → Privacy & security → Camera",
    "darwin": "System Settings → Privacy & Security → Camera",
}


class OpenCvCamera:
    """One camera by its number (a ``Camera``); ``read`` waits for the next frame, however long that takes."""

    def __init__(self, number: int | str, *, size: tuple[int, int], fps: float) -> None:
        """Open it.

        Args:
            number: of the camera, from 0; or anything else that OpenCV reads frames from.
            size: (width, height) wanted; the camera takes the nearest.
            fps: frames per second wanted.

        Raises:
            CameraError: it cannot be opened, or gives no frame.
        """
        self.name = f"camera {number}"
        self.damaged = 0
        self._failures = 0
        back_end = _BACK_ENDS.get(sys.platform, cv2.CAP_ANY) if isinstance(number, int) else cv2.CAP_ANY
        with quiet_libraries():
            self._capture = cv2.VideoCapture(number, back_end)
        # Uncompressed, USB 2 carries 1280x720 at 10 frames per second.
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        self._capture.set(cv2.CAP_PROP_FPS, fps)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        opened, first = self._capture.read() if self._capture.isOpened() else (False, None)
        if not opened or first is None:
            self._capture.release()
            where = _PRIVACY.get(sys.platform)
            allow = f", and allow it in {where}" if where else ""
            raise CameraError(f"{self.name}: cannot be opened; close other programs that use it{allow}")
        self.size = (first.shape[1], first.shape[0])
        told = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = told if 1 <= told <= 240 else fps

    def read(self, timeout: float) -> Shot | None:
        """The next frame; see ``Camera.read``."""
        got, picture = self._capture.read()
        if not got or picture is None:
            self._failures += 1
            if self._failures >= _FAILURES:
                raise CameraGone(f"{self.name}: gives no more frames")
            time.sleep(min(timeout, 0.05))
            return None
        self._failures = 0
        captured = time.monotonic()
        return Shot(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8), captured)

    def close(self) -> None:
        """Release the camera; calling it twice is harmless."""
        self._capture.release()


def find_cameras() -> list[tuple[int, str]]:
    """(number, name) of the cameras that open; OpenCV tells no names."""
    found = []
    with quiet_libraries():
        for number in range(_MOST):
            capture = cv2.VideoCapture(number, _BACK_ENDS.get(sys.platform, cv2.CAP_ANY))
            if capture.isOpened():
                size = f"{capture.get(cv2.CAP_PROP_FRAME_WIDTH):.0f}x{capture.get(cv2.CAP_PROP_FRAME_HEIGHT):.0f}"
                found.append((number, f"camera {number}, {size}"))
            capture.release()
    return found
