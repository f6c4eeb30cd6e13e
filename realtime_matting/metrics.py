"""How far an alpha is from the truth, on the two scales of the literature, which must never share a column.

- **Whole image, RVM's scale** (Lin et al. 2021, arXiv 2108.11515): `whole_image` → `WholeImageMetrics`.
- **Unknown region, DIM's scale** (Xu et al. 2017, arXiv 1703.03872): `unknown_region` → `UnknownRegionMetrics`.

The two results are unrelated types, and `mean` refuses a mixture of them. The single functions below say their region
and scale; where the two scales differ for the same quantity, the functions differ too (`mse`, `unknown_mse`).

Every alpha and truth is float32 (H, W) in [0, 1], every region bool (H, W). Anything else raises ValueError.

    >>> import numpy as np
    >>> truth = np.zeros((4, 4), np.float32)
    >>> whole_image(truth + np.float32(0.5), truth).mad
    500.0
"""

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import cache
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.float32]
Region = NDArray[np.bool_]

_UNKNOWN = 128
_GRADIENT_SIGMA = 1.4
_GRADIENT_EPSILON = 1e-2
_CONNECTIVITY_TOLERANCE = np.float32(0.15)


@dataclass(frozen=True)
class WholeImageMetrics:
    """Errors over ALL pixels of one frame, RVM's scale: mean|d|·1e3, mean d²·1e3, Σ/1000, Σ/1000."""

    mad: float
    mse: float
    grad: float
    conn: float


@dataclass(frozen=True)
class UnknownRegionMetrics:
    """Errors over the UNKNOWN pixels of one frame, DIM's scale: Σ|d|/1000, mean d², Σ/1000, Σ/1000."""

    sad: float
    mse: float
    grad: float
    conn: float


Metrics = TypeVar("Metrics", WholeImageMetrics, UnknownRegionMetrics)


def whole_image(alpha: Alpha, truth: Alpha) -> WholeImageMetrics:
    """MAD, MSE, Grad and Conn of one frame; region: the whole image, scale: RVM's."""
    return WholeImageMetrics(mad(alpha, truth), mse(alpha, truth), grad(alpha, truth), conn(alpha, truth))


def unknown_region(alpha: Alpha, truth: Alpha, trimap: NDArray[np.uint8]) -> UnknownRegionMetrics:
    """SAD, MSE, Grad and Conn of one frame; region: where `trimap` is 128, scale: DIM's.

    Args:
        trimap: uint8 (H, W), 0 background, 128 unknown, 255 foreground.

    Raises:
        ValueError: also where the trimap has no unknown pixel, for then the mean is undefined.
    """
    region = trimap == _UNKNOWN
    return UnknownRegionMetrics(
        sad(alpha, truth, region),
        unknown_mse(alpha, truth, region),
        grad(alpha, truth, region),
        conn(alpha, truth, region),
    )


def mean(metrics: Iterable[Metrics]) -> Metrics:
    """The mean of each number over frames or pictures that were measured on the SAME scale.

    Raises:
        ValueError: nothing to average.
        TypeError: results of both scales in one average.
    """
    measured = list(metrics)
    if not measured:
        raise ValueError("there is nothing to average")
    kind = type(measured[0])
    if any(type(one) is not kind for one in measured):
        raise TypeError("whole-image and unknown-region metrics have different scales and cannot be averaged")
    return kind(*np.mean([astuple(one) for one in measured], axis=0).tolist())


def mad(alpha: Alpha, truth: Alpha) -> float:
    """Mean absolute difference. Region: whole image. Scale: mean|d|·1e3 (RVM)."""
    _check(alpha, truth)
    return 1e3 * float(np.mean(np.abs(alpha - truth), dtype=np.float64))


def mse(alpha: Alpha, truth: Alpha) -> float:
    """Mean squared error. Region: whole image. Scale: mean d²·1e3 (RVM)."""
    _check(alpha, truth)
    return 1e3 * float(np.mean(np.square(alpha - truth), dtype=np.float64))


def sad(alpha: Alpha, truth: Alpha, region: Region) -> float:
    """Sum of absolute differences. Region: `region`, the unknown pixels. Scale: Σ|d|/1000 (DIM)."""
    _check(alpha, truth, region)
    return float(np.sum(np.abs(alpha - truth)[region], dtype=np.float64)) / 1e3


def unknown_mse(alpha: Alpha, truth: Alpha, region: Region) -> float:
    """Mean squared error. Region: `region`, the unknown pixels. Scale: mean d², a thousandth of `mse`'s (DIM).

    Raises:
        ValueError: also where the region is empty.
    """
    _check(alpha, truth, region)
    if not region.any():
        raise ValueError("the region has no pixel, so its mean squared error is undefined")
    return float(np.mean(np.square(alpha - truth)[region], dtype=np.float64))


def grad(alpha: Alpha, truth: Alpha, region: Region | None = None) -> float:
    """Gradient error, Σ(|∇α| − |∇α_truth|)²/1000 with q = 2 (Rhemann et al. 2009, CVPR).

    Region: the whole image (RVM), or `region`, the unknown pixels (DIM); filtering always sees the whole image.
    Scale: the same in both, Σ/1000.

    ∇ is the first derivative of a Gaussian, σ = 1.4, cut where the Gaussian falls below 0.01 (9 × 9 taps), each filter
    scaled to unit L2 norm, borders replicated. Evaluation code in circulation first stretches each alpha to span
    [0, 1]; that is left out, for it rewards nothing real and is undefined for an empty matte. Wherever a matte holds
    both a 0 and a 1, the numbers are the same.
    """
    _check(alpha, truth, region)
    error = np.square(_gradient_magnitude(alpha) - _gradient_magnitude(truth))
    return float(np.sum(error if region is None else error[region], dtype=np.float64)) / 1e3


def conn(alpha: Alpha, truth: Alpha, region: Region | None = None) -> float:
    """Connectivity error, Σ|φ(α) − φ(α_truth)|/1000 with p = 1, θ = 0.15 (Rhemann et al. 2009, CVPR).

    Region: the whole image (RVM), or `region`, the unknown pixels (DIM); connectivity always sees the whole image.
    Scale: the same in both, Σ/1000.

    The source Ω at a level is the largest 4-connected component of the pixels where both mattes reach that level;
    l is the highest level, in steps of 0.1, up to which a pixel is still in the source;
    φ = 1 − d·(d ≥ 0.15), d = α − l.
    """
    _check(alpha, truth, region)
    level = np.ones_like(alpha)
    connected = np.ones(alpha.shape, np.bool_)
    lowest = np.minimum(alpha, truth)
    for step in range(1, 11):
        source = _largest_component(lowest >= np.float32(step / 10))
        level[connected & ~source] = np.float32((step - 1) / 10)
        connected &= source
    error = np.abs(_disconnection(truth, level) - _disconnection(alpha, level))
    return float(np.sum(error if region is None else error[region], dtype=np.float64)) / 1e3


def dtssd(alphas: Iterable[Alpha], truths: Iterable[Alpha]) -> float:
    """Flicker: how differently the alpha and the truth change in time. Region: whole image (RVM).

    Scale: √(mean(Δα − Δtruth)²)·1e2 for each pair of neighbouring frames, then the mean over the pairs
    (Erofeev et al. 2015, BMVC, as scaled by RVM). Reads the frames one by one, so generators of any length will do.

    Raises:
        ValueError: also for fewer than two frames, or sequences of different length or frame size.
    """
    before: Alpha | None = None
    pairs: list[float] = []
    for alpha, truth in zip(alphas, truths, strict=True):
        _check(alpha, truth)
        error = alpha - truth  # Δα − Δtruth is the change of this error
        if before is not None:
            if before.shape != error.shape:
                raise ValueError(f"the frame size changes from {before.shape} to {error.shape} within the sequence")
            pairs.append(1e2 * math.sqrt(np.mean(np.square(error - before), dtype=np.float64)))
        before = error
    if not pairs:
        raise ValueError("dtSSD needs at least two frames")
    return float(np.mean(pairs))


def edge_mad(alpha: Alpha, truth: Alpha, width: int = 12) -> float:
    """Mean absolute difference near the true outline. Scale: mean|d|·1e3.

    Region: the pixels whose distance to the nearest pixel on the other side of the outline (truth ≥ 0.5) is at most
    `width` pixels, so `width` pixels to each side of a straight edge. NaN where the truth has no outline.
    """
    _check(alpha, truth)
    inside = (truth >= 0.5).astype(np.uint8)
    if inside.min() == inside.max():
        return math.nan
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near = np.maximum(depth, distance) <= width  # one of the two is 0 everywhere
    return 1e3 * float(np.mean(np.abs(alpha - truth)[near], dtype=np.float64))


def iou(alpha: Alpha, truth: Alpha, threshold: float = 0.5) -> float:
    """Intersection over union of {α ≥ threshold} and {truth ≥ threshold}. Region: whole image. Scale: 0 to 1.

    1 where both are empty.
    """
    _check(alpha, truth)
    ours, theirs = alpha >= threshold, truth >= threshold
    union = np.count_nonzero(ours | theirs)
    return np.count_nonzero(ours & theirs) / union if union else 1.0


def _check(alpha: Alpha, truth: Alpha, region: Region | None = None) -> None:
    for name, matte in (("alpha", alpha), ("truth", truth)):
        if matte.dtype != np.float32 or matte.ndim != 2 or not matte.size:
            raise ValueError(f"{name} must be float32 (H, W), not {matte.dtype} {matte.shape}")
        if not (matte.min() >= 0 and matte.max() <= 1):
            raise ValueError(f"{name} must lie in [0, 1], not in [{matte.min()}, {matte.max()}]")
    if alpha.shape != truth.shape:
        raise ValueError(f"alpha is {alpha.shape} but truth is {truth.shape}")
    if region is not None and (region.dtype != np.bool_ or region.shape != alpha.shape):
        raise ValueError(f"region must be bool {alpha.shape}, not {region.dtype} {region.shape}")


@cache
def _gaussian_and_derivative() -> tuple[Alpha, Alpha]:
    """1-D Gaussian and its derivative, each of unit L2 norm; the norm of a separable filter is the product of both."""
    cut = -2 * math.log(math.sqrt(2 * math.pi) * _GRADIENT_SIGMA * _GRADIENT_EPSILON)
    half = math.ceil(_GRADIENT_SIGMA * math.sqrt(cut))
    x = np.arange(-half, half + 1, dtype=np.float64)
    gaussian = np.exp(-(x**2) / (2 * _GRADIENT_SIGMA**2))
    derivative = x * gaussian
    return (
        (gaussian / np.linalg.norm(gaussian)).astype(np.float32),
        (derivative / np.linalg.norm(derivative)).astype(np.float32),
    )


def _gradient_magnitude(alpha: Alpha) -> Alpha:
    gaussian, derivative = _gaussian_and_derivative()
    x = cv2.sepFilter2D(alpha, cv2.CV_32F, derivative, gaussian, borderType=cv2.BORDER_REPLICATE)
    y = cv2.sepFilter2D(alpha, cv2.CV_32F, gaussian, derivative, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.magnitude(x, y), np.float32)


def _largest_component(mask: Region) -> Region:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]  # label 0 is everything outside the mask
    if not areas.size:
        return np.zeros(mask.shape, np.bool_)
    return np.asarray(labels == 1 + int(areas.argmax()), np.bool_)


def _disconnection(alpha: Alpha, level: Alpha) -> Alpha:
    distance = alpha - level
    return np.asarray(distance * (distance >= _CONNECTIVITY_TOLERANCE), np.float32)
