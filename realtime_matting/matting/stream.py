"""One frame after the other through the networks: what is carried, what is computed anew, and where.

Seen live, each frame is carried from the one before, and networks run where and when that is not enough. Where one more
frame may be waited for, only every second one goes through networks at all: the one between is made of its two
neighbours, moved to it from both sides (`stability.between`), unless too much happens in it. What is moved is made to
fit the picture that it comes to (`stability.corrected`).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.matting.fusion import fuse
from realtime_matting.matting.held import HeldTrimap
from realtime_matting.matting.motion import Motion, View
from realtime_matting.matting.networks import Networks, at_size, resize
from realtime_matting.matting.patches import Tile, Tiling
from realtime_matting.matting.stability import between, corrected, follow, share_of_before
from realtime_matting.matting.temporal import (
    Carried,
    Decision,
    TrimapMemory,
    band_share,
    contradiction,
    person_of,
    trimap_of,
)
from realtime_matting.matting.trimap import trimap_picture
from realtime_matting.matting.watching import Seen
from realtime_matting.matting.window import Window
from realtime_matting.native import shares

FloatArray = NDArray[np.float32]
Bytes = NDArray[np.uint8]

# What there is to gain from the matting network, in pixels of the unknown band: each pixel of it so much a frame, more
# by each 1/255 that the motion leaves unexplained, and so much where a new trimap says the opposite.
_PER_FRAME, _PER_DIFFERENCE, _PER_CLASS = 0.1, 0.03, 2.0
# A tile is worth its while from so many on.
_WORTH = 400.0
# Tiles of so much of the picture cost as much as the whole of it.
_MOST = 0.75


@dataclass(eq=False)
class Draft:
    """A frame on its way: what is known of it at the networks' size, (h, w).

    Attributes:
        alpha: float32 (h, w) in [0, 1].
        classes: makes the trimap, uint8 (h, w): the likeliest class, 0 background, 128 unknown, 255 foreground.
        small: uint8, the frame halved as often as the networks allow; see `Networks.shrink`.
        picture: uint8 (h, w, 3), the frame as the matting network was given it; None where none was.
        why, band, matted, milliseconds: see `Matte`.
        view: the frame as motion is estimated from; None where nothing is carried.
        motion: from the frame before, as it was found.
        carried: what the frame before left.
        window: the part of the frame that all this is of; None until it is known.
        is_between: whether no network has seen the frame, as its neighbours will do.
        settle: makes ``alpha`` final, in whichever thread has the time; None where it is.
    """

    alpha: FloatArray = field(default_factory=lambda: np.empty(0, np.float32))
    classes: Callable[[], Bytes] = lambda: np.empty((0, 0), np.uint8)
    small: Bytes = field(default_factory=lambda: np.empty(0, np.uint8))
    picture: Bytes | None = None
    why: str = "refresh: every frame"
    band: float = 0.0
    matted: float = 0.0
    view: View | None = None
    motion: Motion | None = None
    carried: Carried | None = None
    window: Window | None = None
    is_between: bool = False
    settle: Callable[[], None] | None = None
    milliseconds: dict[str, float] = field(default_factory=dict)


Stage = Callable[[str, Draft], AbstractContextManager[None]]
"""Times a stage of a draft: ``with stage("matting", draft): …``."""


def draft_of_still(
    networks: Networks,
    rgb: Bytes,
    stage: Stage,
    held: HeldTrimap | None = None,
    trimap: FloatArray | None = None,
) -> Draft:
    """All networks once; with ``held``, of a stream: a trimap may serve again, and a part of the frame be enough.

    ``trimap``: what the trimap network said of the frame, where it was asked before.
    """
    draft = Draft()
    with stage("trimap", draft):
        small = draft.small = networks.shrink(rgb)
        width, height = networks.work_size(rgb.shape[1], rgb.shape[0])
        alpha = None
        before = held.for_frame(small) if held is not None and "matting" in networks.roles else None
        if before is not None:
            probabilities, draft.why = before, "reuse: moved along"
        else:
            probabilities, alpha = (trimap, None) if trimap is not None else networks.trimap(small)
            if held is not None:
                held.keep(probabilities)
        probabilities = at_size(probabilities, (width, height))
        draft.classes = partial(trimap_picture, probabilities, width, height)
    if alpha is not None and "matting" not in networks.roles:
        draft.alpha = alpha.copy()
        return draft
    with stage("matting", draft):
        draft.picture = resize(small, (width, height))
        raw, draft.matted = networks.matting(draft.picture, probabilities, streamed=held is not None)
        draft.alpha = fuse(probabilities, raw)
    draft.band = band_share(_as_bytes(probabilities[1]))
    return draft


class Stream:
    """The state of one stream of frames of ``frame_shape`` (H, W, 3)."""

    def __init__(self, networks: Networks, frame_shape: tuple[int, ...]) -> None:
        self.frame_shape = frame_shape
        self._networks = networks
        self._size = networks.work_size(frame_shape[1], frame_shape[0])
        width, height = self._size
        self._memory = TrimapMemory(height, width)
        self._was_between = False
        self._tiling: Tiling | None = None
        if networks.takes_tiles:
            spec = networks.roles["matting"]
            padded = spec.working_size(frame_shape[1], frame_shape[0])
            self._tiling = Tiling(padded[1], padded[0], spec.stride)
            self._gain = np.zeros(self._tiling.cells, np.float32)

    def moved(
        self, networks: Networks, frame_shape: tuple[int, ...], before: Window, now: Window, picture: Bytes
    ) -> "Stream":
        """The same stream, of another window of the frames.

        Args:
            networks: of that window's shape.
            frame_shape: shape of its pictures.
            before, now, picture: see `TrimapMemory.moved`.
        """
        other = Stream(networks, frame_shape)
        other._memory = self._memory.moved(before, now, picture, other._size[::-1])
        other._was_between = self._was_between
        return other

    def draft(
        self,
        rgb: Bytes,
        stage: Stage,
        *,
        ahead: bool,
        seen: Seen | None = None,
        trimap: FloatArray | None = None,
    ) -> Draft:
        """The next frame's alpha at the networks' size.

        Args:
            rgb: uint8 (H, W, 3).
            seen: what was seen of it, where that was done before.
            trimap: what the trimap network said of it, where it was asked before, float32 (3, h, w).
            ahead: whether the draft will be looked back at (`look_back`), so that it may be left to its neighbours.

        Raises:
            EngineError: a network failed.
        """
        draft = Draft()
        if seen is not None:
            draft.milliseconds["motion"] = seen.milliseconds
        with stage("motion", draft):
            small = draft.small = self._networks.shrink(rgb) if seen is None else seen.small
            view = self._memory.estimate.view(small) if seen is None else seen.view
            motion = None if seen is None else seen.motion
            if motion is None and self._memory.view is not None:
                motion = self._memory.estimate(self._memory.view, view)
            decision = self._memory.look(view, motion)
            carried = draft.carried = decision.carried
            draft.view, draft.motion, draft.why = view, decision.motion, decision.why
        may_wait = ahead and not self._was_between and not decision.lost
        draft.is_between = self._was_between = may_wait and carried is not None
        if may_wait and carried is not None:
            with stage("stability", draft):
                level, unknown, foreground = carried.alpha, carried.unknown, carried.foreground
                if self._tiling is not None:
                    self._gain += self._gained(self._tiling, unknown, carried)
                self._memory.keep_carried(carried)
                draft.why = "reuse: between two frames"
        else:
            level, unknown, foreground = self._computed(small, draft, decision, stage, trimap)
        draft.alpha = _as_float(level)
        draft.classes = partial(trimap_of, unknown, foreground)
        draft.band = band_share(unknown)
        return draft

    def _computed(
        self, small: Bytes, draft: Draft, decision: Decision, stage: Stage, trimap: FloatArray | None
    ) -> tuple[Bytes, Bytes, Bytes]:
        """Alpha, unknown and foreground, uint8 (h, w) each, of a frame that the networks look at."""
        carried = decision.carried
        has_matting = "matting" in self._networks.roles
        refresh = decision.refresh or not has_matting
        if refresh and not decision.refresh:
            draft.why = "refresh: one network does it all"
        if refresh or carried is None:
            with stage("trimap", draft):
                probabilities, alpha = (trimap, None) if trimap is not None else self._networks.trimap(small)
                unknown, foreground = (_resized(_as_bytes(plane), self._size) for plane in probabilities[1:])
                self._memory.refreshed(decision, unknown, foreground)
        else:
            alpha, unknown, foreground = None, carried.unknown, carried.foreground
        if has_matting:
            with stage("matting", draft):
                draft.picture = resize(small, self._size)
                level = self._matted(draft.picture, draft, unknown, foreground, refreshed=refresh)
        else:
            assert alpha is not None  # a bundle without matting has an alpha network
            level = _as_bytes(alpha)
        with stage("stability", draft):
            if carried is not None:
                level = follow(level, carried.alpha, self._memory.estimate.grid.enlarge(carried.doubt))
            self._memory.keep(level, unknown, foreground)
        return level, unknown, foreground

    def look_back(self, draft: Draft, after: Draft) -> None:
        """Finish a draft that was left to its neighbours, now that the one after it is there."""
        carried = draft.carried
        if not draft.is_between or carried is None or draft.view is None or after.view is None or after.motion is None:
            return
        back = self._memory.estimate.reversed(after.motion, draft.view, after.view).with_person(carried.person)
        behind = corrected(back.carry(_as_bytes(after.alpha)), back.carry(after.view.fine), draft.view.fine)
        share = share_of_before(carried.unexplained, back.unexplained)
        draft.alpha = _as_float(between(carried.alpha, behind, share))

    def _matted(self, picture: Bytes, draft: Draft, unknown: Bytes, foreground: Bytes, *, refreshed: bool) -> Bytes:
        """Fused alpha (h, w): the matting network's where that gains enough, what was carried elsewhere."""
        carried = draft.carried
        tiling = self._tiling
        tiles: list[Tile] | None = None
        if tiling is not None and carried is not None:
            self._gain += self._gained(tiling, unknown, carried, foreground if refreshed else None)
            most = int(_MOST / tiling.share(1))
            tiles, left = tiling.choose(self._gain, _WORTH, most + 1)
            self._gain = left
            if not tiles:
                return self._below(carried, unknown, foreground, refreshed=refreshed)
            if len(tiles) > most:
                tiles = None
                self._gain[:] = 0
        probabilities = shares(unknown, foreground)
        if tiles is None or tiling is None or carried is None:
            raw, draft.matted = self._networks.matting(picture, probabilities, streamed=True)
            wrong, rim = contradiction(probabilities, raw)
            self._memory.judge(wrong / max(rim, 1), refreshed=refreshed)
            return _as_bytes(fuse(probabilities, raw))
        wrong, rim = 0, 0
        level = self._below(carried, unknown, foreground, refreshed=refreshed)
        answers = self._networks.matting_tiles(picture, probabilities, [tile.outer for tile in tiles])
        for tile, raw in zip(tiles, answers, strict=True):
            part = probabilities[(slice(None), *tile.outer.slices())]
            raw = raw[: part.shape[1], : part.shape[2]]
            counted = contradiction(part, raw)
            wrong, rim = wrong + counted[0], rim + counted[1]
            tiling.place(tile, fuse(part, raw), level)
        if rim:
            self._memory.judge(wrong / rim, refreshed=refreshed)
        draft.matted = tiling.share(len(tiles))
        return level

    def _below(self, carried: Carried, unknown: Bytes, foreground: Bytes, *, refreshed: bool) -> Bytes:
        """The carried alpha, a new array, as far as a new trimap allows it."""
        if not refreshed:
            return carried.alpha.copy()
        # What the new trimap knows for sure is so, whether the matting network looks there or not.
        least, greatest = (cv2.LUT(plane, _STRETCHED) for plane in (foreground, cv2.add(unknown, foreground)))
        return np.asarray(cv2.min(cv2.max(carried.alpha, least), greatest), np.uint8)

    def _gained(self, tiling: Tiling, unknown: Bytes, carried: Carried, refreshed: Bytes | None = None) -> FloatArray:
        """What this frame adds to the gain, by cell; ``refreshed`` is the foreground of a new trimap."""
        grid = self._memory.estimate.grid
        gain = cv2.multiply(cv2.LUT(carried.unexplained, _GAINS), grid.shrink(unknown), dtype=cv2.CV_32F)
        if refreshed is not None:
            # Half of the band counts as person, so that a class that changes altogether makes 1.
            change = cv2.absdiff(carried.person, grid.shrink(person_of(unknown, refreshed)))
            gain = cv2.scaleAdd(np.asarray(change, np.float32), _PER_CLASS / 255, gain)
        ratio = grid.full_size[0] / grid.size[0]
        below, right = (
            max(0, round((padded - full) / ratio))
            for padded, full in zip((tiling.height, tiling.width), grid.full_size[::-1], strict=True)
        )
        padded = cv2.copyMakeBorder(gain, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0)
        rows, columns = tiling.cells
        mean = cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(mean * np.float32(tiling.stride**2), np.float32)


_GAINS = ((_PER_FRAME + _PER_DIFFERENCE * np.arange(256, dtype=np.float32)) / np.float32(255)).reshape(1, 256)
_UNITS = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, 256)
# What a probability alone makes of alpha: `fuse` with an answer of 0 or 1.
_STRETCHED = np.rint(255 * fuse(np.stack([0 * _UNITS, 0 * _UNITS, _UNITS]), _UNITS)).astype(np.uint8)


def _as_bytes(plane: FloatArray) -> Bytes:
    return np.asarray(cv2.convertScaleAbs(plane, alpha=255.0), np.uint8)


def _as_float(plane: Bytes) -> FloatArray:
    return np.asarray(cv2.LUT(plane, _UNITS), np.float32)


def _resized(plane: Bytes, size: tuple[int, int]) -> Bytes:
    if size == (plane.shape[1], plane.shape[0]):
        return plane
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.uint8)
