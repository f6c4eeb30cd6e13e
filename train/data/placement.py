"""Where a person stands on the canvas of a sample, as plain numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.data.augment import Rng, chance


@dataclass(frozen=True)
class CutSides:
    """Sides of the foreground's picture at which the person is cut off."""

    left: bool
    top: bool
    right: bool
    bottom: bool


def cut_sides(alpha: NDArray[np.uint8]) -> CutSides:
    """A side counts as cut when the person covers more than 4 of its pixels (or 2 %)."""

    def touches(line: NDArray[np.uint8]) -> bool:
        return bool(np.count_nonzero(line > 127) > max(4, 0.02 * len(line)))

    return CutSides(touches(alpha[:, 0]), touches(alpha[0]), touches(alpha[:, -1]), touches(alpha[-1]))


@dataclass(frozen=True)
class Placement:
    """Where a person stands on a canvas: mirrored or not, of which size, turned by ``angle`` degrees, and where."""

    flip: bool
    width: int
    height: int
    angle: float
    left: int
    top: int


def draw_centres(rng: Rng, people: int) -> list[float | None]:
    """Where each of so many people stands, in parts of the width; None: anywhere.

    Two mostly sit beside each other, either of them nearer to the camera; drawn each by itself they mostly overlap.
    """
    if people != 2 or not chance(rng, 0.7):
        return [None] * people
    left, right = float(rng.uniform(0.14, 0.4)), float(rng.uniform(0.6, 0.86))
    return [left, right] if chance(rng, 0.5) else [right, left]


def draw_placement(
    rng: Rng,
    box: tuple[int, int] | None,
    cut: CutSides,
    width: int,
    height: int,
    *,
    tight: bool,
    centre: float | None = None,
) -> Placement | None:
    """As a camera would frame a person whose visible part is ``box`` (width, height); None if nothing is visible.

    A side at which the person is cut goes to (or beyond) the canvas' edge, so that no straight cut hangs in mid-air.
    ``tight`` keeps the person large (for crops around the edge); ``cut`` is that of the picture as stored, not
    mirrored; ``centre``: where one of several stands (see `draw_centres`), who is smaller than one alone.
    """
    flip = chance(rng, 0.5)
    if box is None:
        return None
    w, h = box
    if flip:
        cut = CutSides(cut.right, cut.top, cut.left, cut.bottom)
    if cut.top and cut.bottom:
        scale = height / h * rng.uniform(1.0, 1.35)
    elif cut.bottom and centre is not None:
        scale = height / h * rng.uniform(0.45, 0.95)
    elif cut.bottom:
        scale = height / h * (rng.uniform(0.55, 1.1) if tight or chance(rng, 0.85) else rng.uniform(0.3, 0.6))
    else:
        small = rng.uniform(0.25, 0.7)
        scale = height / h * (rng.uniform(0.7, 1.6) if tight or chance(rng, 0.75) else small)
    if cut.left and cut.right:
        scale = max(scale, width / w * 1.01)
    # Enlarging far beyond the stored resolution would teach blurred people.
    scale = min(scale, 2.0) if not (cut.top or (cut.left and cut.right)) else scale
    angle = rng.normal(0, 4) if chance(rng, 0.5) else 0.0
    new_w, new_h = max(2, round(w * scale)), max(2, round(h * scale))

    slack = 0.06 if angle else 0.0  # a turned cut side must stay outside the canvas
    hidden = slack + abs(rng.normal(0, 0.05))
    # Of a person who does not fit, a camera shows the head and cuts the feet.
    if cut.bottom or chance(rng, 0.35 if new_h <= height else 0.05):
        top = height - new_h + round(hidden * new_h)
    else:
        top = round(rng.uniform(-0.1, 0.6) * max(height - new_h, 0.2 * height))
    if cut.top:
        top = min(top, -round(slack * new_h)) if new_h > height else top
    around, spread = (0.5, 0.22) if centre is None else (centre, 0.03)
    left = round(rng.normal(around, spread) * width - new_w / 2)
    if chance(rng, 0.08):  # half outside
        inside = rng.uniform(0.4, 0.9)
        left = round((inside - 1) * new_w) if chance(rng, 0.5) else round(width - inside * new_w)
    if cut.left and cut.right:
        left = round((width - new_w) / 2)
    elif cut.left:
        left = -round(hidden * new_w)
    elif cut.right:
        left = width - new_w + round(hidden * new_w)
    return Placement(flip, new_w, new_h, float(angle), left, top)
