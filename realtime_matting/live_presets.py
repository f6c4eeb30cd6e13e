"""How much work a live frame gets, by name: the ladder that a slow machine steps down."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.matting.foreground import blur_fusion
from realtime_matting.matting.refine import fast_guided_filter
from realtime_matting.pipeline import MatteFunction, MatteLike

Rgb = NDArray[np.uint8]
Colours = Callable[[Rgb, NDArray[np.float32]], Rgb]

_BALANCED_SIDE = 448
_FAST_SIDE = 320


@dataclass(frozen=True, eq=False)
class LiveMatte:
    """A matte of a whole frame, whatever the size it was made in; see ``Matte`` for the fields."""

    alpha: NDArray[np.float32]
    foreground: Rgb
    trimap: NDArray[np.uint8] | None
    why: str


def live_presets(matter: MatteFunction) -> dict[str, MatteFunction]:
    """Mattes by preset, the best and dearest first, all made by one matter.

    ============  ==========================================================================================
    ``quality``   the frame as it is, the person's own colours estimated in soft pixels
    ``balanced``  the networks see at most 448 pixels a side; the alpha is brought to full size along the
                  frame's edges (``fast_guided_filter``)
    ``fast``      at most 320 pixels a side, and the frame's colours for the person's
    ============  ==========================================================================================

    Args:
        matter: the matte of an RGB picture; it need not estimate the foreground, for that is done here.
    """
    return {
        "quality": _preset(matter, None, blur_fusion),
        "balanced": _preset(matter, _BALANCED_SIDE, blur_fusion),
        "fast": _preset(matter, _FAST_SIDE, None),
    }


def _preset(matter: MatteFunction, side: int | None, colours: Colours | None) -> MatteFunction:
    def matte(rgb: Rgb) -> MatteLike:
        height, width = rgb.shape[:2]
        reduction = 1.0 if side is None else min(1.0, side / max(height, width))
        if reduction < 1:
            size = round(width * reduction), round(height * reduction)
            seen = matter(np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8))
            alpha = fast_guided_filter(rgb, seen.alpha)
        else:
            seen = matter(rgb)
            alpha = seen.alpha
        trimap = getattr(seen, "trimap", None)
        if trimap is not None and trimap.shape != alpha.shape:
            trimap = np.asarray(cv2.resize(trimap, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        foreground = rgb if colours is None else colours(rgb, alpha)
        return LiveMatte(alpha, foreground, trimap, getattr(seen, "why", ""))

    return matte
