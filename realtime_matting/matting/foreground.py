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

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from realtime_matting.resampling import reduced
from realtime_matting.tiles import Rectangle, bands, hull, units, upsampled

Alpha = NDArray[np.float32]
Colours = NDArray[np.float32]
Rgb = NDArray[np.uint8]

# The means are smooth, so they are found in pictures of about 180 and 90 rows (or columns, if they are upright; the
# reduction is a power of two), in boxes as wide as 120 and 12 pixels of 720 rows; the paper's are 90 and 6.
_SHORT_SIDE = 180
_WIDE, _NARROW = 15, 3
_REACH = 2 * (_WIDE // 2) + _NARROW + 2  # how far around a pixel of the small picture its means look
_FAINT = np.float32(1e-4)  # where a box holds less foreground than this, F_b tends to the mean of the picture
_BAND, _CELL = 64, 16  # rows and columns of the picture
# Colours go on for two pixels beyond the soft ones: a video with half the colour resolution mixes neighbours.
_NEIGHBOURS = np.ones((5, 5), np.uint8)


def blur_fusion(image: Rgb, alpha: Alpha, *, halved: Rgb | None = None) -> Rgb:
    """Foreground colours F of a picture, such that α·F + (1 − α)·B is the person before a background B.

    Args:
        image: uint8 (H, W, 3), the picture.
        alpha: float32 (H, W) in [0, 1].
        halved: uint8, the picture halved once or more, where the caller has it already.

    Returns:
        uint8 (H, W, 3), a new array: the estimate where 0 < α < 1 and where α = 0 within 2 pixels of that; everywhere
        else, in particular wherever α = 1, exactly the picture.

    Raises:
        ValueError: picture and alpha differ in size.
    """
    full = image.shape[:2]
    if alpha.shape != full:
        raise ValueError(f"the alpha {alpha.shape} must be of the picture's size {full}")
    foreground = image.copy()
    below_one = alpha < 1
    soft = cv2.dilate(((alpha > 0) & below_one).view(np.uint8), _NEIGHBOURS)
    wanted = np.asarray(soft & below_one.view(np.uint8), np.uint8)
    if not wanted.any():
        return foreground

    reduction = 2 ** max(0, round(math.log2(min(full) / _SHORT_SIDE)))
    small = _divided(full, reduction)
    unit, unit_small = units(full, small), units(small, full)
    parts = list(bands(wanted, unit, _BAND, _CELL))
    source = hull(hull(areas) for areas in parts).scaled(full, small)
    source = _even(source.grown(unit_small[0] + _REACH, unit_small[1] + _REACH, small), small)
    reducible = image if halved is None or halved.shape[0] < small[0] else halved
    near_foreground, near_background = _means(
        reduced(reducible, *small)[source.slices()], reduced(alpha, *small)[source.slices()]
    )
    for areas in parts:
        # To enlarge a whole band at once takes less time than the calls for each of its areas.
        band = hull(areas)
        band_small = band.scaled(full, small)
        foreground_here = upsampled(near_foreground, source, band_small, small, full)
        background_here = upsampled(near_background, source, band_small, small, full)
        for area in areas:
            here, within = area.slices(), area.slices(band)
            estimate = _fused(image[here], _three(alpha[here]), foreground_here[within], background_here[within])
            cv2.copyTo(estimate, wanted[here], foreground[here])
    return foreground


def _even(area: Rectangle, shape: tuple[int, int]) -> Rectangle:
    """Grown to even borders, so that halving it gives the pixels that halving the whole picture gives."""
    bottom, right = area.bottom + area.bottom % 2, area.right + area.right % 2
    return Rectangle(area.top - area.top % 2, min(bottom, shape[0]), area.left - area.left % 2, min(right, shape[1]))


def _fused(image: Rgb, alpha: Colours, near_foreground: Colours, near_background: Colours) -> Rgb:
    """F rounded, for an alpha repeated three times. In place of α(I − αF_b − (1 − α)B_b): α(I − B_b − α(F_b − B_b))."""
    explained = near_foreground - near_background
    explained *= alpha
    explained += near_background
    rest = image.astype(np.float32)
    rest -= explained
    rest *= alpha
    rest += near_foreground
    np.maximum(rest, 0, out=rest)  # what follows rounds and saturates, but takes the absolute value as well
    return np.asarray(cv2.convertScaleAbs(rest), np.uint8)


def _means(picture: Colours, alpha: Alpha) -> tuple[Colours, Colours]:
    """F_b and B_b of the second pass, float32 (h, w, 3) in [0, 255]."""
    weight = _three(alpha)
    opposite = 1 - weight
    weight_2, opposite_2 = weight * weight, opposite * opposite
    coarse = _divided(alpha.shape, 2)
    mean_coarse = _box(reduced(picture, *coarse), _WIDE)

    def wide(weight_4: Colours) -> Colours:
        weighted, share = reduced(picture * weight_4, *coarse), reduced(cv2.extractChannel(weight_4, 0), *coarse)
        return _enlarged(_mean(_box(weighted, _WIDE), _box(share, _WIDE), mean_coarse), alpha.shape)

    near_foreground, near_background = wide(weight_2 * weight_2), wide(opposite_2 * opposite_2)
    rest = near_background - near_foreground
    rest *= weight
    rest += picture
    rest -= near_background
    mean = _box(picture, _NARROW)

    def narrow(near: Colours, share: Colours, share_2: Colours) -> Colours:
        colours = share * rest
        colours += near
        np.clip(colours, 0, 255, out=colours)
        colours *= share_2
        return _mean(_box(colours, _NARROW), _box(cv2.extractChannel(share_2, 0), _NARROW), mean)

    return narrow(near_foreground, weight, weight_2), narrow(near_background, opposite, opposite_2)


def _box(plane: MatLike, side: int) -> Colours:
    """Means of side × side pixels."""
    return np.asarray(cv2.blur(plane, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32)


def _mean(weighted: Colours, weight: Alpha, otherwise: Colours) -> Colours:
    """Weighted mean, in the memory of the first two; what is `otherwise`, where the weights are next to nothing."""
    weighted += _FAINT * otherwise
    weight += _FAINT
    weighted *= _three(np.divide(1, weight, out=weight))
    return weighted


def _divided(shape: tuple[int, ...], divisor: int) -> tuple[int, int]:
    return max(1, round(shape[0] / divisor)), max(1, round(shape[1] / divisor))


def _enlarged(picture: Colours, shape: tuple[int, ...]) -> Colours:
    return np.asarray(cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _three(plane: Alpha) -> Colours:
    """(h, w) to (h, w, 3)."""
    return np.asarray(cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB), np.float32)
