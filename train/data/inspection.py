"""Reading one entry of the training data as training would, and noting what is wrong with it."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from train.data.faults import SMALLEST_SIDE, Finding, alpha_faults, colour_faults, is_damaged, mask_faults
from train.data.records import Picture, alpha_beside
from train.data.twins import Fingerprint, fingerprint

Kind = Literal["foregrounds", "mask pairs", "backgrounds", "other set"]


@dataclass(frozen=True)
class Entry:
    """One picture to look at; ``mask`` for mask pairs."""

    kind: Kind
    path: Path
    mask: Path | None = None


@dataclass
class Inspection:
    """What was found. ``size``: (width, height), and ``print`` for finding twins; None if it cannot be decoded."""

    entry: Entry
    findings: list[Finding] = field(default_factory=list)
    size: tuple[int, int] | None = None
    print: Fingerprint | None = None


def inspect(entry: Entry) -> Inspection:
    """Read an entry and test it; never raises for a bad file."""
    result = Inspection(entry)
    digest = hashlib.sha256()
    alpha = None
    if entry.kind in ("backgrounds", "mask pairs"):
        color = _decode(entry.path, cv2.IMREAD_COLOR, result, digest)
    else:
        beside = alpha_beside(entry.path)
        flags = cv2.IMREAD_COLOR if beside else cv2.IMREAD_UNCHANGED
        color = _decode(entry.path, flags, result, digest)
        if beside:
            alpha = _decode(beside, cv2.IMREAD_GRAYSCALE, result, digest)
        elif color is not None and color.ndim == 3 and color.shape[2] == 4:
            color, alpha = np.ascontiguousarray(color[..., :3]), np.ascontiguousarray(color[..., 3])
        elif color is not None:
            # The other set may hold any pictures.
            if entry.kind == "foregrounds":
                _note(result, "no alpha")
            color = cv2.cvtColor(color, cv2.COLOR_GRAY2RGB) if color.ndim == 2 else color  # type: ignore[assignment]
        if color is not None and alpha is not None:
            alpha = _same_size(color, alpha, result)
        if entry.kind == "foregrounds" and color is not None and alpha is not None:
            faults = alpha_faults(alpha)
            for fault, detail in faults or colour_faults(color, alpha):
                _note(result, fault, detail)
    if entry.mask is not None:
        mask = _decode(entry.mask, cv2.IMREAD_GRAYSCALE, result, digest)
        if color is not None and mask is not None and _same_size(color, mask, result) is not None:
            for fault, detail in mask_faults(mask, entry.mask.name):
                result.findings.append(Finding(fault, str(entry.mask), detail))
    if color is not None:
        result.size = color.shape[1], color.shape[0]
        if min(result.size) < SMALLEST_SIDE and entry.kind != "other set":
            _note(result, "tiny", f"{result.size[0]}×{result.size[1]}")
        result.print = fingerprint(digest.hexdigest(), color, alpha)
    return result


def _note(result: Inspection, fault: str, detail: str = "") -> None:
    result.findings.append(Finding(fault, str(result.entry.path), detail))


def _same_size(color: Picture, other: Picture, result: Inspection) -> Picture | None:
    if color.shape[:2] == other.shape:
        return other
    _note(result, "sizes differ", f"{color.shape[1]}×{color.shape[0]} and {other.shape[1]}×{other.shape[0]}")
    return None


def _decode(path: Path, flags: int, result: Inspection, digest: "hashlib._Hash") -> Picture | None:
    """RGB, RGBA or grey of 8 bits, as training reads it; None, with a finding, if that cannot be."""
    try:
        data = path.read_bytes()
    except OSError as error:
        result.findings.append(Finding("missing" if isinstance(error, FileNotFoundError) else "undecodable", str(path)))
        return None
    digest.update(data)
    try:
        # IMREAD_UNCHANGED has all bits set, so this only adds the depth to the others.
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_ANYDEPTH) if data else None
    except cv2.error:
        picture = None
    if is_damaged(data):
        result.findings.append(Finding("damaged", str(path)))
        if picture is None:
            return None
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        what = "empty file" if not data else "" if picture is None else f"{picture.dtype} pixels"
        result.findings.append(Finding("undecodable", str(path), what))
        return None
    if picture.dtype == np.uint16:
        result.findings.append(Finding("16 bits", str(path)))
        picture = (picture // 256).astype(np.uint8)
    if picture.ndim == 3:
        code = cv2.COLOR_BGR2RGB if picture.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        picture = cv2.cvtColor(picture, code)
    return picture  # type: ignore[return-value]
