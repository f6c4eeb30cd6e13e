"""Fusion of trimap and alpha: Semantic Human Matting (Chen et al. 2018, arXiv 1809.01354), equation 1."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

# A softmax never reaches 0 or 1; what is this close to certain counts as certain, so that known regions are exact. No
# more than that: filters follow, which steady what is left of doubt, and cut the rest off (`refine.at_picture_size`).
CERTAIN = 0.006


def fuse(probabilities: FloatArray, alpha: FloatArray) -> FloatArray:
    """α = F + U·α_r, stretched so that values within 0.006 of 0 or 1 become exactly 0 or 1.

    Args:
        probabilities: float32 (3, H, W): background, unknown, foreground; they sum to 1.
        alpha: float32 (H, W) in [0, 1], the matting network's α_r.

    Returns:
        float32 (H, W) in [0, 1].
    """
    fused: FloatArray = probabilities[1] * alpha
    fused += probabilities[2]
    return _stretched(fused)


def possible(probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The least and the greatest alpha, float32 (H, W), that `fuse` can give with these probabilities."""
    return _stretched(probabilities[2].copy()), _stretched(probabilities[1] + probabilities[2])


def _stretched(fused: FloatArray) -> FloatArray:
    """In place."""
    fused -= CERTAIN
    fused *= np.float32(1 / (1 - 2 * CERTAIN))
    np.clip(fused, 0, 1, out=fused)
    return fused
