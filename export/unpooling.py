"""Max-unpooling without indices, for runtimes that have none.

``F.max_unpool2d`` exports as a MaxPool with a second output and a ScatterND: TensorRT refuses the first, and the
second is slow on CPUs. Both rewrites here carry a mask of winners instead: True at the one pixel of each 2×2 window
whose value the pooling kept. Where several pixels are equal (after a ReLU, zeros everywhere), the first in row-major
order wins, as in PyTorch; a rank of 4, 3, 2, 1 within the window decides it.

The results are those of :mod:`train.networks.pooling` bit for bit, for every input without NaN, infinities included.
That is why the rank is a product (0 or 1 times 4…1: always exact, and several times faster on a CPU than a selection
between the rank and 0), while the unpooled value is a selection (∞·0 is NaN).

``up-first`` needs only operators that run well on a CPU; ``key`` sorts the window's pixels into an axis of their own,
which gives a graph whose constants do not depend on the picture's size.
"""

import copy
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.networks.pooling import MaxPool, MaxUnpool

Rewrite = Literal["up-first", "key"]


def repeat_2x2(x: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, 2H, 2W), each value four times."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class UpFirstPool(nn.Module):
    """Pool, spread the maxima again, and compare with the input at full size."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Float (N, C, H, W) with even H and W → maxima (N, C, H/2, W/2), winners bool (N, C, H, W)."""
        pooled = F.max_pool2d(x, 2)
        row = torch.arange(x.shape[-2], device=x.device) % 2
        column = torch.arange(x.shape[-1], device=x.device) % 2
        rank = (4 - 2 * row[:, None] - column).to(x.dtype)
        ranks = (x == repeat_2x2(pooled)).to(x.dtype) * rank
        return pooled, ranks == repeat_2x2(F.max_pool2d(ranks, 2))


class UpFirstUnpool(nn.Module):
    """Spread the values and keep those at the winners."""

    def forward(self, x: Tensor, winners: Tensor) -> Tensor:
        """Float (N, C, H/2, W/2), winners bool (N, C, H, W) → float (N, C, H, W)."""
        return torch.where(winners, repeat_2x2(x), 0.0)


class KeyPool(nn.Module):
    """Move the four pixels of each window to an axis of length 4 and reduce over it."""

    rank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rank", torch.tensor([4.0, 3.0, 2.0, 1.0]).reshape(4, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Float (N, C, H, W) with even H and W → maxima (N, C, H/2, W/2), winners bool (N, C, 4, H/2, W/2)."""
        n, c, h, w = x.shape
        pixels = F.pixel_unshuffle(x, 2).reshape(n, c, 4, h // 2, w // 2)
        pooled = pixels.amax(2)
        ranks = (pixels == pooled[:, :, None]).to(x.dtype) * self.rank.to(x.dtype)
        return pooled, ranks == ranks.amax(2, keepdim=True)


class KeyUnpool(nn.Module):
    """Keep the value at the winner of each window, then move the four pixels back to their places."""

    def forward(self, x: Tensor, winners: Tensor) -> Tensor:
        """Float (N, C, H/2, W/2), winners bool (N, C, 4, H/2, W/2) → float (N, C, H, W)."""
        return F.pixel_shuffle(torch.where(winners, x[:, :, None], 0.0).flatten(1, 2), 2)


REWRITES: dict[Rewrite, tuple[type[nn.Module], type[nn.Module]]] = {
    "up-first": (UpFirstPool, UpFirstUnpool),
    "key": (KeyPool, KeyUnpool),
}


def has_unpooling(network: nn.Module) -> bool:
    """Whether any part of the network unpools."""
    return any(isinstance(module, MaxUnpool) for module in network.modules())


def index_free(network: nn.Module, rewrite: Rewrite) -> nn.Module:
    """A copy of ``network`` in which every pooling with indices and its unpooling are replaced by ``rewrite``.

    The weights and the results are the same. ``network`` itself is left as it is.
    """
    pool, unpool = REWRITES[rewrite]
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, MaxPool):
                setattr(parent, name, pool())
            elif isinstance(child, MaxUnpool):
                setattr(parent, name, unpool())
    return network
