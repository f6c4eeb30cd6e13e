"""Auto-framing: a smooth crop that keeps the person in the picture at a fitting size."""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.float32]
Rgb = NDArray[np.uint8]
Picture = TypeVar("Picture", NDArray[np.uint8], NDArray[np.float32])

_SIDE = 160
"""Pixels of the longer side of the reduced alpha in which the person is looked for."""
_PRESENT = 0.5
_LEAST_AREA = 0.01
"""A share of the picture below this is no person."""
_HEADROOM = 0.12
"""Of the crop's height, above the head."""
_WIDTH = 1.5
"""Of the person's width, the crop's least width."""
_MOST_ZOOM = 2.5
_SETTLE = 0.7
"""Seconds in which the crop goes 63 % of its way."""
_DEAD = 0.04
"""Of the crop's size: smaller wishes than this do not move it, so that it rests while the person only breathes."""


@dataclass(frozen=True)
class Crop:
    """A part of the picture with the picture's own proportions, in shares of its width and height.

    Attributes:
        x, y: of the top left corner.
        scale: its width and height.
    """

    x: float
    y: float
    scale: float

    def pixels(self, width: int, height: int) -> tuple[slice, slice]:
        """Rows and columns of a picture of ``width`` × ``height``."""
        wide, high = max(1, round(self.scale * width)), max(1, round(self.scale * height))
        left = min(width - wide, max(0, round(self.x * width)))
        top = min(height - high, max(0, round(self.y * height)))
        return slice(top, top + high), slice(left, left + wide)


WHOLE = Crop(0.0, 0.0, 1.0)


class Framing:
    """Follows the person from frame to frame."""

    def __init__(self) -> None:
        self.crop = WHOLE
        self._goal = WHOLE
        self._time: float | None = None

    def follow(self, alpha: Alpha, time: float) -> Crop:
        """The crop for the next frame.

        Args:
            alpha: float32 (H, W) in [0, 1], of the whole picture.
            time: of the frame, in seconds.
        """
        wish = wished_crop(alpha)
        moved = max(abs(wish.x - self._goal.x), abs(wish.y - self._goal.y), abs(wish.scale - self._goal.scale))
        if moved > _DEAD * self._goal.scale:
            self._goal = wish
        elapsed = 0.0 if self._time is None else max(0.0, time - self._time)
        self._time = time
        share = 1 - float(np.exp(-elapsed / _SETTLE))
        crop, goal = self.crop, self._goal
        scale = crop.scale + share * (goal.scale - crop.scale)
        x = crop.x + share * (goal.x - crop.x)
        y = crop.y + share * (goal.y - crop.y)
        self.crop = Crop(min(max(0.0, x), 1 - scale), min(max(0.0, y), 1 - scale), scale)
        return self.crop


def wished_crop(alpha: Alpha) -> Crop:
    """The crop that frames the person best, without regard to the frames before; the whole picture without a person."""
    height, width = alpha.shape
    reduction = max(1.0, max(height, width) / _SIDE)
    small = np.asarray(
        cv2.resize(
            alpha,
            (max(1, round(width / reduction)), max(1, round(height / reduction))),
            interpolation=cv2.INTER_AREA,
        ),
        np.float32,
    )
    person = small > _PRESENT
    if person.mean() < _LEAST_AREA:
        return WHOLE
    # A waving hand should not zoom out: the columns and rows that hold next to nothing of the person are left out.
    left, right = _extent(person.sum(0))
    top, _ = _extent(person.sum(1))
    rows = person[top:]
    # People sit at the lower edge of the picture: the head and what is about twice its width below count.
    middle = (left + right) / 2 / person.shape[1]
    scale = _WIDTH * (right - left) / person.shape[1]
    scale = max(scale, min(1.0, 0.55 * rows.shape[0] / person.shape[0]), 1 / _MOST_ZOOM)
    scale = min(1.0, scale)
    x = min(max(0.0, middle - scale / 2), 1 - scale)
    y = min(max(0.0, top / person.shape[0] - _HEADROOM * scale), 1 - scale)
    return Crop(x, y, scale)


def _extent(profile: NDArray[np.int_]) -> tuple[int, int]:
    """First and one past the last place that holds more than a twentieth of the fullest one."""
    places = np.flatnonzero(profile > profile.max() / 20)
    return int(places[0]), int(places[-1]) + 1


def cropped(picture: Picture, crop: Crop) -> Picture:
    """The crop of a picture, (H, W) or (H, W, 3), scaled to the picture's own size; itself where nothing is cut off."""
    if crop.scale >= 1:
        return picture
    height, width = picture.shape[:2]
    rows, columns = crop.pixels(width, height)
    part = np.ascontiguousarray(picture[rows, columns])
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
