"""Where the error is made: each picture's error split by the stage that is to blame.

With A what comes out, G the truth, and U = enlarge(reduce(G)) the truth sent through the network's size and back, each
pixel's error |A − G| is split in two: |U − G|, what even a perfect network could not avoid, is the upsampling's; the
rest, |A − G| − |U − G|, is the networks'. (A pixel's rest is below zero where errors happen to cancel; the means are
what counts.) The networks' rest goes to exactly one of three regions, by what the predicted trimap says of the pixel
and by whether it is soft in truth, alpha from 0.02 to 0.98:

    known_wrong   called background or foreground, and not soft
    soft_lost     called background or foreground, though soft
    band          called unknown

So that, as means over the picture in units of MAD (mean|d|·1e3),

    mad = known_wrong + soft_lost + band + upsampling                                                (by region)

Then each stage is made perfect in turn. With the perfect trimap, made of G at the T-Net's resolution as in training and
hard, A* comes out; with a perfect M-Net, whose alpha is the reduced G, fused with the predicted trimap, A° does.

    m_net = mean(|A* − G| − |U − G|)        remains with a perfect trimap: the M-Net's alone
    t_net = mean(|A° − G| − |U − G|)        remains with a perfect M-Net: the T-Net's alone
    joint = the rest                        goes away with either: the M-Net misled by an imperfect trimap

So that by stage, too,

    mad = t_net + joint + m_net + upsampling                                                         (by stage)

Joint is below zero where a mistake of both counts for each of them. `band_away` is the part of `band` outside of the
perfect trimap's unknown region, where the T-Net hesitates over what is sure, `band_inside` the rest of it.

A model that makes alpha in one step has no trimap; the perfect one's unknown region says where its error is:

    mad = outside + inside + upsampling
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.matting.fusion import fuse
from realtime_matting.matting.trimap import resize_probabilities, trimap_picture
from train.data.trimaps import BACKGROUND, FOREGROUND, UNKNOWN, classes, trimap_from_alpha
from train.evaluation.framing import Alpha, Picture, Sample
from train.evaluation.kinds import kinds_of
from train.evaluation.measure import samples
from train.evaluation.sets import EvaluationSet
from train.evaluation.sheets import to_bytes
from train.evaluation.stages import Probabilities, Stages, enlarge

Values = dict[str, float]
Region = NDArray[np.bool_]
SOFT = 0.02
WORST = 6
"""How many pictures a sheet shows."""
_ROWS = 360

RED, VIOLET, YELLOW, ORANGE, BLUE = (255, 60, 50), (225, 80, 255), (255, 225, 60), (255, 150, 40), (70, 150, 255)
COLOURS = {
    "known_wrong": RED,
    "soft_lost": VIOLET,
    "band_inside": YELLOW,
    "band_away": ORANGE,
    "outside": RED,
    "inside": YELLOW,
    "upsampling": BLUE,
}
"""RGB of each part in the error maps."""


@dataclass(frozen=True, eq=False)
class Mattes:
    """All that is needed to split one picture's error; alphas float32, trimaps uint8 (0, 128, 255), all (H, W).

    Attributes:
        truth: G.
        alpha: A, with the model's own trimap.
        unavoidable: U, the truth reduced to the network's size and enlarged again.
        perfect_trimap: made of the truth.
        trimap: the model's own; None from a model that makes alpha in one step.
        with_perfect_trimap: A*; None likewise.
        with_perfect_m_net: A°; None likewise.
    """

    truth: Alpha
    alpha: Alpha
    unavoidable: Alpha
    perfect_trimap: Picture
    trimap: Picture | None = None
    with_perfect_trimap: Alpha | None = None
    with_perfect_m_net: Alpha | None = None


@dataclass(frozen=True, eq=False)
class BlamedCase:
    """A picture of a sheet, its parts made small; uint8 RGB (h, w, 3), or (h, w) for mattes."""

    label: str
    values: Values
    image: Picture
    trimap: Picture
    alpha: Picture
    truth: Picture
    errors: Picture


@dataclass
class Blame:
    """What was found of one model.

    Attributes:
        fills_trimaps: which of the two splits was made.
        sets: set → clip → the values of its frames.
        kinds: kind → the values of all pictures of that kind, of whatever set.
        worst: kind → its worst pictures, one a clip, worst first.
    """

    name: str
    fills_trimaps: bool
    sets: dict[str, dict[str, list[Values]]] = field(default_factory=dict)
    kinds: dict[str, list[Values]] = field(default_factory=dict)
    worst: dict[str, list[BlamedCase]] = field(default_factory=dict)

    def of_set(self, name: str) -> Values:
        """Mean over the set's clips of the means over their frames, as `train.evaluation.measure` has it."""
        return mean([mean(frames) for frames in self.sets[name].values()])


def mean(values: list[Values]) -> Values:
    """Mean of each value; all must have the same keys."""
    return {key: float(np.mean([one[key] for one in values])) for key in values[0]}


def regions(mattes: Mattes) -> dict[str, Region]:
    """The regions among which the networks' error is split, bool (H, W); each pixel is in exactly one."""
    at_edge = mattes.perfect_trimap == UNKNOWN
    if mattes.trimap is None:
        return {"outside": ~at_edge, "inside": at_edge}
    unknown = mattes.trimap == UNKNOWN
    soft = (mattes.truth >= SOFT) & (mattes.truth <= 1 - SOFT)
    return {
        "known_wrong": ~unknown & ~soft,
        "soft_lost": ~unknown & soft,
        "band_inside": unknown & at_edge,
        "band_away": unknown & ~at_edge,
    }


def split_error(mattes: Mattes) -> Values:
    """The parts of the error in units of MAD, as the module defines them, and what describes the trimaps.

    ``unknown`` and ``unknown_perfect`` are the shares of the picture that the trimap and the perfect one leave
    unknown, in %, and ``swapped`` the share that is foreground and called background or the reverse, in ‰.
    """
    unavoidable = np.abs(mattes.unavoidable - mattes.truth)
    error = np.abs(mattes.alpha - mattes.truth)
    networks = error - unavoidable
    pixels = error.size
    values = {"mad": _sum(error), "upsampling": _sum(unavoidable)}
    values |= {name: _sum(networks[region]) for name, region in regions(mattes).items()}
    if mattes.with_perfect_trimap is not None and mattes.with_perfect_m_net is not None:
        values["band"] = values["band_inside"] + values["band_away"]
        values["m_net"] = _sum(np.abs(mattes.with_perfect_trimap - mattes.truth) - unavoidable)
        values["t_net"] = _sum(np.abs(mattes.with_perfect_m_net - mattes.truth) - unavoidable)
        values["joint"] = _sum(networks) - values["m_net"] - values["t_net"]
    values = {name: 1e3 * value / pixels for name, value in values.items()}
    values["unknown_perfect"] = 100 * float(np.mean(mattes.perfect_trimap == UNKNOWN))
    if mattes.trimap is not None:
        background, foreground = mattes.truth < SOFT, mattes.truth > 1 - SOFT
        swapped = ((mattes.trimap == BACKGROUND) & foreground) | ((mattes.trimap == FOREGROUND) & background)
        values |= {"unknown": 100 * float(np.mean(mattes.trimap == UNKNOWN)), "swapped": 1e3 * float(np.mean(swapped))}
    return values


def perfect_trimap(truth: Alpha, size: tuple[int, int], radius: float) -> Probabilities:
    """What the T-Net is trained to say of a picture: classes of the truth at its resolution, each 0 or 1.

    Args:
        truth: float32 (H, W).
        size: (width, height) of the T-Net's trimap, at most that of the truth.
        radius: half width of the unknown band as a share of (h + w)/2, see `train.data.dataset.SampleSpec`.

    Returns:
        float32 (3, h, w): background, unknown, foreground.
    """
    small = reduced(truth, size)
    pixels = radius * sum(size) / 2
    chosen = classes(trimap_from_alpha(small, pixels, pixels))
    return np.stack([chosen == number for number in range(3)]).astype(np.float32)


def reduced(truth: Alpha, size: tuple[int, int]) -> Alpha:
    """The truth at (width, height) ``size``, by the area filter."""
    if size == truth.shape[::-1]:
        return truth
    return np.asarray(np.clip(cv2.resize(truth, size, interpolation=cv2.INTER_AREA), 0, 1), np.float32)


def run_stages(stages: Stages, sample: Sample) -> Mattes:
    """Run a model on one picture stage by stage, as it is and with each stage made perfect."""
    rgb, truth = sample.image, sample.truth
    size = stages.size(rgb)
    small_truth = reduced(truth, size)
    unavoidable = enlarge(small_truth, rgb)
    if not stages.fills_trimaps:
        perfect = perfect_trimap(truth, size, stages.radius)
        return Mattes(truth, enlarge(stages.alpha(rgb, None), rgb), unavoidable, _picture(perfect, size, truth))
    own = stages.trimap(rgb)
    perfect = perfect_trimap(truth, own.shape[:0:-1], stages.radius)
    return Mattes(
        truth=truth,
        alpha=enlarge(stages.alpha(rgb, own), rgb),
        unavoidable=unavoidable,
        perfect_trimap=_picture(perfect, size, truth),
        trimap=_picture(own, size, truth),
        with_perfect_trimap=enlarge(stages.alpha(rgb, perfect), rgb),
        with_perfect_m_net=enlarge(fuse(resize_probabilities(own, *size), small_truth), rgb),
    )


def _picture(probabilities: Probabilities, size: tuple[int, int], truth: Alpha) -> Picture:
    """The likeliest classes where the M-Net fills them in, at the truth's size: what is known there stays as it is."""
    return trimap_picture(resize_probabilities(probabilities, *size), truth.shape[1], truth.shape[0])


def error_map(mattes: Mattes) -> Picture:
    """Each pixel's error as brightness, in the colour of the part that has most of it; uint8 RGB (H, W, 3)."""
    unavoidable = np.abs(mattes.unavoidable - mattes.truth)
    error = np.abs(mattes.alpha - mattes.truth)
    colours = np.zeros((*error.shape, 3), np.float32)
    for name, region in regions(mattes).items():
        colours[region] = COLOURS[name]
    colours[unavoidable > error - unavoidable] = COLOURS["upsampling"]
    # The root shows small errors too.
    return np.asarray(colours * np.sqrt(error)[..., None], np.uint8)


def blame(
    models: list[Stages], sets: list[EvaluationSet], *, on_frame: Callable[[EvaluationSet], None] = lambda _: None
) -> list[Blame]:
    """Split every model's error on the same pictures, each made once.

    Args:
        on_frame: called when all models have seen a frame of the set.
    """
    found = [Blame(stages.name, stages.fills_trimaps) for stages in models]
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for one in sets:
            for clip, _, sample in samples(one, pool):
                kinds = kinds_of(sample, clip.person)
                for stages, result in zip(models, found, strict=True):
                    mattes = run_stages(stages, sample)
                    values = split_error(mattes)
                    result.sets.setdefault(one.name, {}).setdefault(clip.name, []).append(values)
                    for kind in kinds:
                        result.kinds.setdefault(kind, []).append(values)
                        _offer(result.worst.setdefault(kind, []), f"{one.name}: {clip.name}", values, sample, mattes)
                on_frame(one)
    return found


def _offer(cases: list[BlamedCase], label: str, values: Values, sample: Sample, mattes: Mattes) -> None:
    """Keep this picture among the `WORST` worst, and of its clip's only the worst."""
    same = [case for case in cases if case.label == label]
    rival = same[0] if same else cases[-1] if len(cases) == WORST else None
    if rival is not None:
        if values["mad"] <= rival.values["mad"]:
            return
        cases.remove(rival)
    trimap = mattes.perfect_trimap if mattes.trimap is None else mattes.trimap
    pictures = (sample.image, trimap, to_bytes(mattes.alpha), to_bytes(mattes.truth), error_map(mattes))
    cases.append(BlamedCase(label, values, *(_small(picture) for picture in pictures)))
    cases.sort(key=lambda case: -case.values["mad"])


def _small(picture: Picture) -> Picture:
    scale = min(1.0, _ROWS / picture.shape[0])
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _sum(plane: NDArray[np.float32]) -> float:
    return float(np.sum(plane, dtype=np.float64))
