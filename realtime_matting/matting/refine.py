"""Full size from a small alpha: the fast guided filter (He & Sun 2015, arXiv 1505.00996) with a colour guide.

Around each pixel alpha is taken to be linear in the picture's colour, α = a·I + b. The coefficients are found where
alpha is small, and applied to the picture at its own size, so that edges of the picture come back as edges of alpha.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.tiles import bands, hull, units, upsampled

Alpha = NDArray[np.float32]
Rgb = NDArray[np.uint8]

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_SUM = np.ones((1, 3), np.float32)
_NEIGHBOURS = np.ones((3, 3), np.uint8)
# Rows of a band and columns of a cell in the small alpha: a band's planes stay in the processor's cache, and neither
# is much time spent on pixels far from the soft edge nor on the number of calls.
_BAND, _CELL = 48, 12


def fast_guided_filter(
    guide: Rgb, alpha_small: Alpha, *, radius: int = 1, eps: float = 1e-4, guide_small: Rgb | None = None
) -> Alpha:
    """Bring an alpha to the size of its picture, with the picture's edges.

    A pixel between small pixels that are all 0, or all 1, keeps exactly that value; the filter runs only elsewhere.

    The guide is luminance and red − blue. Mean error in the soft pixels of an exact alpha at half size, linear
    interpolation = 1: luminance alone 0.64, this 0.42, all three colours 0.39 at nearly twice the time.

    Args:
        guide: uint8 (H, W, 3), the picture.
        alpha_small: float32 (h, w) in [0, 1], h ≤ H, w ≤ W. Fastest where H/h and W/w are ratios of small numbers.
        radius: of the windows, in pixels of the small alpha. 1 keeps the most of a sharp alpha; 2 lends a blurred one
            more of the picture's edges.
        eps: smoothness, as variance of a colour in [0, 1]; larger follows the picture less.
        guide_small: uint8 (h, w, 3), the picture reduced to the alpha's size, where the caller has it already.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        ValueError: the alpha is larger than the picture, or `guide_small` is not of its size.
    """
    full, small = guide.shape[:2], alpha_small.shape
    if small[0] > full[0] or small[1] > full[1]:
        raise ValueError(f"the alpha {small} must not be larger than the guide {full}")
    if guide_small is None:
        guide_small = np.asarray(cv2.resize(guide, small[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    elif guide_small.shape[:2] != small:
        raise ValueError(f"guide_small {guide_small.shape[:2]} must be of the alpha's size {small}")

    alpha = np.asarray(cv2.resize(alpha_small, full[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    unit = units(small, full)
    for areas in bands(_unknown(alpha_small), unit, _BAND, _CELL):
        # Two box filters in a row need two radii around the areas, the interpolation one unit.
        source = hull(areas).grown(unit[0] + 2 * radius, unit[1] + 2 * radius, small)
        slope, offset = _coefficients(guide_small[source.slices()], alpha_small[source.slices()], radius, eps)
        for area in areas:
            here = area.scaled(small, full).slices()
            slope_here = upsampled(slope, source, area, small, full)
            offset_here = upsampled(offset, source, area, small, full)
            _filter(guide[here], slope_here, offset_here, alpha[here])
    return alpha


def _filter(guide: Rgb, slope: Alpha, offset: Alpha, alpha: Alpha) -> None:
    """Replace the alphas between 0 and 1 by slope · guide + offset, in place."""
    filtered = cv2.transform(cv2.multiply(slope, guide, dtype=cv2.CV_32F), _SUM)
    cv2.add(filtered, offset, dst=filtered)
    np.clip(filtered, 0, 1, out=filtered)
    np.copyto(alpha, filtered, where=(alpha > 0) & (alpha < 1))


def _unknown(alpha: Alpha) -> NDArray[np.uint8]:
    """Not 0 where alpha or one of its 8 neighbours is between 0 and 1, or where 0 meets 1."""
    above_zero = cv2.dilate((alpha > 0).view(np.uint8), _NEIGHBOURS)
    below_one = cv2.dilate((alpha < 1).view(np.uint8), _NEIGHBOURS)
    return np.asarray(cv2.bitwise_and(above_zero, below_one), np.uint8)


def _coefficients(guide: Rgb, alpha: Alpha, radius: int, eps: float) -> tuple[Alpha, Alpha]:
    """Slope (h, w, 3) and offset (h, w) of alpha over RGB in [0, 255], averaged over the windows a pixel is in.

    Each window solves (Σ + εE)·a = cov(I, α), b = mean(α) − a·mean(I) (He et al. 2013, TPAMI, section 3.4, colour
    guide), here for the two planes y, luminance, and c, red − blue.
    """
    red, green, blue = cv2.split(guide.astype(np.float32))
    y, c = _LUMINANCE[0] * red + _LUMINANCE[1] * green + _LUMINANCE[2] * blue, red - blue
    mean_y, mean_c, mean_alpha = _mean(y, radius), _mean(c, radius), _mean(alpha, radius)
    smoothness = np.float32(eps * 255**2)
    yy = _mean(y * y, radius) - mean_y * mean_y + smoothness
    yc = _mean(y * c, radius) - mean_y * mean_c
    cc = _mean(c * c, radius) - mean_c * mean_c + smoothness
    y_alpha = _mean(y * alpha, radius) - mean_y * mean_alpha
    c_alpha = _mean(c * alpha, radius) - mean_c * mean_alpha

    ratio = yc / yy
    slope_c = (c_alpha - ratio * y_alpha) / (cc - ratio * yc)
    slope_y = (y_alpha - yc * slope_c) / yy
    offset = mean_alpha - slope_y * mean_y - slope_c * mean_c
    by_y, by_c = _mean(slope_y, radius), _mean(slope_c, radius)
    slope = cv2.merge([_LUMINANCE[0] * by_y + by_c, _LUMINANCE[1] * by_y, _LUMINANCE[2] * by_y - by_c])
    return np.asarray(slope, np.float32), _mean(offset, radius)


def _mean(plane: NDArray[np.floating], radius: int) -> Alpha:
    side = 2 * radius + 1
    return np.asarray(cv2.blur(plane, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32)
