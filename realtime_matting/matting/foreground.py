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


def blur_fusion(image: Rgb, alpha: Alpha) -> Rgb:
    """Foreground colours F of a picture, such that α·F + (1 − α)·B is the person before a background B.

    Args:
        image: uint8 (H, W, 3), the picture.
        alpha: float32 (H, W) in [0, 1].

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
    areas = [area for band in bands(wanted, units(full, small), _BAND, _CELL) for area in band]
    unit = units(small, full)
    source = _even(hull(areas).scaled(full, small).grown(unit[0] + _REACH, unit[1] + _REACH, small), small)
    near_foreground, near_background = _means(
        reduced(image, *small)[source.slices()], reduced(alpha, *small)[source.slices()]
    )
    for area in areas:
        here, area_small = area.slices(), area.scaled(full, small)
        estimate = _fused(
            image[here],
            _three(alpha[here]),
            upsampled(near_foreground, source, area_small, small, full),
            upsampled(near_background, source, area_small, small, full),
        )
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
    rest = np.subtract(image, explained, out=explained)
    rest *= alpha
    return np.asarray(cv2.add(rest, near_foreground, dtype=cv2.CV_8U), np.uint8)


def _means(picture: Colours, alpha: Alpha) -> tuple[Colours, Colours]:
    """F_b and B_b of the second pass, float32 (h, w, 3) in [0, 255]."""
    weight = _three(alpha)
    opposite = 1 - weight
    weight_2, opposite_2 = weight * weight, opposite * opposite
    coarse = _divided(alpha.shape, 2)

    def wide(weight_4: Colours) -> Colours:
        weighted, share, unweighted = (reduced(plane, *coarse) for plane in (picture * weight_4, weight_4, picture))
        return _enlarged(_box_mean(weighted, share, unweighted, _WIDE), alpha.shape)

    near_foreground, near_background = wide(weight_2 * weight_2), wide(opposite_2 * opposite_2)
    rest = picture - near_background - weight * (near_foreground - near_background)
    foreground = np.clip(near_foreground + weight * rest, 0, 255)
    background = np.clip(near_background + opposite * rest, 0, 255)
    return (
        _box_mean(foreground * weight_2, weight_2, picture, _NARROW),
        _box_mean(background * opposite_2, opposite_2, picture, _NARROW),
    )


def _box_mean(weighted: Colours, weight: Colours, picture: Colours, side: int) -> Colours:
    """Weighted mean in boxes of side × side pixels; of the picture, where the weights are next to nothing."""
    total, share, unweighted = (
        np.asarray(cv2.blur(plane, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32)
        for plane in (weighted, weight, picture)
    )
    return np.asarray((total + _FAINT * unweighted) / (share + _FAINT), np.float32)


def _divided(shape: tuple[int, ...], divisor: int) -> tuple[int, int]:
    return max(1, round(shape[0] / divisor)), max(1, round(shape[1] / divisor))


def _enlarged(picture: Colours, shape: tuple[int, ...]) -> Colours:
    return np.asarray(cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _three(plane: Alpha) -> Colours:
    """(h, w) to (h, w, 3)."""
    return np.asarray(cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB), np.float32)
