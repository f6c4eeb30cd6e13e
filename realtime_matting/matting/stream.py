"""One frame after the other through the networks: what is carried, what is computed anew, and where."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.matting.fusion import fuse, possible
from realtime_matting.matting.motion import View
from realtime_matting.matting.networks import Networks, at_size, resize
from realtime_matting.matting.patches import Mosaic, Tile, Tiling
from realtime_matting.matting.stability import between, follow, lean
from realtime_matting.matting.temporal import Carried, TrimapMemory, contradiction, unknown_band

FloatArray = NDArray[np.float32]
Rgb = NDArray[np.uint8]

# What there is to gain from the matting network, in pixels of the unknown band: each pixel of it so much a frame, more
# by each 1/255 that the motion leaves unexplained, and so much where a new trimap says the opposite.
_PER_FRAME, _PER_DIFFERENCE, _PER_CLASS = 0.1, 0.03, 2.0
# A tile is worth its while from so many on.
_WORTH = 250.0
# Tiles that together cost nearly as much as the whole picture are of no use.
_MOST = 0.9


@dataclass(eq=False)
class Draft:
    """A frame on its way: what is known of it at the networks' size, (h, w).

    Attributes:
        alpha: float32 (h, w) in [0, 1].
        probabilities: float32 (3, h', w'), class probabilities.
        why, band, matted, milliseconds: see `Matte`.
        view: the frame as motion is estimated from; None where nothing is carried.
        carried: what the frame before left.
    """

    alpha: FloatArray = field(default_factory=lambda: np.empty(0, np.float32))
    probabilities: FloatArray = field(default_factory=lambda: np.empty(0, np.float32))
    why: str = "refresh: every frame"
    band: float = 0.0
    matted: float = 0.0
    view: View | None = None
    carried: Carried | None = None
    milliseconds: dict[str, float] = field(default_factory=dict)


Stage = Callable[[str, Draft], AbstractContextManager[None]]
"""Times a stage of a draft: ``with stage("matting", draft): …``."""


def draft_of_still(networks: Networks, rgb: Rgb, stage: Stage) -> Draft:
    """All networks once, over the whole frame."""
    draft = Draft()
    with stage("trimap", draft):
        small = networks.shrink(rgb)
        probabilities, alpha = networks.trimap(small)
        size = networks.work_size(rgb.shape[1], rgb.shape[0])
        draft.probabilities = at_size(probabilities, size)
    if alpha is not None and "matting" not in networks.roles:
        draft.alpha = alpha.copy()
        return draft
    with stage("matting", draft):
        draft.alpha = fuse(draft.probabilities, networks.matting(small, draft.probabilities))
    draft.band = _share(unknown_band(draft.probabilities))
    draft.matted = 1.0
    return draft


class Stream:
    """The state of one stream of frames of ``frame_shape`` (H, W, 3)."""

    def __init__(self, networks: Networks, frame_shape: tuple[int, ...]) -> None:
        self.frame_shape = frame_shape
        self._networks = networks
        self._size = networks.work_size(frame_shape[1], frame_shape[0])
        width, height = self._size
        self._memory = TrimapMemory(height, width)
        self._tiling: Tiling | None = None
        if networks.takes_tiles:
            spec = networks.roles["matting"]
            padded = spec.working_size(frame_shape[1], frame_shape[0])
            self._tiling = Tiling(padded[1], padded[0], spec.stride)
            self._mosaic = Mosaic(self._tiling)
            self._gain = np.zeros(self._tiling.cells, np.float32)

    def forget(self) -> None:
        """The next frame is the first."""
        self._memory = TrimapMemory(self._size[1], self._size[0])

    def draft(self, rgb: Rgb, stage: Stage) -> Draft:
        """The next frame's alpha at the networks' size; EngineError where a network fails."""
        draft = Draft()
        has_matting = "matting" in self._networks.roles
        with stage("motion", draft):
            small = self._networks.shrink(rgb)
            picture = resize(small, self._size)
            decision = self._memory.look(picture)
            draft.carried, draft.view, draft.why = decision.carried, self._memory.view, decision.why
        if not has_matting and not decision.refresh:
            draft.why = "refresh: one network does it all"
        carried = decision.carried
        alpha: FloatArray | None = None
        if decision.refresh or not has_matting or carried is None:
            with stage("trimap", draft):
                probabilities, alpha = self._networks.trimap(small)
                draft.probabilities = at_size(probabilities, self._size)
                self._memory.refreshed(decision, draft.probabilities)
                if carried is not None:
                    lean(draft.probabilities, carried.probabilities, carried.doubt)
        else:
            draft.probabilities = carried.probabilities
        if has_matting:
            with stage("matting", draft):
                draft.alpha = self._matted(picture, draft, decision.refresh)
            draft.band = _share(unknown_band(draft.probabilities))
        else:
            assert alpha is not None  # a bundle without matting has an alpha network
            draft.alpha = alpha.copy()
        with stage("stability", draft):
            if carried is not None:
                draft.alpha = follow(draft.alpha, carried.alpha, carried.doubt)
            self._memory.keep(draft.alpha, draft.probabilities, refreshed=decision.refresh or not has_matting)
        return draft

    def look_back(self, draft: Draft, after: Draft) -> None:
        """Steady a draft by the one before it and the one after it, which follow each other in the stream."""
        if draft.carried is None or draft.view is None or after.view is None or after.carried is None:
            return
        back = self._memory.estimate(after.view, draft.view).with_person(draft.alpha)
        doubt = cv2.max(draft.carried.doubt, back.doubt())
        draft.alpha = between(draft.carried.alpha, draft.alpha, back.carry(after.alpha), np.asarray(doubt, np.uint8))

    def _matted(self, picture: Rgb, draft: Draft, refreshed: bool) -> FloatArray:
        """Fused alpha (h, w): the matting network's where that gains enough, what was carried elsewhere."""
        carried = draft.carried
        tiling = self._tiling
        if tiling is not None and carried is not None:
            self._gain += self._gained(tiling, draft.probabilities, carried, refreshed)
            most = int(_MOST / tiling.share(1))
            tiles, left = tiling.choose(self._gain, _WORTH, most + 1)
            if len(tiles) <= most:
                self._gain = left
                return self._tiled(picture, draft, tiles, refreshed, tiling)
        if tiling is not None:
            self._gain[:] = 0
        raw = self._networks.matting(picture, draft.probabilities)
        draft.matted = 1.0
        wrong, rim = contradiction(draft.probabilities, raw)
        self._memory.judge(wrong / max(rim, 1), refreshed=refreshed)
        return fuse(draft.probabilities, raw)

    def _tiled(self, picture: Rgb, draft: Draft, tiles: list[Tile], refreshed: bool, tiling: Tiling) -> FloatArray:
        assert draft.carried is not None
        probabilities = draft.probabilities
        self._mosaic.clear()
        wrong, rim = 0, 0
        answers = self._networks.matting_tiles(picture, probabilities, [tile.outer for tile in tiles])
        for tile, raw in zip(tiles, answers, strict=True):
            here = tile.outer.slices()
            part = probabilities[(slice(None), *here)]
            raw = raw[: part.shape[1], : part.shape[2]]
            counted = contradiction(part, raw)
            wrong, rim = wrong + counted[0], rim + counted[1]
            self._mosaic.add(tile, fuse(part, raw))
        if rim:
            self._memory.judge(wrong / rim, refreshed=refreshed)
        draft.matted = tiling.share(len(tiles))
        below = draft.carried.alpha
        if refreshed:
            # What the new trimap knows for sure is so, whether the matting network looks there or not.
            below = np.clip(below, *possible(probabilities))
        return self._mosaic.over(below)

    def _gained(self, tiling: Tiling, probabilities: FloatArray, carried: Carried, refreshed: bool) -> FloatArray:
        """What this frame adds to the gain, by cell."""
        gain = carried.unexplained * np.float32(_PER_DIFFERENCE)
        gain += np.float32(_PER_FRAME)
        gain *= probabilities[1]
        if refreshed:
            before = carried.probabilities
            changed = cv2.absdiff(probabilities[2] - probabilities[0], before[2] - before[0])
            gain += changed * np.float32(0.5 * _PER_CLASS)
        height, width = gain.shape
        below, right = tiling.height - height, tiling.width - width
        padded = cv2.copyMakeBorder(gain, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0)
        rows, columns = tiling.cells
        mean = cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(mean * np.float32(tiling.stride**2), np.float32)


def _share(mask: NDArray[np.uint8]) -> float:
    return cv2.countNonZero(mask) / mask.size
