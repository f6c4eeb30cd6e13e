"""The person's own colours in the soft pixels, so that no old background shines through the hair.

Blur fusion in two passes (Forte, Approximate Fast Foreground Colour Estimation, ICIP 2021): the colours of foreground
and background near a pixel, F_b and B_b, are box means weighted by α and 1 − α. What they leave unexplained of the
picture I is shared out between the two in proportion to α:

    F = F_b + α(I − αF_b − (1 − α)B_b)        B = B_b + (1 − α)(I − αF_b − (1 − α)B_b)

The first pass has a wide box, to bring colours from the opaque person out to the last strand, the second a narrow one.
Three things differ from the paper, for speed and for less error: the means are found in a small picture; they are
weighted by α⁴ and (1 − α)⁴, then by α² and (1 − α)², for a soft pixel is itself a mixture; and the second pass starts
from B, as it does from F, instead of B_b.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime_matting.native import fuse_colours, fused_over, near_colours, soft_area
from realtime_matting.resampling import reduced, shrunk
from realtime_matting.tiles import Rectangle

Alpha = NDArray[np.float32]
Colours = NDArray[np.float32]
Rgb = NDArray[np.uint8]

# The means are smooth, so they are found in pictures of about 180 and 90 rows (or columns, if they are upright; the
# reduction is a power of two), in boxes as wide as 120 and 12 pixels of 720 rows; the paper's are 90 and 6.
_SHORT_SIDE = 180
_WIDE, _NARROW = 15, 3
_REACH = 2 * (_WIDE // 2) + _NARROW + 2  # how far around a pixel of the small picture its means look
_FAINT = 1e-4  # where a box holds less foreground than this, F_b tends to the mean of the picture


@dataclass(frozen=True, eq=False)
class Fusion:
    """What blur fusion found out about a picture; the colours are made of it when they are asked for.

    Attributes:
        image: uint8 (H, W, 3), the picture; it is to stay as it is.
        alpha: float32 (H, W) in [0, 1].
        near: float32 (2, 3, h, w) in [0, 255], the last F_b and B_b; None where no pixel is soft.
        soft: in which all soft pixels lie.
    """

    image: Rgb
    alpha: Alpha
    near: Colours | None
    soft: Rectangle

    def colours(self) -> Rgb:
        """F, as `blur_fusion` gives it."""
        return self.image.copy() if self.near is None else fuse_colours(self.image, self.alpha, self.near, self.soft)

    def over(self, background: Rgb, out: Rgb) -> None:
        """Exactly what `composite` makes of the colours, without making a picture of them.

        Args:
            background: uint8 (H, W, 3).
            out: uint8 (H, W, 3), a whole picture or a part of one; it may be the background.
        """
        # No means are looked at where nothing is soft.
        near = np.zeros((2, 3, 1, 1), np.float32) if self.near is None else self.near
        fused_over(self.image, self.alpha, near, background, out)


def fusion_of(image: Rgb, alpha: Alpha, *, halved: Rgb | None = None, short_side: int | None = None) -> Fusion:
    """Blur fusion up to its last step.

    Args:
        image: uint8 (H, W, 3), the picture.
        alpha: float32 (H, W) in [0, 1].
        halved: uint8, the picture halved once or more, where the caller has it already.
        short_side: of the whole frame, in pixels, where the picture is a part of one: the means reach as far in both.

    Raises:
        ValueError: picture and alpha differ in size.
    """
    full = image.shape[:2]
    if alpha.shape != full:
        raise ValueError(f"the alpha {alpha.shape} must be of the picture's size {full}")
    soft = soft_area(alpha)
    if soft.top == soft.bottom:
        return Fusion(image, alpha, None, soft)
    reduction = 2 ** max(0, round(math.log2((short_side or min(full)) / _SHORT_SIDE)))
    small = _divided(full, reduction)
    # Colours go on for two pixels, and interpolation looks one further.
    area = soft.grown(2, 2, full)
    here = _even(area.scaled(full, small).grown(_REACH + 1, _REACH + 1, small), small).slices()
    reducible = image if halved is None or halved.shape[0] < small[0] else halved
    near = np.zeros((2, 3, *small), np.float32)
    near[(..., *here)] = near_colours(
        np.asarray(shrunk(reducible, *small), np.uint8)[here],
        reduced(alpha, *small)[here],
        wide=_WIDE // 2,
        narrow=_NARROW // 2,
        faint=_FAINT,
    )
    return Fusion(image, alpha, near, soft)


def blur_fusion(image: Rgb, alpha: Alpha, *, halved: Rgb | None = None, short_side: int | None = None) -> Rgb:
    """Foreground colours F of a picture, such that α·F + (1 − α)·B is the person before a background B.

    Args, raises: as for `fusion_of`.

    Returns:
        uint8 (H, W, 3), a new array: the estimate where 0 < α < 1 and where α = 0 within 2 pixels of that; everywhere
        else, in particular wherever α = 1, exactly the picture. (A video with half the colour resolution mixes
        neighbours.)
    """
    return fusion_of(image, alpha, halved=halved, short_side=short_side).colours()


def _even(area: Rectangle, shape: tuple[int, int]) -> Rectangle:
    """Grown to even borders, so that halving it gives the pixels that halving the whole picture gives."""
    bottom, right = area.bottom + area.bottom % 2, area.right + area.right % 2
    return Rectangle(area.top - area.top % 2, min(bottom, shape[0]), area.left - area.left % 2, min(right, shape[1]))


def _divided(shape: tuple[int, ...], divisor: int) -> tuple[int, int]:
    return max(1, round(shape[0] / divisor)), max(1, round(shape[1] / divisor))
