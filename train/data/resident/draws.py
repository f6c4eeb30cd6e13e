"""What is random about a sample, as plain numbers: drawn on the CPU, applied wherever the pictures are.

Every function takes random numbers in the order in which :mod:`train.data.compose` and :mod:`train.data.augment` do, so
that a sample made on the training device shows the same scene as the sample of that number made by a loader process.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.data.augment import Rng, chance
from train.data.placement import Placement
from train.data.resident.atlas import Map


@dataclass(frozen=True)
class Window:
    """The part of a canvas that becomes the sample: its corner, and canvas pixels for each pixel of the sample."""

    left: float = 0.0
    top: float = 0.0
    ratio: float = 1.0

    def seen_through(self, map_: Map) -> Map:
        """``map_`` from the canvas into a picture, as the map from the sample."""
        a, b, c, d, e, f = map_
        x, y = self.left + 0.5 * self.ratio - 0.5, self.top + 0.5 * self.ratio - 0.5
        return (
            a * self.ratio, b * self.ratio, a * x + b * y + c, d * self.ratio, e * self.ratio, d * x + e * y + f,
        )  # fmt: skip


def placement_map(placement: Placement, width: int, height: int) -> Map:
    """Canvas → the person's picture of (width, height): the inverse of mirroring, resizing, turning, moving."""
    cos, sin = math.cos(math.radians(placement.angle)), math.sin(math.radians(placement.angle))
    x, y = placement.width / 2, placement.height / 2
    left, top = placement.left + x, placement.top + y
    sx, sy = width / placement.width, height / placement.height
    a, b = sx * cos, -sx * sin
    c = sx * (x + 0.5 - cos * left + sin * top) - 0.5
    d, e = sy * sin, sy * cos
    f = sy * (y + 0.5 - sin * left - cos * top) - 0.5
    return (-a, -b, width - 1 - c, d, e, f) if placement.flip else (a, b, c, d, e, f)


def draw_cover(rng: Rng, w: int, h: int, width: int, height: int) -> Map:
    """Canvas → a random crop of a (w, h) picture that covers it, as :func:`train.data.compose.cover` draws it."""
    scale = max(width / w, height / h) * rng.uniform(1.0, 1.7)
    x, y = rng.uniform(size=2)
    crop_w, crop_h = width / scale, height / scale
    left, top = int(x * (w - crop_w)), int(y * (h - crop_h))
    sx, sy = min(max(1, round(crop_w)), w - left) / width, min(max(1, round(crop_h)), h - top) / height
    if chance(rng, 0.5):
        return -sx, 0.0, left + sx * (width - 0.5) - 0.5, 0.0, sy, top + 0.5 * sy - 0.5
    return sx, 0.0, left + 0.5 * sx - 0.5, 0.0, sy, top + 0.5 * sy - 0.5


def draw_plain(rng: Rng, width: int, height: int) -> tuple[tuple[float, ...], Map]:
    """One colour or a gradient: two colours in [0, 1], and a map whose first row leads from the canvas to their mix."""
    a, b = rng.integers(0, 256, (2, 3)) / 255
    if chance(rng, 0.5):
        return (*a, *a), (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    return (*a, *b), (cos / width, sin / height, 0.5 - 0.5 * (cos + sin), 0.0, 0.0, 0.0)


def draw_look(rng: Rng, strength: float = 1.0, light: float = 1.0) -> tuple[float, ...]:
    """Gain of each channel, gamma, contrast, saturation: the draws of :func:`train.data.augment.tone_curve`."""
    gain = np.exp(rng.normal(0, 0.08 * strength, 3))
    exposure, gamma = light * math.exp(rng.normal(0, 0.22 * strength)), math.exp(rng.normal(0, 0.22 * strength))
    contrast = math.exp(rng.normal(0, 0.15 * strength))
    saturation = min(max(rng.normal(1, 0.25 * strength), 0.0), 1.8)
    return (*(gain * exposure), gamma, contrast, saturation)


@dataclass(frozen=True)
class Dye:
    """A colour for pale cloth, and maybe stripes: their factor, and their wave vector in the picture's pixels."""

    color: tuple[float, ...]
    stripe: tuple[float, ...] = (1.0, 1.0, 1.0)
    wave_x: float = 0.0
    wave_y: float = 0.0


def draw_dye(rng: Rng, picture_height: int) -> Dye:
    """The draws of :func:`train.data.augment.recolor_white_clothes`."""
    color = tuple(rng.uniform(0.05, 1.0, 3))
    if not chance(rng, 0.35):
        return Dye(color)
    period = rng.uniform(0.015, 0.08) * picture_height
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    turn = 2 * math.pi / period
    return Dye(color, tuple(rng.uniform(0.2, 1.0, 3)), math.cos(angle) * turn, math.sin(angle) * turn)


def draw_window(
    rng: Rng, people: list[tuple[Placement, NDArray[np.float32], tuple[int, int]]], width: int, height: int, side: int
) -> tuple[int, int]:
    """(left, top) of a square around a half-transparent pixel of a random person, inside the canvas.

    Args:
        people: placement, half-transparent pixels (n, 2) as x, y of the person's picture, and its (width, height).
    """
    points = np.zeros((0, 2))
    if people:
        placed, soft, size = people[int(rng.integers(len(people)))]
        a, b, c, d, e, f = placement_map(placed, *size)
        matrix = np.array([[e, -b], [-d, a]]) / (a * e - b * d)
        points = (soft - (c, f)) @ matrix.T
        points = points[((points >= 0) & (points < (width, height))).all(axis=1)]
    if len(points):
        x, y = points[rng.integers(len(points))]
    else:
        at = int(rng.integers(height * width))
        x, y = at % width, at // width
    return int(np.clip(int(x) - side // 2, 0, width - side)), int(np.clip(int(y) - side // 2, 0, height - side))


def ellipse_reach(radius: float, longest: int) -> NDArray[np.float32]:
    """Half width of an elliptical structuring element in its rows −longest … longest; −1 where it has none.

    The element that :func:`train.data.trimaps.trimap_from_alpha` grows regions by.
    """
    r = round(radius)
    rows = np.arange(-longest, longest + 1)
    return np.where(abs(rows) <= r, np.rint(np.sqrt(np.maximum(r * r - rows**2, 0))), -1).astype(np.float32)
