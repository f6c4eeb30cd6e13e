"""What can be wrong with one file of training data: pure tests on bytes and decoded pictures."""

import zlib
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from train.data.records import Picture

Severity = Literal["error", "warning"]

SMALLEST_SIDE = 64
_TELLING_LEVEL = 60
"""Foregrounds darker than this tell nothing about premultiplication: dark hair is as dark with and without."""


@dataclass(frozen=True)
class Fault:
    """A kind of problem: what it means, and what to do about it."""

    severity: Severity
    advice: str


FAULTS: dict[str, Fault] = {
    "missing": Fault("error", "correct the list"),
    "undecodable": Fault("error", "export it again as PNG or JPEG"),
    "damaged": Fault("error", "the end is missing or a checksum is wrong: copy it again"),
    "no alpha": Fault("error", "give RGBA, or NAME_alpha.png beside it"),
    "sizes differ": Fault("error", "colour and alpha, picture and mask must have one size"),
    "empty alpha": Fault("error", "nobody is in it: take it out"),
    "wrong scale": Fault("error", "alpha and masks go from 0 to 255: multiply the values"),
    "no mask": Fault("error", "add the mask, or take the picture out"),
    "unequal lists": Fault("error", "picture and mask lists go line by line"),
    "leak": Fault("error", "the same file is in the other set: take it out of one"),
    "opaque alpha": Fault("warning", "alpha is 255 everywhere: nothing was cut out"),
    "no soft pixels": Fault("warning", "a binary mask teaches hard edges: use it with its picture as a mask pair"),
    "inverted?": Fault("warning", "the border is person and the middle is not: invert the alpha"),
    "premultiplied?": Fault("warning", "colour darkens with alpha: divide it by alpha; straight colour is expected"),
    "black rim?": Fault("warning", "transparent pixels are black, scaling mixes them in: export with extended colour"),
    "mask values": Fault(
        "warning", "many values are none of 0, 128, 255: a soft alpha? It can serve as a foreground's"
    ),
    "JPEG mask": Fault("warning", "JPEG smears the classes of masks and trimaps: store them as PNG"),
    "one class": Fault("warning", "the mask is all background or all person"),
    "16 bits": Fault("warning", "is read as 8 bits; fine, but larger than needed"),
    "tiny": Fault("warning", f"a side is below {SMALLEST_SIDE} pixels"),
    "no colour": Fault("warning", "an alpha without its NAME.jpg or NAME.png is not used"),
    "same name": Fault("warning", "two masks have one name and only the last is used: make names unique"),
    "duplicate": Fault("warning", "the same file twice counts twice: take one out"),
    "looks alike": Fault("warning", "near-duplicates count several times: give them one group, or take some out"),
    "leak?": Fault("warning", "looks like a picture of the other set: look at both"),
}


@dataclass(frozen=True)
class Finding:
    """One problem of one file. ``fault``: a key of ``FAULTS``."""

    fault: str
    file: str
    detail: str = ""

    @property
    def severity(self) -> Severity:
        """Of its kind."""
        return FAULTS[self.fault].severity


def is_damaged(data: bytes) -> bool:
    """Whether a JPEG or PNG ends early or (PNG) a part of it has another checksum; decoders often pass over both."""
    if data.startswith(b"\xff\xd8"):
        at = 2
        while at + 4 <= len(data) and data[at] == 0xFF:
            if data[at + 1] == 0xDA:  # the picture itself begins; thumbnails, which have ends of their own, are before
                return data.find(b"\xff\xd9", at) < 0
            at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        return True
    if data.startswith(b"\x89PNG"):
        at = 8
        while at + 12 <= len(data):
            end = at + 8 + int.from_bytes(data[at : at + 4], "big")
            if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
                return True
            if data[at + 4 : at + 8] == b"IEND":
                return False
            at = end + 4
        return True
    return False


def alpha_faults(alpha: Picture) -> list[tuple[str, str]]:
    """(fault, detail) of an alpha, uint8 (H, W)."""
    low, high = int(alpha.min()), int(alpha.max())
    if high == 0:
        return [("empty alpha", "")]
    if high <= 20:
        return [("wrong scale", f"values go from {low} to {high}")]
    if low >= 250:
        return [("opaque alpha", "")]
    found = []
    solid = (alpha > 127).astype(np.uint8)
    outline = int(np.count_nonzero(cv2.morphologyEx(solid, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))))
    soft = int(np.count_nonzero((alpha > 2) & (alpha < 253)))
    if soft < 0.1 * outline:
        found.append(("no soft pixels", f"{soft} of them on an outline of {outline // 2} pixels"))
    border = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    height, width = alpha.shape
    middle = alpha[height // 4 : height - height // 4, width // 4 : width - width // 4]
    if (border > 127).mean() > 0.6 and middle.mean() < border.mean():
        found.append(("inverted?", f"{(border > 127).mean():.0%} of the border is person"))
    return found


def colour_faults(color: Picture, alpha: Picture) -> list[tuple[str, str]]:
    """(fault, detail) of a foreground's colour, uint8 (H, W, 3), with its alpha (H, W): is it straight?

    In soft pixels, straight colour is as bright as the opaque colour nearby, premultiplied colour by the factor alpha
    darker.
    """
    opaque = alpha >= 250
    if not opaque.any():
        return []
    value: NDArray[np.float32] = color.max(axis=2).astype(np.float32)
    # Of every pixel, the colour of the opaque pixel next to it, and how far that is.
    distance, label = cv2.distanceTransformWithLabels(
        (~opaque).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros(int(label.max()) + 1, np.float32)
    by_label[label[opaque]] = value[opaque]
    near = by_label[label]
    telling = (near > _TELLING_LEVEL) & (distance < 0.1 * sum(alpha.shape) / 2)
    soft = telling & (alpha >= 25) & (alpha <= 230)
    if np.count_nonzero(soft) >= 50:
        ratio, cover = value[soft] / near[soft], alpha[soft].astype(np.float32) / 255
        bounded = (value[soft] <= alpha[soft].astype(np.float32) + 4).mean()
        if bounded > 0.98 and np.median(np.abs(ratio - cover)) < 0.5 * np.median(np.abs(ratio - 1)):
            return [
                (
                    "premultiplied?",
                    f"colour is {np.median(ratio):.0%} of the colour nearby where alpha is {np.median(cover):.0%}",
                )
            ]
    touched = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    black = telling & touched & (alpha == 0)
    if np.count_nonzero(black) >= 20 and (value[black] <= 8).mean() > 0.9:
        return [("black rim?", f"{(value[black] <= 8).mean():.0%} of the transparent pixels beside the edge are black")]
    return []


def mask_faults(mask: Picture, name: str) -> list[tuple[str, str]]:
    """(fault, detail) of a coarse mask or a trimap, uint8 (H, W), stored under ``name``."""
    low, high = int(mask.min()), int(mask.max())
    if 0 < high <= 20:
        return [("wrong scale", f"values go from {low} to {high}")]
    if high <= 2 or low >= 253:
        return [("one class", f"all {'background' if high <= 2 else 'person'}")]
    counts = np.bincount(mask.ravel(), minlength=256)
    known = counts[:3].sum() + counts[126:131].sum() + counts[253:].sum()
    others = 1 - known / mask.size
    if name.lower().endswith((".jpg", ".jpeg")):
        return [("JPEG mask", f"{others:.1%} of the values are none of 0, 128, 255")]
    if others > 0.005:
        return [("mask values", f"{others:.1%} of them")]
    return []
