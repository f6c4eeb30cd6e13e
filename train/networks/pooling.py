"""2×2 max-pooling that remembers where each maximum was, and the unpooling that puts values back there.

The pair of SegNet (Badrinarayanan et al. 2015, arXiv 1511.00561, section 3), as used by Deep Image Matting and by the
M-Net of Semantic Human Matting. Networks use these modules and never ``F.max_unpool2d``, because the export swaps them
for a pair without indices (:func:`export.unpooling.index_free`).
"""

import torch.nn.functional as F
from torch import Tensor, nn

# Made by a pooling for the unpooling of the same level, opaque to the network in between. Here: int64 (N, C, H/2, W/2),
# the flat position row·W + column of each window's first maximum in row-major order.
PoolRecord = Tensor


class MaxPool(nn.Module):
    """Float (N, C, H, W) with even H and W → the maxima (N, C, H/2, W/2) and the record for :class:`MaxUnpool`.

    Raises:
        ValueError: H or W is odd; pad the picture to a multiple of 2^levels first.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, PoolRecord]:
        if x.shape[-2] % 2 or x.shape[-1] % 2:
            raise ValueError(f"max-pooling with unpooling needs even sizes, got {x.shape[-2]}×{x.shape[-1]}")
        pooled, indices = F.max_pool2d(x, 2, return_indices=True)
        return pooled, indices


class MaxUnpool(nn.Module):
    """Float (N, C, H/2, W/2) and a record of that size → (N, C, H, W): values where the maxima were, 0 elsewhere."""

    def forward(self, x: Tensor, record: PoolRecord) -> Tensor:
        return F.max_unpool2d(x, record, 2)
