"""What the person is put on: ``open_background(spec)``."""

import re
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from realtime_matting.compositing.blurred import blurred_room
from realtime_matting.compositing.cover import cover
from realtime_matting.compositing.looped import LoopedVideo
from realtime_matting.errors import InputError
from realtime_matting.sources.images import PICTURE_EXTENSIONS, read_picture

Alpha = NDArray[np.float32]
Rgb = NDArray[np.uint8]

TRANSPARENT = "transparent"
"""Not a background but none: what is written is the person with transparency (rgba)."""
_ACCEPTED = "a picture or video file, a colour (#RRGGBB or #RGB), blur, blur:STRENGTH (above 0, to 1) or none"
_COLOUR = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE | re.ASCII)
_DEFAULT_STRENGTH = 0.5


class Background(Protocol):
    """The background of one stream of frames."""

    def at(self, time: float, frame_rgb: Rgb, alpha: Alpha) -> Rgb:
        """The background of one frame.

        Args:
            time: of the frame, in seconds.
            frame_rgb: uint8 (H, W, 3).
            alpha: float32 (H, W) in [0, 1], the person in the frame.

        Returns:
            uint8 (H, W, 3), to be read only: it may be the frame itself, or be given again for the next frame.

        Raises:
            InputError: a file that the background comes from can no longer be read.
        """
        ...

    def close(self) -> None:
        """Free what the background holds; calling it twice is harmless."""
        ...


def open_background(spec: str) -> Background:
    """Open a background by its description.

    Args:
        spec: "#RRGGBB" or "#RGB"; "blur" or "blur:STRENGTH", the room out of focus, STRENGTH above 0, to 1 (0.5 if not
            given; a σ of 8 % of the shorter side at 1); "none", the frame as it is; or the path of a picture or of a
            video. Pictures and videos fill the frame, centred, and keep their proportions; a video starts with the
            first frame, runs at its own speed and begins again at its end.

    Raises:
        InputError: nothing of that; a file that is missing or cannot be read; or "transparent", which is no picture to
            put a person on.
    """
    if spec == "none":
        return FrameBackground()
    if spec == "blur" or spec.startswith("blur:"):
        return BlurBackground(_strength(spec))
    if _COLOUR.fullmatch(spec):
        digits = spec[1:] if len(spec) == 7 else "".join(2 * digit for digit in spec[1:])
        return PictureBackground(np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(1, 1, 3))
    if spec == TRANSPARENT:
        raise InputError(
            "a transparent background is for files that hold transparency (.png, .webp, .webm, .mov, a folder/ of "
            "pictures); for anything else take a colour, such as '#00FF00' for a green screen"
        )
    path = Path(spec)
    if not path.is_file():
        raise InputError(f"{spec!r}: not a background, nor a file that exists; give {_ACCEPTED}")
    if path.suffix.lower() in PICTURE_EXTENSIONS:
        return PictureBackground(read_picture(path))
    return VideoBackground(spec)


def _strength(spec: str) -> float:
    _, colon, number = spec.partition(":")
    if not colon:
        return _DEFAULT_STRENGTH
    try:
        strength = float(number)
    except ValueError:
        strength = 0
    if not 0 < strength <= 1:
        raise InputError(f"{spec!r}: the strength of a blur is a number above 0, to 1; for example blur:0.5")
    return strength


class PictureBackground:
    """One picture, or a colour as a picture of one pixel; fitted once for each frame size."""

    def __init__(self, picture: Rgb) -> None:
        self._picture = picture
        self._fitted = picture

    def at(self, time: float, frame_rgb: Rgb, alpha: Alpha) -> Rgb:
        if self._fitted.shape != frame_rgb.shape:
            self._fitted = cover(self._picture, *frame_rgb.shape[:2])
        return self._fitted

    def close(self) -> None:
        pass


class VideoBackground:
    """A looped video; each of its frames is fitted once, however many frames it stands behind."""

    def __init__(self, uri: str) -> None:
        """Raises InputError: the file is not a video, or no frame of it can be decoded."""
        self._video = LoopedVideo(uri)
        self._shown: Rgb | None = None
        self._fitted: Rgb | None = None

    def at(self, time: float, frame_rgb: Rgb, alpha: Alpha) -> Rgb:
        picture = self._video.frame_at(time)
        if self._fitted is None or picture is not self._shown or self._fitted.shape != frame_rgb.shape:
            self._shown, self._fitted = picture, cover(picture, *frame_rgb.shape[:2])
        return self._fitted

    def close(self) -> None:
        self._video.close()


class BlurBackground:
    """The frame's own room, out of focus."""

    def __init__(self, strength: float) -> None:
        self._strength = strength

    def at(self, time: float, frame_rgb: Rgb, alpha: Alpha) -> Rgb:
        return blurred_room(frame_rgb, alpha, self._strength)

    def close(self) -> None:
        pass


class FrameBackground:
    """The frame as it is."""

    def at(self, time: float, frame_rgb: Rgb, alpha: Alpha) -> Rgb:
        return frame_rgb

    def close(self) -> None:
        pass
