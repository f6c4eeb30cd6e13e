"""What stands between camera and person: a table, and on it papers, cups, laptops, screens, as boxes.

All are shaded colour, or look like a part of some other room; every second table shows its front below its top.

In a call most people sit behind something. It is no part of the person, however much of them it hides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.data.augment import Rng, chance

MOST_BOXES = 5
# Half the width and height of things, least and most, as shares of the canvas': a screen or a bag, papers or a
# keyboard, a cup or a bottle.
_THINGS = (((0.05, 0.05), (0.13, 0.13)), ((0.04, 0.008), (0.14, 0.03)), ((0.012, 0.025), (0.03, 0.1)))


@dataclass(frozen=True)
class Box:
    """A turned rectangle, in pixels of the canvas and colours of [0, 1].

    ``across`` and ``down`` are half its sides, ``angle`` is in radians; its colour goes from ``top`` to ``bottom``. By
    the share ``grain`` it shows another picture instead, ``mirrored`` or as it is.
    """

    x: float
    y: float
    across: float
    down: float
    angle: float
    top: tuple[float, float, float]
    bottom: tuple[float, float, float]
    grain: float = 0.0
    mirrored: bool = False

    def seen_through(self, left: float, top: float, scale: float) -> "Box":
        """The same in pixels of a window at (left, top), one of whose pixels is ``scale`` of the canvas'."""
        sides = self.across / scale, self.down / scale
        x, y = (self.x - left) / scale, (self.y - top) / scale
        return Box(x, y, *sides, self.angle, self.top, self.bottom, self.grain, self.mirrored)

    @property
    def numbers(self) -> tuple[float, ...]:
        """x, y, across, down, cosine and sine of the angle, the two colours, grain, mirrored (0 or 1): 14 numbers."""
        turn = math.cos(self.angle), math.sin(self.angle)
        place = self.x, self.y, self.across, self.down
        return (*place, *turn, *self.top, *self.bottom, self.grain, float(self.mirrored))


def draw_boxes(rng: Rng, width: int, height: int) -> list[Box]:
    """A table over the lowest 8 to 35 % of the canvas, one in four with an end in sight, and 0 to 3 things on it.

    Nothing hangs in the air: what a person holds before the chest belongs to the person. What lies or stands on a table
    shows the mirrored picture, lest it look like the table.
    """
    edge, deep = height * (1 - rng.uniform(0.08, 0.35)), 2.0 * height
    middle, across, turn = 0.5 * width, 1.5 * width, rng.normal(0, 0.03)
    if chance(rng, 0.25):
        across = width * rng.uniform(0.4, 0.7)
        middle += (0.5 * width + across) * rng.uniform(-0.6, 0.6)
    boxes = [Box(middle, edge + deep, across, deep, turn, *draw_shades(rng), _grain(rng))]
    if chance(rng, 0.5):
        front = edge + height * rng.uniform(0.01, 0.12)
        boxes.append(Box(middle, front + deep, across, deep, turn, *draw_shades(rng), _grain(rng)))
    for _ in range(int(rng.integers(0, MOST_BOXES - 1))):
        low, high = _THINGS[int(rng.integers(len(_THINGS)))]
        across, down = width * rng.uniform(low[0], high[0]), height * rng.uniform(low[1], high[1])
        foot = edge + rng.uniform(0.02, 0.12) * height
        place = rng.uniform(0.1, 0.9) * width, foot - down, across, down, rng.normal(0, 0.05)
        boxes.append(Box(*place, *draw_shades(rng), _grain(rng), mirrored=True))
    return boxes


def _grain(rng: Rng) -> float:
    """How much of another picture shows: nothing in half of the boxes, otherwise 0.3 to 1."""
    return float(rng.uniform(0.3, 1.0)) if chance(rng, 0.5) else 0.0


def draw_shades(rng: Rng) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Two colours for a box. Greys as often as colours; lighter or darker towards the bottom."""
    grey = chance(rng, 0.5)
    base = np.full(3, rng.uniform(0.03, 0.97)) if grey else rng.uniform(0, 1, 3)
    r, g, b = np.clip(base + rng.normal(0, 0.12), 0, 1)
    base_r, base_g, base_b = base
    return (float(base_r), float(base_g), float(base_b)), (float(r), float(g), float(b))


def paint_boxes(
    boxes: Sequence[Box], width: int, height: int, texture: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What boxes, the first farthest away, show: straight colour float32 (H, W, 3) and cover (H, W), in [0, 1].

    Their grain is that of ``texture``, uint8 (H, W, 3); without one they have none.
    """
    y, x = np.mgrid[:height, :width].astype(np.float32) + np.float32(0.5)
    color, cover = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    for box in boxes:
        cos, sin = math.cos(box.angle), math.sin(box.angle)
        across, down = cos * (x - box.x) + sin * (y - box.y), cos * (y - box.y) - sin * (x - box.x)
        own = np.clip(0.5 + np.minimum(box.across - np.abs(across), box.down - np.abs(down)), 0, 1)
        shade = np.clip(0.5 + down / (2 * box.down), 0, 1)[..., None]
        paint = np.float32(box.top) + shade * (np.float32(box.bottom) - np.float32(box.top))
        if box.grain and texture is not None:
            shown = texture[:, ::-1] if box.mirrored else texture
            paint += np.float32(box.grain) * (shown * np.float32(1 / 255) - paint)
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
