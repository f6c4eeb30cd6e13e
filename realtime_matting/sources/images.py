"""Frames from pictures: one picture, a folder of pictures, or a numbered sequence."""

import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import InputError
from realtime_matting.frames import Frame, StreamInfo
from realtime_matting.sources.exif import orientation_of
from realtime_matting.sources.quiet import quiet_libraries

PICTURE_EXTENSIONS = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
NUMBER = re.compile(r"%0?\d*d")

_RATE = Fraction(25)


class ImageSource:
    """The frames of one picture, a folder, or a sequence named like ``shot_%06d.png`` (a ``Source``).

    Pictures of a folder come in natural order (``shot2`` before ``shot10``); hidden files, other files and folders
    inside are passed over. Frame i has pts i and time base 1/25. Pictures are read one at a time.
    """

    def __init__(self, uri: str) -> None:
        """Find the pictures and read the first.

        Raises:
            InputError: nothing there, no picture in the folder, or the first picture cannot be read.
        """
        self.warnings: list[str] = []
        self._paths = _find_pictures(uri)
        first = read_picture(self._paths[0])
        self.info = StreamInfo(
            width=first.shape[1],
            height=first.shape[0],
            time_base=1 / _RATE,
            average_rate=_RATE,
            frames=len(self._paths),
            uri=uri,
        )
        self._frames = self._read(first)

    def _read(self, first: NDArray[np.uint8]) -> Iterator[Frame]:
        size = first.shape
        rgb = first
        for index, path in enumerate(self._paths):
            if index > 0:
                rgb = read_picture(path)
            if rgb.shape != size:
                raise InputError(
                    f"{path}: is {rgb.shape[1]}x{rgb.shape[0]} but {self._paths[0].name} is {size[1]}x{size[0]}; "
                    "pictures of one folder must have one size"
                )
            yield Frame(rgb=rgb, pts=index, time_base=self.info.time_base, index=index)

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def close(self) -> None:
        """Nothing is held open between frames; here for the ``Source`` protocol."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read one picture, upright, as RGB uint8 (H, W, 3).

    EXIF orientation is applied. 16-bit values are rounded to 8 bits, grey becomes RGB. A transparent picture is put
    on white: the page such pictures are mostly seen on, against which hair, mostly darker, keeps its outline.

    Raises:
        InputError: missing, not readable, not a picture, or with pixels that are not 8- or 16-bit integers.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the name and the permissions") from error
    if not data:
        raise InputError(f"{path}: the file is empty; copy or export it again")
    try:
        with quiet_libraries():
            stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # sizes beyond OpenCV's limits
        stored = None
    if stored is None or stored.size == 0:
        raise InputError(f"{path}: is not a picture that can be read; convert it to PNG or JPEG")
    return orientation_of(data).apply(_to_rgb(_to_8_bits(stored, path)))


def _to_8_bits(stored: np.ndarray, path: Path) -> NDArray[np.uint8]:
    if stored.dtype == np.uint8:
        return stored
    if stored.dtype == np.uint16:
        return ((stored.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    raise InputError(f"{path}: has {stored.dtype} pixels; convert it to a PNG of 8 or 16 bits")


def _to_rgb(stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB of what OpenCV decodes to: grey, BGR or BGRA."""
    channels = 1 if stored.ndim == 2 else stored.shape[2]
    if channels == 1:
        return np.asarray(cv2.cvtColor(stored, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if channels == 3:
        return np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    rgb = cv2.cvtColor(stored, cv2.COLOR_BGRA2RGB).astype(np.uint16)
    alpha = stored[:, :, 3:].astype(np.uint16)
    return ((rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _find_pictures(uri: str) -> list[Path]:
    path = Path(uri)
    if path.is_dir():
        found = [
            entry
            for entry in path.iterdir()
            if entry.suffix.lower() in PICTURE_EXTENSIONS and not entry.name.startswith(".") and entry.is_file()
        ]
        if not found:
            raise InputError(f"{uri}: no pictures in this folder ({_extensions()}); name another folder or a file")
        return sorted(found, key=_natural_order)
    if NUMBER.search(path.name) and not path.exists():
        return _find_sequence(path)
    if not path.exists():
        raise InputError(f"{uri}: no such file or folder; check the name")
    return [path]


def _find_sequence(pattern: Path) -> list[Path]:
    before, after = NUMBER.split(pattern.name, maxsplit=1)
    name = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    entries = os.listdir(pattern.parent) if pattern.parent.is_dir() else []
    numbered = sorted((int(match[1]), entry) for entry in entries if (match := name.fullmatch(entry)))
    if not numbered:
        raise InputError(f"{pattern}: no file has such a name; check the folder and the pattern")
    return [pattern.parent / entry for _, entry in numbered]


def _natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key: digits in a name count as numbers, case does not count."""
    pieces = re.split(r"(\d+)", path.name.lower())
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces], path.name


def _extensions() -> str:
    return " ".join(sorted(PICTURE_EXTENSIONS))
