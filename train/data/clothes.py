"""Lower clothes of another colour: what is below a line across a person is dyed.

A table hides a person below a line as well. What tells the two apart is that a table goes on beside the person.
"""

import numpy as np
from numpy.typing import NDArray

from train.data.augment import Rng
from train.data.in_front import Box, draw_shades, paint_boxes
from train.data.placement import Placement

LUMA = (0.299, 0.587, 0.114)
DARKEST, PER_LUMA = 0.45, 1.1
"""Dyed cloth is its shade by ``DARKEST + PER_LUMA · Y``: folds stay, and black cloth does not stay black."""


def draw_lower_clothes(rng: Rng, placed: Placement, width: int, height: int) -> Box:
    """All below a waist at 60 to 97 % of what the canvas shows of a person, in a shade of its own."""
    head, feet = max(placed.top, 0), min(placed.top + placed.height, height)
    waist, deep = head + rng.uniform(0.6, 0.97) * max(feet - head, 1), 2.0 * height
    return Box(0.5 * width, waist + deep, 3.0 * width, deep, rng.normal(0, 0.06), *draw_shades(rng))


def dress(color: NDArray[np.float32], clothes: Box) -> NDArray[np.float32]:
    """Colour of a person, float32 (H, W, 3) in [0, 1], in other clothes."""
    shade, where = paint_boxes([clothes], color.shape[1], color.shape[0])
    luma = (color @ np.float32(LUMA))[..., None]
    dyed = np.clip(shade * (np.float32(DARKEST) + np.float32(PER_LUMA) * luma), 0, 1)
    return np.asarray(color + where[..., None] * (dyed - color), np.float32)
