"""Pictures for people to judge by: rows of cells under a heading, and a checkerboard behind what is transparent."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.compositing.backgrounds import Background, open_background
from realtime_matting.errors import InputError, OutputError

Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]

CHECKERBOARD = "checkerboard"
_LIGHT, _DARK, _SQUARE = 204, 153, 16


class Checkerboard:
    """A `Background` of light and dark squares, which shows what is half transparent."""

    def at(self, time: float, frame_rgb: Picture, alpha: Alpha) -> Picture:
        """uint8 of the frame's shape; the same squares at any time."""
        height, width = alpha.shape
        dark = (np.arange(height)[:, None] // _SQUARE + np.arange(width) // _SQUARE) % 2
        return np.repeat(np.where(dark, _DARK, _LIGHT).astype(np.uint8)[..., None], 3, 2)

    def close(self) -> None:
        """Nothing is held open; here for the `Background` protocol."""


def open_behind(spec: str) -> Background:
    """A background as `open_background` takes it, or "checkerboard".

    Raises:
        InputError: see `open_background`.
    """
    return Checkerboard() if spec == CHECKERBOARD else open_background(spec)


def grey(plane: Picture | Alpha) -> Picture:
    """A trimap (uint8) or an alpha (float32 in [0, 1]), (H, W), as uint8 RGB (H, W, 3)."""
    levels = to_bytes(plane) if plane.dtype == np.float32 else plane
    return np.repeat(np.asarray(levels, np.uint8)[..., None], 3, 2)


def to_bytes(alpha: Picture | Alpha) -> Picture:
    """float32 in [0, 1] → uint8, rounded to the nearest."""
    return np.asarray(cv2.convertScaleAbs(alpha, alpha=255), np.uint8)


def row(cells: list[Picture], text: str, height: int, names: tuple[str, ...] = ()) -> Picture:
    """Cells of one shape, brought to ``height`` and set side by side under a line of text; uint8 RGB.

    Args:
        text: above the first cell, and the others if it is long and they have no names.
        names: above the cells after the first.
    """
    width = max(1, round(height * cells[0].shape[1] / cells[0].shape[0]))
    heading = np.full((20, width * len(cells), 3), 40, np.uint8)
    for number, one in enumerate((text, *names)):
        at = number * width + 4, 14
        cv2.putText(heading, one, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    small = [cv2.resize(cell, (width, height), interpolation=cv2.INTER_AREA) for cell in cells]
    return np.asarray(np.vstack([heading, np.hstack(small)]), np.uint8)


def stack(rows: list[Picture]) -> Picture:
    """Rows of any width below each other, black to the right of the shorter ones."""
    widest = max(one.shape[1] for one in rows)
    return np.vstack([np.pad(one, ((0, 0), (0, widest - one.shape[1]), (0, 0))) for one in rows])


def refuse_overwriting(targets: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise InputError if a file that will be written is one that will be read, by whatever name."""
    read = {path.resolve() for path in inputs}
    for target in targets:
        if target.resolve() in read:
            raise InputError(f"{target}: is also an input, which would be overwritten; choose another folder")


def write_picture(path: Path, picture: Picture) -> None:
    """Write uint8 grey (H, W), RGB (H, W, 3) or RGBA (H, W, 4) as PNG, and make its folder.

    Raises:
        OutputError: it cannot be written.
    """
    if picture.ndim == 3:
        picture = np.asarray(
            cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR), np.uint8
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); check space and permissions") from error
