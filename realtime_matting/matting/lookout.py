"""Where the window lies from frame to frame, and what goes on outside of it.

The window follows the people by the mattes that are made in it. What those cannot show is looked for: the trimap
network sees the whole frame ("look") at the first frame, when the picture outside changes, when somebody touches an
inner border of the window, and now and then. It moves seldom: from each place the picture is sampled a little
differently, which shows.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.matting.window import MARGIN, SHAPES, Shape, Window, best_window, size_seen
from realtime_matting.models.bundle import Role, RoleSpec
from realtime_matting.tiles import Rectangle

FloatArray = NDArray[np.float32]
Bytes = NDArray[np.uint8]

Look = Callable[[], FloatArray]
"""Runs the trimap network on the whole frame: float32 (3, h, w)."""

# Larger by so much, a person is worth another window: one for wherever people were in so many frames.
_WORTH, _FRAMES = 1.15, 30
# Pixels of the trimap network: it sees no more in people who are larger.
_ENOUGH = 384
# Nearer to an inner border than this, as a share of the people's longer side, the window is moved.
_NEAR = 0.04
# Who has come so near moves, and is given more room: a margin of so much.
_ROOM = 0.2
# Frames between looks, at most. Looks that find nothing are made ever more seldom, down to one in `_PATIENCE` frames.
_AGE, _PATIENCE = 60, 4
# Outside, compared with the last look: levels of a pixel that has changed, how many are too many, as a share of what is
# outside, and how many are another picture altogether. Of pictures so wide, blurred.
_CHANGE, _CHANGED, _CUT, _WIDTH = 10, 0.006, 0.5, 80
# People are found in pictures of about this width. Smaller pieces than this share of the frame do not count.
_GRID, _PIECE = 128, 0.002
# All that is found together: what is smaller is more often a thing that looks like somebody, and a closer look at it
# makes that worse.
_SOMEBODY = 0.02
_PERSON = 0.1  # alpha from which on a pixel counts; of a trimap, probability of anything but background
_POSSIBLE = 0.5


@dataclass(frozen=True, eq=False)
class Choice:
    """The window of the next frame.

    Attributes:
        trimap: what the trimap network said of the frame, float32 (3, h, w), where it looked at it and the window is
            the whole frame.
        looked: whether the trimap network has looked at the whole frame.
        is_cut: whether it is another picture altogether than at the last look.
    """

    window: Window
    trimap: FloatArray | None = None
    looked: bool = False
    is_cut: bool = False


class Lookout:
    """The windows of one stream. For each frame: `choose`, then `saw`.

    Args:
        roles: of a bundle that `takes_windows`.
        shapes: windows may have these.
        ready: whether the networks may be given pictures of a shape; asked when a window of it would be chosen.
    """

    def __init__(
        self,
        roles: Mapping[Role, RoleSpec],
        *,
        shapes: tuple[Shape, ...] = SHAPES,
        ready: Callable[[Window], bool] = lambda window: True,
    ) -> None:
        self._roles = roles
        self._shapes = shapes
        self._ready = ready
        self.window: Window | None = None
        """That of the last frame; None before the first."""
        self.forget()

    def forget(self) -> None:
        """The next frame is the first."""
        self.window = None
        self._people: Rectangle | None = None
        self._reference: FloatArray | None = None
        self._age = 0
        self._patience = 1
        self._recent: deque[Rectangle] = deque(maxlen=_FRAMES)  # where people were since the window has moved

    def choose(self, rgb: Bytes, look: Look) -> Choice:
        """The window for the next frame, uint8 (H, W, 3)."""
        frame = rgb.shape[0], rgb.shape[1]
        if self.window is None or self.window.frame != frame:
            self.forget()
            self.window = Window.whole(frame)
            return self._looked(rgb, look)
        if self.window.is_whole:
            self._follow()
            return Choice(self.window)
        self._age += 1
        if self._age >= self._patience and (
            self._age >= _AGE or self._touched() or self._change(thumbnail(rgb), self.window) > _CHANGED
        ):
            return self._looked(rgb, look)
        self._follow()
        return Choice(self.window)

    def saw(self, alpha: FloatArray) -> None:
        """To be told the alpha of the frame last chosen for, float32 (h, w), of its window alone."""
        assert self.window is not None  # a window was chosen
        self._people = people_in(alpha > _PERSON, self.window)
        if self._people is not None:
            self._recent.append(self._people)

    def _looked(self, rgb: Bytes, look: Look) -> Choice:
        assert self.window is not None
        trimap = look()
        whole = Window.whole(self.window.frame)
        self._people = people_in(1 - trimap[0] > _POSSIBLE, whole)
        before = self.window
        cramped = self._cramped()
        if cramped or before.is_whole:
            self._move(self._roomy() if cramped else self._wanted(self._people, MARGIN))
        else:
            assert self._people is not None  # `_cramped`
            wanted = self._wanted(_around_all([*self._recent, self._people]), MARGIN)
            if self._is_better(wanted):
                self._move(wanted)
        self._patience = 1 if self.window != before else min(2 * self._patience, _PATIENCE)
        self._age = 0
        now = thumbnail(rgb)
        is_cut = self._reference is not None and self._change(now, before) > _CUT
        self._reference = now
        return Choice(self.window, trimap if self.window.is_whole else None, looked=True, is_cut=is_cut)

    def _follow(self) -> None:
        """Go after the people by the last mattes."""
        if self._cramped():
            self._move(self._roomy())
        elif len(self._recent) == _FRAMES:
            wanted = self._wanted(_around_all(self._recent), MARGIN)
            if self._is_better(wanted):
                self._move(wanted)

    def _roomy(self) -> Window:
        """The window for people who move: around wherever they were of late, where there is room for that."""
        if self._people is None:
            return self._wanted(None, MARGIN)
        window = self._wanted(_around_all([*self._recent, self._people]), _ROOM)
        return self._wanted(self._people, _ROOM) if window.is_whole else window

    def _move(self, window: Window) -> None:
        if window != self.window:
            self.window = window
            self._recent.clear()

    def _wanted(self, people: Rectangle | None, margin: float) -> Window:
        assert self.window is not None
        frame = self.window.frame
        whole = Window.whole(frame)
        if people is None:
            return whole
        for each in dict.fromkeys((margin, MARGIN)):
            best = best_window(people, frame, self._roles, self._shapes, each)
            worth = self._seen(best) > _WORTH * self._seen(whole)
            # One for which the networks are not ready is not waited for.
            if worth and (best == self.window or self._ready(best)):
                return best
        return whole

    def _is_better(self, wanted: Window) -> bool:
        assert self.window is not None
        return self._seen(wanted) > _WORTH * self._seen(self.window)

    def _seen(self, window: Window) -> float:
        return 0.0 if self._people is None else min(_ENOUGH, size_seen(self._people, window, self._roles))

    def _touched(self) -> bool:
        return self._people is not None and self.window is not None and _distance(self._people, self.window) <= 0

    def _cramped(self) -> bool:
        """Whether the people have no room left in the window, or are gone."""
        assert self.window is not None
        if self._people is None:
            return True
        longer = max(self._people.bottom - self._people.top, self._people.right - self._people.left)
        return _distance(self._people, self.window) < _NEAR * longer

    def _change(self, now: FloatArray, window: Window) -> float:
        """Share of the picture outside of a window that is not as it was at the last look; 1 before the first."""
        if self._reference is None:
            return 1.0
        outside = np.full(now.shape, True)
        outside[window.area.scaled(window.frame, now.shape).slices()] = False
        changed = (np.abs(now - self._reference) > _CHANGE) & outside
        return float(changed.sum() / max(1, outside.sum()))


def thumbnail(rgb: Bytes) -> FloatArray:
    """A frame (H, W, 3) as changes are seen in it: float32 (h, `_WIDTH`), grey, blurred."""
    height = max(2, round(_WIDTH * rgb.shape[0] / rgb.shape[1]))
    # Every pixel would cost eight times as much; of some, the noise is small enough.
    some = cv2.resize(rgb, (4 * _WIDTH, 4 * height), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(some, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (3, 3)), np.float32)


def people_in(mask: NDArray[np.bool_], window: Window) -> Rectangle | None:
    """Where in the frame the people are, by a mask (h, w) of a window of it; None if there are none.

    Pieces that are too small for a person do not count, and all together less than `_SOMEBODY` are nobody.
    """
    factor = max(1, round(mask.shape[1] / _GRID))
    size = max(1, mask.shape[1] // factor), max(1, mask.shape[0] // factor)
    small = cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    _, _, pieces, _ = cv2.connectedComponentsWithStats(small)
    least = _PIECE * small.size / window.share
    kept = [piece for piece in pieces[1:] if piece[cv2.CC_STAT_AREA] >= least]
    if sum(piece[cv2.CC_STAT_AREA] for piece in kept) < _SOMEBODY * small.size / window.share:
        return None
    left, top, right, bottom = (
        min(piece[cv2.CC_STAT_LEFT] for piece in kept),
        min(piece[cv2.CC_STAT_TOP] for piece in kept),
        max(piece[cv2.CC_STAT_LEFT] + piece[cv2.CC_STAT_WIDTH] for piece in kept),
        max(piece[cv2.CC_STAT_TOP] + piece[cv2.CC_STAT_HEIGHT] for piece in kept),
    )
    inside = Rectangle(int(top), int(bottom), int(left), int(right)).scaled(small.shape, window.size)
    y, x = window.area.top, window.area.left
    return Rectangle(inside.top + y, inside.bottom + y, inside.left + x, inside.right + x)


def _around_all(places: Iterable[Rectangle]) -> Rectangle:
    top, bottom, left, right = zip(*places, strict=True)
    return Rectangle(min(top), max(bottom), min(left), max(right))


def _distance(people: Rectangle, window: Window) -> int:
    """Pixels from people to the nearest border of the window that is none of the frame."""
    area, (height, width) = window.area, window.frame
    return min(
        people.top - area.top if area.top > 0 else height,
        area.bottom - people.bottom if area.bottom < height else height,
        people.left - area.left if area.left > 0 else width,
        area.right - people.right if area.right < width else width,
    )
