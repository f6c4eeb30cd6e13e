"""Full size from a small alpha: the fast guided filter (He & Sun 2015, arXiv 1505.00996) with a colour guide.

Around each pixel alpha is taken to be linear in the picture's colour, α = a·I + b. The coefficients are found where
alpha is small, and applied to the picture at its own size, so that edges of the picture come back as edges of alpha.

That is one step towards the alpha that is linear in colour around every pixel at once, which the matting Laplacian
describes (He et al. 2013, TPAMI 35(6), say so), so that several in a row, in windows that shrink, come nearer to it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.native import coefficients, filter_soft, unknown_halves
from realtime_matting.resampling import shrunk

Alpha = NDArray[np.float32]
Rgb = NDArray[np.uint8]

# The guide: luminance (ITU-R BT.601), and half of red − blue around 128.
_GUIDE = np.array([[0.299, 0.587, 0.114, 0], [0.5, 0, -0.5, 128]], np.float32)
_NEIGHBOURS = np.ones((3, 3), np.uint8)
_EPS = 1e-4
_A_LITTLE_MORE = np.float32(1 + 1e-6)
_AT_FIRST, _AT_LAST = (4, 2), 1
"""Radii of the filters at the alpha's own size, and of the one that brings it to the picture's (`at_picture_size`)."""
_MARGIN = 0.03
"""So close to 0 or 1, or closer, is 0 and 1 after the last filter (`at_picture_size`)."""


def fast_guided_filter(
    guide: Rgb, alpha_small: Alpha, *, radius: int = 2, eps: float = _EPS, guide_small: Rgb | None = None
) -> Alpha:
    """Bring an alpha to the size of its picture, with the picture's edges.

    A pixel between small pixels that are all 0, or all 1, keeps exactly that value; the filter runs only elsewhere.
    None gets more than the largest of the small pixels around (shm-balanced, at most 24 pictures: MAD of the real man
    4.10 to 4.03, openpeople 4.15 to 4.13, dancer 6.09 to 6.06, rendered clips 6.16 to 6.15, stills 6.60 to 6.62; a
    floor as well is worse on rendered people).

    The guide is luminance and red − blue. Mean error in the soft pixels of an exact alpha at half size, linear
    interpolation = 1: luminance alone 0.64, this 0.42, all three colours 0.39 at nearly twice the time.

    Args:
        guide: uint8 (H, W, 3), the picture.
        alpha_small: float32 (h, w) in [0, 1], h ≤ H, w ≤ W; of the picture's own size it is filtered all the
            same. Fastest where H/h and W/w are ratios of small numbers.
        radius: of the windows, in pixels of the halved small alpha. An exact alpha keeps more with small ones.
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
        guide_small = np.asarray(shrunk(guide, *small), np.uint8)
    elif guide_small.shape[:2] != small:
        raise ValueError(f"guide_small {guide_small.shape[:2]} must be of the alpha's size {small}")
    halved = _halved(guide_small)
    return _filtered(guide, halved, alpha_small, unknown_halves(alpha_small), radius, eps)


def at_picture_size(alpha: Alpha, picture: Rgb, *, small: Rgb | None = None) -> Alpha:
    """An alpha of any size, as large as its picture and with the picture's edges, by three guided filters.

    Edge MAD of shm-balanced in float32, at most 24 pictures of a set and all frames of the clips, for radii of 2; 3 and
    1; 3, 2 and 1; 4, 3, 2 and 1; 3, 3, 2, 2, 1 and 1: openpeople 67.4, 65.5, 64.7, 64.6, 63.9, the real man 40.0, 38.2,
    37.4, 37.1, 36.5, rendered stills 56.8, 54.2, 53.0, 52.1, 51.9; rendered clips, but for the last, 70.7, 68.6, 67.8,
    67.8, and their dtSSD 3.65, 3.54, 3.50, 3.47.

    What little is left near 0 and 1 is cut off behind the filters rather than before them: a pixel that is cut off
    before goes in and out of the filtered region from frame to frame. With that (2.7.0, int8, at most 32 pictures), for
    radii of 3, 2 and 1; 4, 2 and 1; 5, 2 and 1; 4, 3 and 1; 4, 3, 2 and 1: dtSSD of the clips 3.31, 3.28, 3.26, 3.27,
    3.24, edge MAD 67.1, 66.9, 66.9, 67.6, 67.3; the first three on pairs 66.8, 67.3, 68.0, elsewhere within 0.5. The
    table of cuts is in train/README.md.

    One that is larger is reduced first; the filter then still gathers what the network left uneven (rendered clips,
    512×288 from 640×360: MAD 7.1 without it and 6.5 with it, dtSSD 4.6 and 3.9).

    Args:
        alpha: float32 (h, w) in [0, 1].
        picture: uint8 (H, W, 3).
        small: uint8, the picture at a lower resolution, not below the alpha's, where the caller has it already.

    Returns:
        float32 (H, W) in [0, 1].
    """
    height, width = picture.shape[:2]
    if alpha.shape[0] > height or alpha.shape[1] > width:
        # The weights of pixels, rounded, may add up to a little less than 1: what is 1 all around stays 1.
        alpha = np.asarray(
            cv2.resize(alpha * _A_LITTLE_MORE, (width, height), interpolation=cv2.INTER_AREA), np.float32
        )
        alpha = np.minimum(alpha, 1, out=alpha)
    guide = np.asarray(shrunk(picture if small is None else small, *alpha.shape), np.uint8)
    halved = _halved(guide)
    # No filter changes a pixel that is 0 or 1: what is unknown at first holds all that is unknown later.
    unknown = unknown_halves(alpha)
    for radius in _AT_FIRST:
        alpha = _filtered(guide, halved, alpha, unknown, radius)
    return _filtered(picture, halved, alpha, unknown, _AT_LAST, margin=_MARGIN)


def _filtered(
    guide: Rgb,
    halved: NDArray[np.uint8],
    small: Alpha,
    unknown: NDArray[np.uint8],
    radius: int,
    eps: float = _EPS,
    margin: float = 0.0,
) -> Alpha:
    """`fast_guided_filter` with the half of its small guide, (3, h, w), and where it is unknown, `unknown_halves`.

    ``margin``: what becomes 0 and 1 afterwards, see `filter_soft`.
    """
    # The model knows no edge that is not one of colour: without a ceiling the dark grooves of a wall go on where a dark
    # hat ends.
    ceiling = np.asarray(cv2.dilate(small, _NEIGHBOURS), np.float32)
    # Where a network is unsure, its finest detail tells less than what lies around it: halved it is no worse, and costs
    # a fourth.
    half = np.asarray(cv2.resize(small, halved.shape[:0:-1], interpolation=cv2.INTER_LINEAR), np.float32)
    found = coefficients(halved, half, unknown, _GUIDE, radius=radius, smoothness=eps * 255**2)
    return filter_soft(small, guide, found, unknown, ceiling, _GUIDE, margin)


def _halved(guide: Rgb) -> NDArray[np.uint8]:
    """Of half the size, its colours as planes: uint8 (3, ⌈h/2⌉, ⌈w/2⌉)."""
    height, width = guide.shape[:2]
    size = (width + 1) // 2, (height + 1) // 2
    halved = cv2.split(cv2.resize(guide, size, interpolation=cv2.INTER_LINEAR))
    return np.asarray(np.stack(halved), np.uint8)
