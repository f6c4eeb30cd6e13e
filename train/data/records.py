"""What training data is on disk: foregrounds with alpha, pictures with masks, backgrounds; folders or list files.

- A *foreground* is an RGBA picture, or a colour picture ``NAME.jpg|png`` with its alpha beside it as
  ``NAME_alpha.png``; the colour is straight (not premultiplied).
- A *mask pair* is a picture with a person in it and a mask of the same stem: 0 background, 255 person, and 128 where
  the mask's maker was not sure. Masks are coarse, so they teach the trimap network only.
- A *background* is any picture without people.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import InputError

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Foreground:
    """``color`` alone (RGBA picture), or ``color`` and ``alpha``. ``group``: pictures of one person share it."""

    color: Path
    alpha: Path | None
    group: str


@dataclass(frozen=True)
class MaskPair:
    """A picture and its coarse mask."""

    image: Path
    mask: Path


def list_entries(source: Path) -> list[Path]:
    """What a folder holds (pictures, recursive, sorted) or a list file names, whether it is there or not.

    A list file has one path a line, absolute or relative to the file's folder; empty lines and lines that begin with
    ``#`` are passed over.

    Raises:
        InputError: ``source`` is missing, or is no text.
    """
    if source.is_dir():
        return sorted(p for p in source.rglob("*") if p.suffix.lower() in PICTURES)
    if not source.is_file():
        raise InputError(f"{source}: no such folder or list file; check the data paths")
    if source.suffix.lower() in PICTURES:
        raise InputError(f"{source}: is a picture; name its folder, or a list file with one path a line")
    try:
        # Lists from Windows may begin with a byte order mark; file names need not be UTF-8 on Linux.
        text = source.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror}); check the permissions") from error
    if "\0" in text:
        raise InputError(f"{source}: is not a text file; a list holds one path a line")
    lines = [line.strip() for line in text.splitlines()]
    return [source.parent / line for line in lines if line and not line.startswith("#")]


def list_pictures(source: Path) -> list[Path]:
    """Pictures of a folder (recursive, sorted), or of a list file: one path a line, relative to the file's folder.

    Raises:
        InputError: ``source`` is missing, holds no picture, or a listed file is missing.
    """
    found = list_entries(source)
    if source.is_file():
        for number, path in enumerate(found, 1):
            if not path.is_file():
                raise InputError(f"{source}: entry {number} names {path}, which does not exist; correct the list")
    if not found:
        raise InputError(f"{source}: holds no picture ({', '.join(sorted(PICTURES))})")
    return found


def alpha_beside(color: Path) -> Path | None:
    """NAME_alpha.png beside the picture NAME.*, if it is there."""
    beside = color.with_name(f"{color.stem}_alpha.png")
    return beside if beside.is_file() else None


def list_foregrounds(source: Path, group: str | None = None) -> list[Foreground]:
    """Foregrounds of a folder or list file. ``group``: a regular expression whose first match in the file name tells
    who is shown (files that do not match stand for themselves)."""
    found = []
    for path in list_pictures(source):
        if path.stem.endswith("_alpha"):
            continue
        match = re.search(group, path.name) if group else None
        found.append(Foreground(path, alpha_beside(path), f"{source}/{match.group(0) if match else path.name}"))
    return found


def list_mask_pairs(images: Path, masks: Path) -> list[MaskPair]:
    """Pictures and masks matched by stem (folders), or line by line (two list files).

    Raises:
        InputError: a picture has no mask, or the lists differ in length.
    """
    pictures = list_pictures(images)
    if images.is_file() and masks.is_file():
        listed = list_pictures(masks)
        if len(listed) != len(pictures):
            raise InputError(f"{images} lists {len(pictures)} pictures but {masks} {len(listed)}; they go line by line")
        return [MaskPair(i, m) for i, m in zip(pictures, listed, strict=True)]
    by_stem = {p.stem: p for p in list_pictures(masks)}
    for picture in pictures:
        if picture.stem not in by_stem:
            raise InputError(f"{picture}: no mask of this name in {masks}")
    return [MaskPair(p, by_stem[p.stem]) for p in pictures]


def read_picture(path: Path, flags: int = cv2.IMREAD_COLOR) -> Picture:
    """Decode one picture; colour comes as RGB, with ``IMREAD_UNCHANGED`` as RGB, RGBA or grey; always uint8.

    Raises:
        InputError: the file is missing or cannot be decoded.
    """
    picture = cv2.imread(str(path), flags)
    if picture is None:
        raise InputError(f"{path}: {'cannot be decoded as a picture' if path.is_file() else 'no such file'}")
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    if picture.ndim == 3:
        code = cv2.COLOR_BGR2RGB if picture.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        picture = cv2.cvtColor(picture, code)
    return picture  # type: ignore[return-value]


def read_foreground(record: Foreground, max_side: int | None = None) -> Picture:
    """Straight RGBA, uint8 (H, W, 4); shrunk by the area filter if its longer side exceeds ``max_side``.

    Raises:
        InputError: undecodable, no alpha at all, or colour and alpha of different size.
    """
    if record.alpha is None:
        rgba = read_picture(record.color, cv2.IMREAD_UNCHANGED)
        if rgba.ndim != 3 or rgba.shape[2] != 4:
            raise InputError(f"{record.color}: has no alpha channel and no {record.color.stem}_alpha.png beside it")
    else:
        color = read_picture(record.color)
        alpha = read_picture(record.alpha, cv2.IMREAD_GRAYSCALE)
        if color.shape[:2] != alpha.shape:
            raise InputError(
                f"{record.color} is {color.shape[1]}×{color.shape[0]} but its alpha is "
                f"{alpha.shape[1]}×{alpha.shape[0]}; both must have one size"
            )
        rgba = np.dstack([color, alpha])
    return shrink(rgba, max_side)


def shrink(picture: Picture, max_side: int | None) -> Picture:
    """Area-filtered so that the longer side is at most ``max_side``; unchanged if it already is."""
    scale = (max_side or 1e9) / max(picture.shape[:2])
    if scale >= 1:
        return picture
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
