"""Pyramid pooling in a form that TensorRT for RTX builds.

The averages over bins are matrix products (:mod:`train.networks.pspnet`) whose matrices depend on the picture's size.
Traced as they are, with whole numbers, remainders and comparisons, they bring the compiler of TensorRT for RTX 1.7 to a
failed internal check. The same matrices come out of floating-point minima and maxima: pixel p is the interval from p to
p + 1, a bin is an interval between two whole numbers, and their overlap is 0 or 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.networks.pspnet import BINS, PyramidPooling


def averaging_matrix(size: int, bins: int, like: Tensor) -> Tensor:
    """(bins, size) as :func:`train.networks.pspnet.averaging_matrix`, exactly, for sizes below a million."""
    pixel = torch.arange(size, device=like.device).to(torch.float32)
    row = torch.arange(bins, device=like.device).to(torch.float32)[:, None]
    width = (pixel[-1:] + 1)[None]
    start, end = torch.floor(row * width / bins), torch.ceil((row + 1) * width / bins)
    inside = (torch.minimum(pixel + 1, end) - torch.maximum(pixel, start)).clamp(min=0)
    return (inside / (end - start)).to(like.dtype)


class FloatPyramid(nn.Module):
    """What ``pyramid`` computes, with its weights."""

    def __init__(self, pyramid: PyramidPooling) -> None:
        super().__init__()
        self.levels = pyramid.levels

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, 2C, H, W)."""
        levels = [x]
        for bins, level in zip(BINS, self.levels, strict=True):
            rows, columns = (averaging_matrix(x.shape[side], bins, x) for side in (-2, -1))
            means = level(rows @ x @ columns.T)
            levels.append(F.interpolate(means, size=x.shape[-2:], mode="bilinear", align_corners=False))
        return torch.cat(levels, dim=1)


def float_pyramids(network: nn.Module) -> nn.Module:
    """Put a :class:`FloatPyramid` in the place of every pyramid pooling of ``network``, which is changed."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, PyramidPooling):
                setattr(parent, name, FloatPyramid(child))
    return network
