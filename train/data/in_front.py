"""What stands between camera and person: a table, and on it a laptop or a screen, as boxes.

A table is shaded colour, or looks like a part of some other room; what stands on it is shaded colour.

In a call most people sit behind something. It is no part of the person, however much of them it hides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.data.augment import Rng, chance

MOST_BOXES = 3


@dataclass(frozen=True)
class Box:
    """A turned rectangle, in pixels of the canvas and colours of [0, 1].

    ``across`` and ``down`` are half its sides, ``angle`` is in radians; its colour goes from ``top`` to ``bottom``.
    """

    x: float
    y: float
    across: float
    down: float
    angle: float
    top: tuple[float, float, float]
    bottom: tuple[float, float, float]

    def seen_through(self, left: float, top: float, scale: float) -> "Box":
        """The same in pixels of a window at (left, top), one of whose pixels is ``scale`` of the canvas'."""
        sides = self.across / scale, self.down / scale
        return Box((self.x - left) / scale, (self.y - top) / scale, *sides, self.angle, self.top, self.bottom)

    @property
    def numbers(self) -> tuple[float, ...]:
        """x, y, across, down, cosine and sine of the angle, and the two colours: 12 numbers."""
        turn = math.cos(self.angle), math.sin(self.angle)
        return (self.x, self.y, self.across, self.down, *turn, *self.top, *self.bottom)


def draw_boxes(rng: Rng, width: int, height: int) -> list[Box]:
    """A table over the lowest 8 to 35 % of the canvas, one in four with an end in sight, and 0 to 2 things on it.

    Nothing hangs in the air: what a person holds before the chest belongs to the person.
    """
    edge, deep = height * (1 - rng.uniform(0.08, 0.35)), 2.0 * height
    middle, across = 0.5 * width, 1.5 * width
    if chance(rng, 0.25):
        across = width * rng.uniform(0.4, 0.7)
        middle += (0.5 * width + across) * rng.uniform(-0.6, 0.6)
    boxes = [Box(middle, edge + deep, across, deep, rng.normal(0, 0.03), *_shades(rng))]
    for _ in range(int(rng.integers(0, MOST_BOXES))):
        across, down = width * rng.uniform(0.05, 0.13), height * rng.uniform(0.05, 0.13)
        foot = edge + rng.uniform(0.02, 0.12) * height
        boxes.append(Box(rng.uniform(0.1, 0.9) * width, foot - down, across, down, rng.normal(0, 0.03), *_shades(rng)))
    return boxes


def draw_grain(rng: Rng) -> float:
    """How much of another picture shows on the table: nothing in half of them, otherwise 0.3 to 1."""
    return float(rng.uniform(0.3, 1.0)) if chance(rng, 0.5) else 0.0


def _shades(rng: Rng) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Greys as often as colours; lighter or darker towards the bottom."""
    grey = chance(rng, 0.5)
    base = np.full(3, rng.uniform(0.03, 0.97)) if grey else rng.uniform(0, 1, 3)
    r, g, b = np.clip(base + rng.normal(0, 0.12), 0, 1)
    base_r, base_g, base_b = base
    return (float(base_r), float(base_g), float(base_b)), (float(r), float(g), float(b))


def paint_boxes(
    boxes: Sequence[Box], width: int, height: int, texture: NDArray[np.uint8] | None = None, grain: float = 0.0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What boxes, the first farthest away, show: straight colour float32 (H, W, 3) and cover (H, W), in [0, 1].

    The first shows ``texture``, uint8 (H, W, 3), by the share ``grain``.
    """
    y, x = np.mgrid[:height, :width].astype(np.float32) + np.float32(0.5)
    color, cover = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    for number, box in enumerate(boxes):
        cos, sin = math.cos(box.angle), math.sin(box.angle)
        across, down = cos * (x - box.x) + sin * (y - box.y), cos * (y - box.y) - sin * (x - box.x)
        own = np.clip(0.5 + np.minimum(box.across - np.abs(across), box.down - np.abs(down)), 0, 1)
        shade = np.clip(0.5 + down / (2 * box.down), 0, 1)[..., None]
        paint = np.float32(box.top) + shade * (np.float32(box.bottom) - np.float32(box.top))
        if number == 0 and texture is not None:
            paint += grain * (texture * np.float32(1 / 255) - paint)
        union = own + cover * (1 - own)
        color += (own / np.maximum(union, 1e-4))[..., None] * (paint - color)
        cover = union
    return color, cover


def put_before(
    cover: NDArray[np.float32], color: NDArray[np.float32], alpha: NDArray[np.float32], back: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(alpha, background) of the picture in which ``color`` covers person and room by ``cover``.

    What covers the person belongs to the background: α' = (1 − o)·α and (1 − α')·B' = o·O + (1 − o)·(1 − α)·B.
    """
    seen = (1 - cover) * alpha
    rest = np.maximum(1 - seen, 1e-3)[..., None]
    behind = (cover[..., None] * color + ((1 - cover) * (1 - alpha))[..., None] * back) / rest
    return seen, np.where(1 - seen[..., None] > 1e-3, behind, back)
