"""One photo and its matte → one training foreground: the person's own colours, cropped, straight RGBA."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import MissingExtraError
from realtime_matting.matting.foreground import blur_fusion
from train.data.placement import cut_sides
from train.data.records import Picture

Alpha = NDArray[np.float32]
Estimate = Callable[[Picture, Alpha], Picture]
Estimator = Literal["multilevel", "blur-fusion"]

ISLAND = 0.02
"""Parts of a matte smaller than this share of its largest part are a teacher's mistakes, not people."""


@dataclass(frozen=True)
class Limits:
    """Which photos are worth it.

    ``min_person``: smallest share of the photo that the person must cover. ``min_side``: shortest side of the crop in
    pixels. ``max_soft``: largest number of half-transparent pixels as a share of the person's; above, the teacher was
    guessing. ``margin``: room around the person as a share of its longer side.
    """

    min_person: float
    min_side: int
    max_soft: float
    margin: float


@dataclass(frozen=True, eq=False)
class CutOut:
    """``rgba``: straight, uint8 (h, w, 4). ``box``: left, top, right, bottom in the photo.

    ``cut``: sides (of "LTRB") of the photo at which the person is cut off. ``person``, ``soft``: shares of the crop
    that are person (mean alpha) and half-transparent.
    """

    rgba: Picture
    box: tuple[int, int, int, int]
    cut: str
    person: float
    soft: float


class Unsuitable(Exception):
    """No foreground can be made of this photo; the text says why, the same words for the same reason."""


def estimator(name: Estimator) -> Estimate:
    """How foreground colours are found: (photo uint8 (H, W, 3), alpha float32 (H, W)) → uint8 (H, W, 3), straight.

    Raises:
        MissingExtraError: "multilevel" without PyMatting.
    """
    if name == "blur-fusion":
        return blur_fusion
    try:
        from pymatting import estimate_foreground_ml
    except ImportError as error:
        raise MissingExtraError("multi-level foreground estimation", "synthesize") from error

    def multilevel(photo: Picture, alpha: Alpha) -> Picture:
        colors: Any = estimate_foreground_ml(photo.astype(np.float32) / 255, alpha)
        estimated = np.clip(colors * 255 + 0.5, 0, 255).astype(np.uint8)
        # Where nothing shines through, the photo is the truth to the last bit.
        return np.where((alpha == 1)[..., None], photo, estimated)

    return multilevel


def without_islands(alpha: Alpha) -> Alpha:
    """The matte without parts that are small beside its largest one, and without the faint pixels around those."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats((alpha > 0.1).astype(np.uint8), connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    small = areas < ISLAND * areas.max()
    small[0] = False
    if count <= 2 or not small.any():
        return alpha
    around = cv2.dilate(small[labels].astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    kept = (labels > 0) & ~small[labels]
    return np.where(around & ~kept, np.float32(0), alpha)


def cut_out(photo: Picture, alpha: Alpha, limits: Limits, estimate: Estimate) -> CutOut:
    """The foreground of one photo.

    Args:
        photo: uint8 (H, W, 3).
        alpha: float32 (H, W) in [0, 1].

    Raises:
        Unsuitable: nobody there, too small, or a matte that is mostly half-transparent.
    """
    alpha = without_islands(alpha)
    height, width = alpha.shape
    solid = alpha > 0.5
    if solid.mean() < 0.001:
        raise Unsuitable("no person found")
    if solid.mean() < limits.min_person:
        raise Unsuitable("person too small")
    if np.count_nonzero((alpha > 0.1) & (alpha < 0.9)) > limits.max_soft * np.count_nonzero(solid):
        raise Unsuitable("matte too uncertain")
    seen = alpha > 0.1
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    room = round(limits.margin * (max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1))
    left, right = max(0, int(columns[0]) - room), min(width, int(columns[-1]) + 1 + room)
    top, bottom = max(0, int(rows[0]) - room), min(height, int(rows[-1]) + 1 + room)
    if min(right - left, bottom - top) < limits.min_side:
        raise Unsuitable("person too small")
    levels = (alpha * 255 + 0.5).astype(np.uint8)
    sides = cut_sides(levels)
    part = np.ascontiguousarray(photo[top:bottom, left:right])
    levels = np.ascontiguousarray(levels[top:bottom, left:right])
    matte: Alpha = levels.astype(np.float32) / np.float32(255)
    cut = (sides.left, sides.top, sides.right, sides.bottom)
    return CutOut(
        rgba=np.dstack([estimate(part, matte), levels]),
        box=(left, top, right, bottom),
        cut="".join(letter for letter, is_cut in zip("LTRB", cut, strict=True) if is_cut),
        person=round(float(matte.mean()), 4),
        soft=round(float(((levels > 2) & (levels < 253)).mean()), 4),
    )
