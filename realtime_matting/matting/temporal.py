"""When the trimap of the last frames is still good, and what it is in this frame.

The class probabilities and the alpha of the last frame are carried along by the motion (`matting.motion`). Every frame
adds to what speaks against them, and the trimap network runs again ("refresh") when one of these is too much:

- **first frame**, **scene cut**, **light changed**: nothing that could be carried;
- **motion**: what the motion did not explain near the person, and how far it carried, summed up since the last refresh;
- **something new**: the same outside, where nobody was;
- **camera moved**: the picture as a whole went so far that new things may have come in;
- **disagreement**: the matting network calls pixels person, or background, that the trimap takes for the opposite;
- **age**: so many frames, whatever happened.

Summing up what flow leaves unexplained tells a stale trimap from a good one better than counting frames does: carried
alone, without the matting network, on nine moving sequences, the trimap's error rose by 0.2·1e-3 with the network
running in 17 % of the frames; every fifth frame, by 0.8·1e-3; every tenth, by 2.6·1e-3. The matting network is less
forgiving than that, so the limit below is stricter; and where walls and clothes are plain, a wrong way leaves nothing
unexplained, so the way counts by itself.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.matting.motion import Motion, MotionEstimator, View
from realtime_matting.matting.stability import corrected
from realtime_matting.matting.trimap import UNKNOWN
from realtime_matting.matting.window import Window

FloatArray = NDArray[np.float32]
Bytes = NDArray[np.uint8]

MAX_AGE = 12
"""Frames after which the trimap network runs, at the latest."""
# Sum of the mean unexplained difference near the person (1/255, each pixel at most 51), and so much for each width of
# the picture that it has gone.
_MOTION_LIMIT, _PER_WIDTH = 0.8, 60.0
_CLIP = 51
# So much in a single frame, and its neighbours cannot stand in for it.
_LOST = 2.5
# Share of the picture that is near the person: usually, and the least that is reckoned with.
_USUAL, _SMALL = 0.3, 0.03
# Sum of the area, outside, that is not explained, as a share of the picture.
_NEW_LIMIT = 0.004
# In a room where something else moves all the time, the limit doubles with each refresh that found nobody there.
_PATIENCE = 4
_CAMERA_LIMIT = 0.06  # of the picture's width or height
_SOMEBODY = 38  # of 255: where a person may be
# Mean unexplained difference of a picture that is another picture, in 1/255; one in motion has 1 or 2.
_UPHEAVAL = 10
# Of the edges before and after: so much alike, it is the same room in another light.
_SAME_ROOM = 0.5
# Share of the rim of the unknown region in which the matting network contradicts the trimap, beyond its usual share.
_CONTRADICTION = 0.08
_NEAR = np.ones((7, 7), np.uint8)  # of the small size
_SHARP = 0.05
"""Unknown probability from which a pixel belongs to the unknown band."""


@dataclass(frozen=True, eq=False)
class Carried:
    """What the frame before leaves to this one.

    Attributes:
        alpha, unknown, foreground: uint8 (h, w), alpha and two of the three probabilities.
        unexplained: uint8 (h', w'), see `Motion`, of the small size.
        doubt: uint8 (h', w'), see `Motion.doubt`, the largest since a network had its say.
        person: uint8 (h', w'), 255 in the foreground, half of it in the unknown band.
    """

    alpha: Bytes
    unknown: Bytes
    foreground: Bytes
    unexplained: Bytes
    doubt: Bytes
    person: Bytes


@dataclass(frozen=True, eq=False)
class Decision:
    """What is to be done with a frame.

    Attributes:
        refresh: whether to run the trimap network.
        why: the reason.
        carried: None where there is nothing to carry.
        lost: whether so much happened since the frame before that networks had better look at this one.
        motion: from the frame before, as it was found; None where there is nothing to carry.
    """

    refresh: bool
    why: str
    carried: Carried | None
    lost: bool = False
    motion: Motion | None = None


class TrimapMemory:
    """The trimap and the alpha of one stream, from frame to frame. All pictures of one size, (h, w).

    For each frame: `look`, then `keep`.
    """

    def __init__(self, height: int, width: int) -> None:
        self.estimate = MotionEstimator(height, width)
        self.view: View | None = None
        """The frame last looked at; None before the first."""
        # Alpha, and the probabilities of unknown, foreground and background: OpenCV moves four bytes a pixel in a third
        # of the time that it takes for three.
        self._planes = np.empty((0, 0, 4), np.uint8)
        self._person = np.empty(0, np.uint8)
        self._doubt: Bytes | None = None
        self._usual_contradiction = 0.0
        self._contradiction = 0.0
        self._patience = 1
        self._start_anew()

    def _start_anew(self) -> None:
        self._age = 0
        self._motion = 0.0
        self._new = 0.0
        self._camera = np.zeros(2, np.float32)

    def moved(self, before: Window, now: Window, picture: Bytes, size: tuple[int, int]) -> "TrimapMemory":
        """The same memory for another window of the frames.

        Args:
            before: the window that it is of.
            now: the window that it shall be of.
            picture: uint8 (H, W, 3), what is in that window in the frame last looked at, at any size.
            size: (height, width) of what is carried there.
        """
        other = TrimapMemory(*size)
        other.view = other.estimate.view(picture)
        place = before.place_of(now, self._planes.shape[:2], size)
        # Beyond the window before, nobody is known of.
        planes = cv2.warpAffine(
            self._planes, place, size[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=(0, 0, 0, 255)
        )
        other._planes = np.asarray(planes, np.uint8)
        _, unknown, foreground, _ = (np.asarray(plane, np.uint8) for plane in cv2.split(other._planes))
        other._person = other.estimate.grid.shrink(person_of(unknown, foreground))
        other._usual_contradiction, other._contradiction = self._usual_contradiction, self._contradiction
        other._age, other._motion, other._new, other._camera = self._age, self._motion, self._new, self._camera
        return other

    def look(self, view: View, motion: Motion | None) -> Decision:
        """Decide for the next frame; ``motion``: from the frame before, None for the first."""
        before, self.view = self.view, view
        if before is None or motion is None:
            return Decision(True, "refresh: first frame", None)
        found = motion
        if cv2.mean(motion.unexplained)[0] > _UPHEAVAL:
            self._patience = 1
            alike = _edges_alike(before, view)
            return Decision(True, f"refresh: {'light changed' if alike > _SAME_ROOM else 'scene cut'}", None)
        person = motion.carry(self._person)
        motion = motion.with_person(person)
        doubt = motion.doubt()
        if self._doubt is not None:
            doubt = np.asarray(cv2.max(doubt, motion.carry(self._doubt)), np.uint8)
        self._age += 1
        lost = self._sum_up(motion, person) > _LOST
        why = self._reason()
        moved, unknown, foreground, _ = (np.asarray(plane, np.uint8) for plane in cv2.split(motion.carry(self._planes)))
        alpha = corrected(moved, motion.carry(before.fine), view.fine)
        carried = Carried(alpha, unknown, foreground, motion.unexplained, doubt, person)
        return Decision(why is not None, f"refresh: {why}" if why else f"reuse: age {self._age}", carried, lost, found)

    def _sum_up(self, motion: Motion, person: Bytes) -> float:
        near = cv2.dilate(cv2.compare(person, _SOMEBODY, cv2.CMP_GT), _NEAR)  # type: ignore[call-overload]  # a number
        clipped = cv2.min(motion.unexplained, _CLIP)  # type: ignore[call-overload]
        area = near.size
        # A small person's motion must count as much as a large one's.
        share = max(_SMALL, cv2.countNonZero(near) / area)
        unexplained = cv2.mean(cv2.bitwise_and(clipped, near))[0] / min(1.0, share / _USUAL)
        self._motion += unexplained + _PER_WIDTH * motion.travel(np.asarray(near, np.uint8))
        outside = cv2.bitwise_and(motion.unexplained, cv2.bitwise_not(near))
        self._new += cv2.countNonZero(outside) / area
        self._camera += np.asarray(motion.camera, np.float32)
        return unexplained

    def _reason(self) -> str | None:
        if self._motion > _MOTION_LIMIT:
            return "motion"
        if self._new > _NEW_LIMIT * self._patience:
            return "something new"
        if np.abs(self._camera).max() > _CAMERA_LIMIT:
            return "camera moved"
        if self._contradiction > self._usual_contradiction + _CONTRADICTION:
            return "disagreement"
        return "age" if self._age >= MAX_AGE else None

    def refreshed(self, decision: Decision, unknown: Bytes, foreground: Bytes) -> None:
        """To be told what the trimap network said after a refresh: uint8 (h, w) each."""
        if decision.carried is not None and decision.why.endswith("something new"):
            # Nobody there: it is the room that moves. Somebody: look as closely as in the beginning.
            grid = self.estimate.grid
            appeared = cv2.subtract(grid.shrink(person_of(unknown, foreground)), decision.carried.person)
            found = cv2.countNonZero(cv2.compare(appeared, 100, cv2.CMP_GT)) > 0.25 * _NEW_LIMIT * appeared.size  # type: ignore[call-overload]
            self._patience = 1 if found else min(2 * self._patience, _PATIENCE)
        self._start_anew()

    def keep(self, alpha: Bytes, unknown: Bytes, foreground: Bytes) -> None:
        """The results of the frame last looked at, in which networks had a say: uint8 (h, w) each; copied."""
        self._merge(alpha, unknown, foreground)
        self._person = self.estimate.grid.shrink(person_of(unknown, foreground))
        self._doubt = None

    def keep_carried(self, carried: Carried) -> None:
        """The same for a frame in which no network had a say."""
        self._merge(carried.alpha, carried.unknown, carried.foreground)
        self._person, self._doubt = carried.person, carried.doubt

    def _merge(self, alpha: Bytes, unknown: Bytes, foreground: Bytes) -> None:
        background = cv2.bitwise_not(cv2.add(unknown, foreground))
        self._planes = np.asarray(cv2.merge([alpha, unknown, foreground, background]), np.uint8)

    def judge(self, contradiction: float, *, refreshed: bool) -> None:
        """Share of the rim in which the matting network contradicted the trimap of this frame (`contradiction`)."""
        self._contradiction = contradiction
        if refreshed:
            self._usual_contradiction = contradiction


def person_of(unknown: Bytes, foreground: Bytes) -> Bytes:
    """Where the person is, about: all of the foreground, half of the unknown band."""
    return np.asarray(cv2.addWeighted(unknown, 0.5, foreground, 1, 0), np.uint8)


def band_share(unknown: Bytes) -> float:
    """Share of the pixels in which the matting network has a say, by their unknown probability, uint8 (h, w)."""
    return cv2.countNonZero(cv2.compare(unknown, _SHARP * 255, cv2.CMP_GT)) / unknown.size  # type: ignore[call-overload]


def trimap_of(unknown: Bytes, foreground: Bytes) -> Bytes:
    """The likeliest class of each pixel, 0, 128 or 255: uint8 (h, w), as the probabilities are."""
    background = cv2.bitwise_not(cv2.add(unknown, foreground))
    known = cv2.max(background, foreground)
    trimap = cv2.compare(foreground, background, cv2.CMP_GT)
    trimap[unknown > known] = UNKNOWN
    return np.asarray(trimap, np.uint8)


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
