"""What kind of picture it is, by rules on its truth, its pixels, and what is written of the person in it.

Each rule is one line in `RULES`, which reports print, so that nobody has to guess what "hair" means there. What is
written of a person is their line in ``meta.jsonl`` beside the picture, or, for a sequence, in ``clips.jsonl`` beside
the sequence's folder: the keys ``hair``, ``arms`` and ``props`` of rendered people. People without a line are judged
by the words of the file's name, and by their truth.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import InputError
from train.evaluation.framing import Alpha, Picture, Sample

# Pictures are judged at so many lines: noise is averaged away, and one threshold fits all sizes.
LINES = 360
SHORT_HAIR = ("bald", "crop", "short")
RESTING = ("down", "desk", "typing", "hip", "cross")
HAND_WORDS = frozenset(("hand", "hands", "pointing", "thumb", "thumbs", "counting", "fingers", "waving", "phone"))
HELD_WORDS = frozenset(("phone", "mug", "cup", "book", "paper", "holding", "held"))
DEEP, STRANDS = 3, 0.3
CUT = 0.05
SECOND = 0.2
DARK, DARK_SHARE = 60, 0.1
STEP, CLUTTERED = 6, 0.25

RULES: dict[str, str] = {
    "hair": f"the person's record has a hair style other than {', '.join(SHORT_HAIR)}; without a record, there are "
    f"{STRANDS:g} or more soft pixels (alpha from 0.02 to 0.98) for each of the outline that lie further than {DEEP} "
    f"pixels from all others, at {LINES} lines",
    "hands": f"an arm's pose in the record is none of {', '.join(RESTING)}; without a record, the file's name has one "
    f"of the words {', '.join(sorted(HAND_WORDS))}",
    "held things": "the record has a prop in the left or right hand (NAME:l, NAME:r); without a record, the file's "
    f"name has one of the words {', '.join(sorted(HELD_WORDS))}",
    "cut by the frame": f"alpha is above 0.5 on {CUT:.0%} or more of the left, the top or the right side",
    "several people": "two or more separate parts with alpha above 0.5, each at least "
    f"{SECOND:.0%} as large as the largest; people who touch each other count as one",
    "dark on dark": f"person and background are both darker than {DARK} of 255 around {DARK_SHARE:.0%} or more of the "
    "outline",
    "cluttered room": f"the brightness of {CLUTTERED:.0%} or more of the background changes by {STEP} of 255 or more "
    f"from one pixel to the next, at {LINES} lines",
    "nobody": "alpha is 0 everywhere",
}
"""Each kind with the rule that makes a picture one of it; a picture may be of several, or of none."""

Record = Mapping[str, Any]


def find_record(person: Path | None) -> Record | None:
    """What is written of the person in the picture ``person``; see the module. None where nothing is.

    Raises:
        InputError: a listing is not one JSON object with a name a line.
    """
    if person is None:
        return None
    own = _records(person.parent / "meta.jsonl").get(person.stem)
    return own or _records(person.parent.parent / "clips.jsonl").get(person.parent.name)


@lru_cache(maxsize=8)
def _records(listing: Path) -> dict[str, Record]:
    if not listing.is_file():
        return {}
    try:
        lines = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {str(line["name"]): line for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{listing}: not one JSON object with a name a line; get it again") from error


def kinds_of(sample: Sample, person: Path | None) -> tuple[str, ...]:
    """The kinds of one picture, in the order of `RULES`.

    Args:
        person: file of the person in it, or the first of a sequence; None where there is none.

    Raises:
        InputError: see `find_record`.
    """
    if sample.truth.max() == 0:
        return ("nobody",)
    record = find_record(person)
    words = set(re.split(r"[^a-z]+", person.stem.lower())) if person is not None else set()
    image, truth = _judged(sample.image), _judged(sample.truth)
    if record is None:
        hair = deep_softness(truth) >= STRANDS
        hands, held = bool(words & HAND_WORDS), bool(words & HELD_WORDS)
    else:
        style = str(record.get("hair", "")).removeprefix("cards:").rstrip("0123456789")
        hair = style not in ("", *SHORT_HAIR)
        hands = any(pose not in RESTING for pose in dict(record.get("arms", {})).values())
        held = any(re.search(r":[lr]$", str(prop)) for prop in record.get("props", ()))
    holds = {
        "hair": hair,
        "hands": hands,
        "held things": held,
        "cut by the frame": cut_share(truth) >= CUT,
        "several people": second_size(truth) >= SECOND,
        "dark on dark": dark_share(image, truth) >= DARK_SHARE,
        "cluttered room": clutter(image, truth) >= CLUTTERED,
    }
    return tuple(kind for kind, true in holds.items() if true)


def deep_softness(truth: Alpha) -> float:
    """How many soft pixels, for each of the outline, are further than `DEEP` pixels from the nearest that is not soft.

    Blur makes all of an edge soft but nowhere so wide; strands of hair do.
    """
    soft = ((truth >= 0.02) & (truth <= 0.98)).astype(np.uint8)
    deep = int(np.count_nonzero(cv2.distanceTransform(soft, cv2.DIST_L2, 5) > DEEP))
    return deep / max(1, int(np.count_nonzero(_outline(truth))))


def cut_share(truth: Alpha) -> float:
    """The largest share of the left, the top or the right side at which alpha is above 0.5."""
    return max(float(np.mean(side > 0.5)) for side in (truth[:, 0], truth[0], truth[:, -1]))


def second_size(truth: Alpha) -> float:
    """Size of the second largest part with alpha above 0.5 relative to the largest; 0 where there is one part."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((truth > 0.5).astype(np.uint8), connectivity=8)
    sizes = sorted(stats[1:, cv2.CC_STAT_AREA])
    return float(sizes[-2] / sizes[-1]) if len(sizes) > 1 else 0.0


def dark_share(image: Picture, truth: Alpha) -> float:
    """Share of the outline around which (9 × 9 pixels) person and background are both darker than `DARK`."""
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    outline = _outline(truth)
    dark = outline.copy()
    for side in (truth > 0.95, truth < 0.05):
        weight = side.astype(np.float32)
        amount = cv2.blur(weight, (9, 9))
        mean = cv2.blur(weight * luminance, (9, 9)) / np.maximum(amount, 1e-6)
        # Where one side is not there at all, as in loose hair, the outline says nothing.
        seen = amount > 0.05
        outline &= seen
        dark &= seen & (mean < DARK)
    return int(np.count_nonzero(dark & outline)) / max(1, int(np.count_nonzero(outline)))


def clutter(image: Picture, truth: Alpha) -> float:
    """Share of the background, a few pixels away from the person, with a change of brightness of `STEP` a pixel."""
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across, down = (cv2.Sobel(luminance, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    away = cv2.dilate((truth > 0.02).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    return float(np.mean(np.hypot(across, down)[away] >= STEP)) if away.any() else 0.0


def _outline(truth: Alpha) -> NDArray[np.bool_]:
    """The pixels above 0.5 with a neighbour that is not."""
    person = (truth > 0.5).astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    # Outside of the picture counts as person: the picture's edge is no outline.
    return np.asarray(person > cv2.erode(person, cross, borderType=cv2.BORDER_CONSTANT, borderValue=1))


def _judged(picture: Any) -> Any:
    """The picture at `LINES` lines, or as it is if it has no more."""
    if picture.shape[0] <= LINES:
        return picture
    size = round(picture.shape[1] * LINES / picture.shape[0]), LINES
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
