"""Runs predictors over evaluation sets and gathers the metrics, all on one of two scales.

``whole``: the whole image, RVM's scale; predictors make their alpha without help. ``unknown``: the unknown region of a
trimap, DIM's scale; predictors that need a trimap are given it, all others make their alpha without.
"""

import math
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from realtime_matting import metrics
from train.data.trimaps import trimap_from_alpha
from train.evaluation.baselines import Predictor
from train.evaluation.framing import Alpha, Picture, Sample
from train.evaluation.sets import Clip, EvaluationSet
from train.evaluation.tables import unknown_figures

# Both sides of the outline, in pixels at 720 lines; scaled with the height.
EDGE_WIDTH = 12
# By which the unknown region of trimaps made from the truth reaches to both sides; as above.
TRIMAP_RADIUS = 10
CLEAN = 0.002
"""A picture with nobody in it is clean when its mean alpha is below this."""
Values = dict[str, float]
Scale = Literal["whole", "unknown"]
DECISIVE: dict[Scale, str] = {"whole": "mad", "unknown": "sad"}
"""The metric by which cases are worse than others."""


@dataclass(frozen=True, eq=False)
class Case:
    """A prediction to look at; ``image`` uint8 RGB (h, w, 3), ``alpha`` and ``truth`` uint8 (h, w), all made small.

    ``error``: by the scale's `DECISIVE` metric.
    """

    label: str
    error: float
    image: Picture
    alpha: Picture
    truth: Picture


@dataclass
class SetResult:
    """What was measured on one set.

    Attributes:
        digest: CRC-32 over all pictures and truths: equal digests mean equal pictures.
        clips: predictor → clip → metric → mean over the clip's frames.
    """

    name: str
    people: bool
    frames: int
    digest: str
    clips: dict[str, dict[str, Values]]

    def means(self, predictor: str) -> Values:
        """Mean over the clips of each metric; clips in which a metric is undefined are left out."""
        gathered: dict[str, list[float]] = {}
        for values in self.clips[predictor].values():
            for metric, value in values.items():
                gathered.setdefault(metric, []).append(value)
        return {metric: _mean(values) for metric, values in gathered.items()}


class WorstCases:
    """Keeps the worst frame of each of the ``count`` worst clips."""

    def __init__(self, count: int = 10) -> None:
        self._count = count
        self._by_clip: dict[str, Case] = {}

    def offer(self, label: str, error: float, sample: Sample, alpha: Alpha) -> None:
        """Keep this frame if it is among the worst so far; one without a defined error never is."""
        if math.isnan(error):
            return
        if label in self._by_clip and error <= self._by_clip[label].error:
            return
        if label not in self._by_clip and len(self._by_clip) == self._count:
            mildest = min(self._by_clip, key=lambda key: self._by_clip[key].error)
            if error <= self._by_clip[mildest].error:
                return
            del self._by_clip[mildest]
        scale = min(1.0, 360 / alpha.shape[0])
        mattes = [(matte * 255 + 0.5).astype(np.uint8) for matte in (alpha, sample.truth)]
        image, small, truth = (
            np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
            for picture in (sample.image, *mattes)
        )
        self._by_clip[label] = Case(label, error, image, small, truth)

    def sorted(self) -> list[Case]:
        """The cases, worst first."""
        return sorted(self._by_clip.values(), key=lambda case: -case.error)


@dataclass
class Evaluation:
    """Results of all sets, in order, and per predictor the cases it did worst on.

    ``given``: names of the predictors that were given the trimap.
    """

    scale: Scale
    given: tuple[str, ...]
    sets: list[SetResult] = field(default_factory=list)
    worst: dict[str, WorstCases] = field(default_factory=dict)


def evaluate(
    predictors: list[Predictor],
    sets: list[EvaluationSet],
    *,
    scale: Scale = "whole",
    on_frame: Callable[[EvaluationSet], None] = lambda _: None,
) -> Evaluation:
    """Run every predictor over the same pictures, each made once.

    Pictures are made ahead and metrics are taken behind in a few threads, while the predictors run in the caller's.

    Args:
        predictors: of different names; on the scale "whole", none that needs a trimap.
        on_frame: called when all predictors have seen a frame of the set.
    """
    given = tuple(predictor.name for predictor in predictors if predictor.needs_trimap)
    result = Evaluation(scale, given, worst={predictor.name: WorstCases() for predictor in predictors})
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for evaluation_set in sets:
            result.sets.append(_evaluate_set(predictors, evaluation_set, scale, pool, result.worst, on_frame))
    return result


def _evaluate_set(
    predictors: list[Predictor],
    evaluation_set: EvaluationSet,
    scale: Scale,
    pool: ThreadPoolExecutor,
    worst: dict[str, WorstCases],
    on_frame: Callable[[EvaluationSet], None],
) -> SetResult:
    frames: dict[str, dict[str, list[Values]]] = {predictor.name: {} for predictor in predictors}
    pending: deque[tuple[str, str, Sample, Alpha, Future[Values]]] = deque()
    before: dict[str, tuple[Alpha, Alpha]] = {}
    digest = 0

    def collect() -> None:
        name, clip, sample, alpha, future = pending.popleft()
        values = future.result()
        frames[name].setdefault(clip, []).append(values)
        if evaluation_set.people:
            worst[name].offer(f"{evaluation_set.name}: {clip}", values[DECISIVE[scale]], sample, alpha)

    for clip, index, sample in samples(evaluation_set, pool):
        digest = zlib.crc32(sample.truth.tobytes(), zlib.crc32(sample.image.tobytes(), digest))
        trimap = None
        if scale == "unknown":
            trimap = _trimap(sample)
            if sample.trimap is not None:
                digest = zlib.crc32(trimap.tobytes(), digest)
        for predictor in predictors:
            if index == 0:
                predictor.reset()
                before.pop(predictor.name, None)
            alpha = predictor(sample.image, trimap if predictor.needs_trimap else None)
            if trimap is not None:
                future = pool.submit(unknown_figures, alpha, sample.truth, trimap)
            elif evaluation_set.people:
                future = pool.submit(_frame_metrics, alpha, sample.truth, before.get(predictor.name))
            else:
                future = pool.submit(_empty_metrics, alpha)
            pending.append((predictor.name, clip.name, sample, alpha, future))
            before[predictor.name] = alpha, sample.truth
        while len(pending) > 4 * len(predictors):
            collect()
        on_frame(evaluation_set)
    while pending:
        collect()
    means = {name: {clip: _frame_means(values) for clip, values in clips.items()} for name, clips in frames.items()}
    return SetResult(evaluation_set.name, evaluation_set.people, evaluation_set.frames, f"{digest:08x}", means)


def samples(evaluation_set: EvaluationSet, pool: ThreadPoolExecutor) -> Iterator[tuple[Clip, int, Sample]]:
    """All frames of a set in order, with clip and index, made a few ahead in the pool."""
    ahead: deque[tuple[Clip, int, Future[Sample]]] = deque()
    for clip in evaluation_set.clips:
        for index in range(clip.frames):
            ahead.append((clip, index, pool.submit(clip.sample, index)))
            if len(ahead) > 4:
                first, number, future = ahead.popleft()
                yield first, number, future.result()
    for clip, index, future in ahead:
        yield clip, index, future.result()


def _trimap(sample: Sample) -> Picture:
    """The data's own trimap, or one made from the truth; uint8 (H, W)."""
    if sample.trimap is not None:
        return sample.trimap
    radius = max(1, round(TRIMAP_RADIUS * sample.truth.shape[0] / 720))
    return trimap_from_alpha(sample.truth, radius, radius)


def _frame_metrics(alpha: Alpha, truth: Alpha, before: tuple[Alpha, Alpha] | None) -> Values:
    whole = metrics.whole_image(alpha, truth)
    width = max(1, round(EDGE_WIDTH * alpha.shape[0] / 720))
    values = {
        "mad": whole.mad,
        "mse": whole.mse,
        "grad": whole.grad,
        "conn": whole.conn,
        "edge_mad": metrics.edge_mad(alpha, truth, width),
        "iou": metrics.iou(alpha, truth),
    }
    if before is not None:
        values["dtssd"] = metrics.dtssd((before[0], alpha), (before[1], truth))
    return values


def _empty_metrics(alpha: Alpha) -> Values:
    mean = float(np.mean(alpha, dtype=np.float64))
    return {"share": 100 * float(np.mean(alpha > 0.5)), "mean_alpha": 1e3 * mean, "clean": 100.0 * (mean < CLEAN)}


def _frame_means(frames: list[Values]) -> Values:
    """Mean over the frames that have the metric: the first of a sequence has no dtSSD."""
    keys = dict.fromkeys(key for values in frames for key in values)
    return {key: _mean([values[key] for values in frames if key in values]) for key in keys}


def _mean(values: list[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan
