"""When the trimap of the last frames is still good, and what it is in this frame.

The class probabilities and the alpha of the last frame are carried along by the motion (`matting.motion`). Every frame
adds to what speaks against them, and the trimap network runs again ("refresh") when one of these is too much:

- **first frame**, **scene cut**, **light changed**: nothing that could be carried;
- **motion**: what the motion did not explain near the person, summed up since the last refresh;
- **something new**: the same outside, where nobody was;
- **camera moved**: the picture as a whole went so far that new things may have come in;
- **disagreement**: the matting network calls pixels person, or background, that the trimap takes for the opposite;
- **age**: so many frames, whatever happened.

Summing up what flow leaves unexplained tells a stale trimap from a good one better than counting frames does: carried
alone, without the matting network, on nine moving sequences, the trimap's error rose by 0.2·1e-3 with the network
running in 17 % of the frames; every fifth frame, by 0.8·1e-3; every tenth, by 2.6·1e-3. The matting network is less
forgiving than that, so the limit below is stricter.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.matting.motion import Motion, MotionEstimator, View

FloatArray = NDArray[np.float32]
Mask = NDArray[np.uint8]

MAX_AGE = 12
"""Frames after which the trimap network runs, at the latest."""
# Sum of the mean unexplained difference near the person (1/255, each pixel at most 51).
_MOTION_LIMIT = 0.8
_CLIP = 51
# Share of the picture that is near the person: usually, and the least that is reckoned with.
_USUAL, _SMALL = 0.3, 0.03
# Sum of the area, outside, that is not explained, as a share of the picture.
_NEW_LIMIT = 0.004
# In a room where something else moves all the time, the limit doubles with each refresh that found nobody there.
_PATIENCE = 4
_CAMERA_LIMIT = 0.06  # of the picture's width or height
# Mean unexplained difference of a picture that is another picture, in 1/255; one in motion has 1 or 2.
_UPHEAVAL = 10
# Of the edges before and after: so much alike, it is the same room in another light.
_SAME_ROOM = 0.5
# Share of the rim of the unknown region in which the matting network contradicts the trimap, beyond its usual share.
_CONTRADICTION = 0.08
# What is carried drifts; so much of it is taken anew from each frame's alpha.
ANCHOR = 0.25
_BLUR = (15, 15)
_NEAR = np.ones((15, 15), np.uint8)
_SHARP = 0.05
"""Unknown probability from which a pixel belongs to the unknown band."""


@dataclass(frozen=True, eq=False)
class Carried:
    """What the frame before leaves to this one.

    Attributes:
        alpha: float32 (h, w).
        probabilities: float32 (3, h, w): background, unknown, foreground.
        unexplained, doubt: uint8 (h, w), see `Motion`.
    """

    alpha: FloatArray
    probabilities: FloatArray
    unexplained: Mask
    doubt: Mask


@dataclass(frozen=True, eq=False)
class Decision:
    """``refresh``: run the trimap network. ``why``: the reason. ``carried``: None where there is nothing to carry."""

    refresh: bool
    why: str
    carried: Carried | None


class TrimapMemory:
    """The trimap and the alpha of one stream, from frame to frame. All pictures of one size, (h, w).

    For each frame: `look`, then `keep`.
    """

    def __init__(self, height: int, width: int) -> None:
        self.estimate = MotionEstimator(height, width)
        self._shape = height, width
        self._view: View | None = None
        self._planes = np.empty((height, width, 3), np.float32)  # alpha, unknown, foreground
        self._person = np.empty((height, width), np.float32)
        self._band = np.zeros((1, 256, 2), np.float32)
        self._usual_contradiction = 0.0
        self._contradiction = 0.0
        self._patience = 1
        self._start_anew()

    def _start_anew(self) -> None:
        self._age = 0
        self._motion = 0.0
        self._new = 0.0
        self._camera = np.zeros(2, np.float32)

    def look(self, rgb: NDArray[np.uint8]) -> Decision:
        """Decide for the next frame, uint8 (h, w, 3)."""
        before, self._view = self._view, View(rgb)
        if before is None:
            return Decision(True, "refresh: first frame", None)
        motion = self.estimate(before, self._view)
        if cv2.mean(motion.unexplained)[0] > _UPHEAVAL:
            self._patience = 1
            alike = _edges_alike(before, self._view)
            return Decision(True, f"refresh: {'light changed' if alike > _SAME_ROOM else 'scene cut'}", None)
        person = motion.carry(self._person)
        motion = motion.with_person(person)
        planes = motion.carry(self._planes)
        alpha, unknown, foreground = cv2.split(planes)
        self._age += 1
        self._sum_up(motion, unknown + foreground)
        why = self._reason()
        background = np.subtract(1, unknown)
        background -= foreground
        probabilities = np.stack([background, unknown, foreground])
        carried = Carried(np.asarray(alpha, np.float32), probabilities, motion.unexplained, motion.doubt())
        return Decision(why is not None, f"refresh: {why}" if why else f"reuse: age {self._age}", carried)

    def _sum_up(self, motion: Motion, not_background: FloatArray) -> None:
        near = cv2.dilate(_mask(not_background > 0.3), _NEAR)
        clipped = cv2.min(motion.unexplained, _CLIP)  # type: ignore[call-overload]
        area = near.size
        # A small person's motion must count as much as a large one's.
        share = max(_SMALL, cv2.countNonZero(near) / area)
        self._motion += cv2.mean(cv2.bitwise_and(clipped, near))[0] / min(1.0, share / _USUAL)
        outside = cv2.bitwise_and(motion.unexplained, cv2.bitwise_not(near))
        self._new += cv2.countNonZero(outside) / area
        self._camera += np.asarray(motion.camera, np.float32)

    def _reason(self) -> str | None:
        height, width = self._shape
        if self._motion > _MOTION_LIMIT:
            return "motion"
        if self._new > _NEW_LIMIT * self._patience:
            return "something new"
        if abs(self._camera[0]) > _CAMERA_LIMIT * width or abs(self._camera[1]) > _CAMERA_LIMIT * height:
            return "camera moved"
        if self._contradiction > self._usual_contradiction + _CONTRADICTION:
            return "disagreement"
        return "age" if self._age >= MAX_AGE else None

    def refreshed(self, decision: Decision, probabilities: FloatArray) -> None:
        """To be told what the trimap network said after a refresh: float32 (3, h, w)."""
        if decision.carried is not None and decision.why.endswith("something new"):
            # Nobody there: it is the room that moves. Somebody: look as closely as in the beginning.
            appeared = decision.carried.probabilities[0] - probabilities[0]
            found = np.count_nonzero(appeared > 0.5) > 0.25 * _NEW_LIMIT * appeared.size
            self._patience = 1 if found else min(2 * self._patience, _PATIENCE)
        self._start_anew()

    def keep(self, alpha: FloatArray, probabilities: FloatArray, *, refreshed: bool) -> None:
        """The results of the frame last looked at: float32 (h, w) and (3, h, w); copied."""
        blurred = cv2.blur(cv2.blur(alpha, _BLUR), _BLUR)
        level = np.asarray(cv2.convertScaleAbs(blurred, alpha=255.0), np.uint8)
        if refreshed:
            self._band = _band_of(level, probabilities)
        expected = cv2.LUT(cv2.merge([level, level]), self._band)
        known = cv2.merge([probabilities[1], probabilities[2]])
        if not refreshed:
            known = cv2.addWeighted(known, 1 - ANCHOR, expected, ANCHOR, 0)
        unknown, foreground = cv2.split(known)
        self._person = np.asarray(cv2.addWeighted(unknown, 0.5, foreground, 1, 0), np.float32)
        cv2.merge([alpha, unknown, foreground], dst=self._planes)

    def judge(self, contradiction: float, *, refreshed: bool) -> None:
        """Share of the rim in which the matting network contradicted the trimap of this frame (`contradiction`)."""
        self._contradiction = contradiction
        if refreshed:
            self._usual_contradiction = contradiction

    @property
    def view(self) -> View | None:
        """The frame last looked at."""
        return self._view


def _band_of(level: Mask, probabilities: FloatArray) -> FloatArray:
    """The band that the trimap network lays around its own mattes: unknown and foreground by blurred alpha.

    Args:
        level: uint8 (h, w), a blurred alpha.
        probabilities: float32 (3, h, w), of the same frame.

    Returns:
        float32 (1, 256, 2), a table for `cv2.LUT`.
    """
    bins = level.ravel() >> 2
    count = np.bincount(bins, minlength=64)
    seen = count > 20
    at = np.flatnonzero(seen)
    if not len(at):
        at, seen = np.arange(64), np.ones(64, np.bool_)
    columns = []
    for plane in probabilities[1:]:
        mean = np.bincount(bins, plane.ravel(), 64)[seen] / np.maximum(count[seen], 1)
        columns.append(np.interp(np.arange(256), 4 * at + 1.5, mean).astype(np.float32))
    return np.dstack(columns)


def _mask(where: NDArray[np.bool_]) -> Mask:
    """bool to 0 and 255."""
    return np.negative(where.view(np.uint8))


def unknown_band(probabilities: FloatArray) -> Mask:
    """255 where the matting network has a say: uint8 (h, w) of probabilities (3, h, w)."""
    return _mask(probabilities[1] > _SHARP)


def contradiction(probabilities: FloatArray, raw: FloatArray) -> tuple[int, int]:
    """(pixels, rim): in how many of the rim's pixels the matting network takes a side that the trimap does not expect.

    The rim is where "unknown" is possible and one of the two known classes likelier.

    Args:
        probabilities: float32 (3, h, w).
        raw: float32 (h, w), the matting network's own alpha, before fusion.
    """
    rim = (probabilities[1] > _SHARP) & (probabilities[1] < 0.5)
    person = probabilities[2] > probabilities[0]
    wrong = rim & (person != (raw > 0.5))
    return int(np.count_nonzero(wrong)), int(np.count_nonzero(rim))


def _edges_alike(before: View, now: View) -> float:
    """Correlation of the edges of two pictures, which a change of light leaves where they are."""
    edges = []
    for view in (before, now):
        grey = cv2.resize(view.grey, (160, 90), interpolation=cv2.INTER_AREA)
        x, y = (cv2.Sobel(grey, cv2.CV_32F, *order, ksize=3) for order in ((1, 0), (0, 1)))
        edges.append(cv2.magnitude(x, y))
    return float(cv2.matchTemplate(edges[0], edges[1], cv2.TM_CCOEFF_NORMED)[0, 0])
