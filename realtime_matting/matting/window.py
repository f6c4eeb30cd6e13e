"""Which part of a frame the networks see: a window around the people, so that these are as large as may be.

The networks' pictures are small, and a person who fills half of a frame fills half of them. In a window the person
is seen larger at about the same cost. MAD and edge MAD (dtSSD) without and with windows, shm-balanced 2.5.1, every
frame by itself: openpeople 4.26 / 70.1 and 3.59 / 61.9, the real man 4.19 / 73.5 and 2.96 / 40.2, rendered stills
10.4 / 90.2 and 9.3 / 71.6, rendered clips 5.83 / 79.7 (3.69) and 5.31 / 70.0 (3.56), 200 frames of the dancer 7.96 /
87.3 (5.96) and 7.18 / 80.3 (5.61), two people 13.3 / 85.2 and 13.1 / 83.5. It is the trimap network that gains, as long
as people are smaller than about 384 pixels in its picture.

Windows are of few shapes, since engines compile each size of a network's picture anew. That of the frame itself costs
no compiling. The others are of sides such that the trimap network takes about as long as for a frame of 16:9, and the
matting network as long as for the 0.7 of a frame's width that it is given in streams. One wide, 4:3, is for who would
not fit into a square one with both arms; without it openpeople have 4.00 / 65.4.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from realtime_matting.models.bundle import Role, RoleSpec
from realtime_matting.tiles import Rectangle

FloatArray = NDArray[np.float32]

MARGIN = 0.1
"""Of the people's longer side, left around them as a rule."""


@dataclass(frozen=True)
class Shape:
    """Windows of one shape.

    Attributes:
        name: for people.
        across, down: the aspect; 0: that of the frame.
        sides: long side of each network's picture, as a share of the role's own, and in pixels at most.
    """

    name: str
    across: int
    down: int
    sides: Mapping[Role, tuple[float, float]] = field(hash=False, compare=False)

    def long_side(self, role: Role, spec: RoleSpec) -> int:
        """Of the network's picture, in pixels: a multiple of its stride."""
        assert spec.long_side is not None  # `takes_windows`
        share, most = self.sides[role]
        return int(min(share * spec.long_side, most) / spec.stride) * spec.stride

    def sized(self, roles: Mapping[Role, RoleSpec]) -> dict[Role, RoleSpec]:
        """The bundle's networks at the sizes of this shape."""
        if not self.across:
            return dict(roles)
        return {role: _resized(spec, self.long_side(role, spec)) for role, spec in roles.items()}


@lru_cache(maxsize=64)
def _resized(spec: RoleSpec, long_side: int) -> RoleSpec:
    """Kept, for a window is looked for in most frames."""
    return spec.model_copy(update={"long_side": long_side})


FRAME = Shape("frame", 0, 0, {})
SQUARE = Shape("square", 1, 1, {"trimap": (0.8, 448), "matting": (0.65, 576)})
WIDE = Shape("wide", 4, 3, {"trimap": (0.95, 448), "matting": (0.75, 704)})
TALL = Shape("tall", 3, 5, {"trimap": (1.0, 560), "matting": (0.85, math.inf)})
SHAPES = (FRAME, WIDE, SQUARE, TALL)


@dataclass(frozen=True)
class Window:
    """A part of frames of ``frame`` (H, W).

    Attributes:
        frame: (H, W) of the frames.
        area: the part, in pixels.
        shape: which of the shapes it has.
    """

    frame: tuple[int, int]
    area: Rectangle
    shape: Shape = FRAME

    @classmethod
    def whole(cls, frame: tuple[int, int]) -> "Window":
        """All of the frame."""
        return cls(frame, Rectangle(0, frame[0], 0, frame[1]))

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return self.size == self.frame

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.area.bottom - self.area.top, self.area.right - self.area.left

    @property
    def share(self) -> float:
        """Of the frame's area."""
        return self.size[0] * self.size[1] / (self.frame[0] * self.frame[1])

    def place_of(self, other: "Window", size: tuple[int, int], other_size: tuple[int, int]) -> NDArray[np.float64]:
        """Where pixels of another window of the same frames lie in this one: float64 (2, 3), an affine map of (x, y).

        Args:
            other: the other window.
            size: (height, width) of the picture of this window, ``other_size`` of the picture of the other.
        """
        rows = []
        for axis, first, first_other in ((1, self.area.left, other.area.left), (0, self.area.top, other.area.top)):
            here, there = self.size[axis] / size[axis], other.size[axis] / other_size[axis]  # of the frame's pixels
            # Centres of pixels are half a pixel in.
            rows.append((there / here, (0.5 * there + first_other - first) / here - 0.5))
        (wide, x), (high, y) = rows
        return np.array([[wide, 0, x], [0, high, y]])

    def cut(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The window's part of a frame (H, W[, C]), contiguous; the frame itself where that is all of it."""
        return picture if self.is_whole else np.ascontiguousarray(picture[self.area.slices()])

    def cut_small(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The window's part of a reduced frame (h, w, C), contiguous."""
        return np.ascontiguousarray(picture[self.area.scaled(self.frame, picture.shape).slices()])

    def placed(self, part: FloatArray) -> FloatArray:
        """float32 of the window's size in a frame that is 0 elsewhere; the part itself where that is all of it."""
        if self.is_whole:
            return part
        frame = np.zeros(self.frame, np.float32)
        frame[self.area.slices()] = part
        return frame

    def replaced(self, frame: NDArray[np.uint8], part: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of the frame (H, W, 3) with another part; the part itself where that is all of it."""
        if self.is_whole:
            return part
        frame = frame.copy()
        frame[self.area.slices()] = part
        return frame


def takes_windows(roles: Mapping[Role, RoleSpec]) -> bool:
    """Whether a bundle's networks can be given windows: a T-Net and an M-Net of free sizes."""
    return set(roles) == {"trimap", "matting"} and all(spec.long_side is not None for spec in roles.values())


def size_seen(people: Rectangle, window: Window, roles: Mapping[Role, RoleSpec]) -> float:
    """How large the trimap network sees people in a window: their longer side in its pixels."""
    height, width = window.size
    scale = window.shape.sized(roles)["trimap"].scaled_size(width, height)[0] / width
    return scale * max(people.bottom - people.top, people.right - people.left)


def best_window(
    people: Rectangle,
    frame: tuple[int, int],
    roles: Mapping[Role, RoleSpec],
    shapes: tuple[Shape, ...],
    margin: float = MARGIN,
) -> Window:
    """The window with a margin around people in which the networks see them largest; the whole frame if none is better.

    Args:
        people: where they are, in pixels of the frame.
        frame: (H, W).
        roles: of the bundle, at their own sizes.
        shapes: those to choose from.
        margin: of the people's longer side, left around them.
    """
    around = round(margin * max(people.bottom - people.top, people.right - people.left))
    wanted = people.grown(around, around, frame)
    best = Window.whole(frame)
    for shape in shapes:
        window = _around(wanted, frame, shape, roles)
        if window is not None and size_seen(people, window, roles) > size_seen(people, best, roles):
            best = window
    return best


def _around(wanted: Rectangle, frame: tuple[int, int], shape: Shape, roles: Mapping[Role, RoleSpec]) -> Window | None:
    """The smallest window of a shape around ``wanted``, about its middle; None where the frame has no room for it."""
    height, width = frame
    # Sides that can be halved twice, where the frame is large enough to be halved.
    step = 4 if min(frame) >= 480 else 2
    high, wide = wanted.bottom - wanted.top, wanted.right - wanted.left
    if shape.across:
        unit = step * -(-max(high / shape.down, wide / shape.across) // step)
        size = int(unit * shape.down), int(unit * shape.across)
    else:
        size = _like_the_frame((high, wide), frame, step, roles)
    if size[0] > height or size[1] > width:
        return None
    top, left = (
        min(max(0, (first + last - side) // 2), full - side)
        for first, last, side, full in (
            (wanted.top, wanted.bottom, size[0], height),
            (wanted.left, wanted.right, size[1], width),
        )
    )
    return Window(frame, Rectangle(top, top + size[0], left, left + size[1]), shape)


def _like_the_frame(
    least: tuple[int, int], frame: tuple[int, int], step: int, roles: Mapping[Role, RoleSpec]
) -> tuple[int, int]:
    """(height, width) of the frame's aspect, as small as may be, for pictures of the same size."""
    height, width = frame
    for wide in range(step * -(-max(least[1], int(least[0] * width / height)) // step), width, step):
        high = int(wide * height / width / step) * step
        if high >= least[0] and all(
            spec.working_size(wide, high) == spec.working_size(width, height) for spec in roles.values()
        ):
            return high, wide
    return frame
