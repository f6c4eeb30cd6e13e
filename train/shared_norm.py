"""Batch norm over the batches of all processes, so that several processes train as one with the whole batch would."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Statistics over all processes, on any device (PyTorch's own ``SyncBatchNorm`` knows only GPUs).

    All processes must have batches of one size.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float()
        count = values.numel() / values.shape[1] * dist.get_world_size()
        mean = _total(values.sum(dim=(0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = _total(centred.square().sum(dim=(0, 2, 3))) / count
        if self.running_mean is not None and self.running_var is not None and self.momentum is not None:
            with torch.no_grad():
                self.running_mean.lerp_(mean.detach(), self.momentum)
                self.running_var.lerp_(variance.detach() * count / max(1.0, count - 1), self.momentum)
                self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def _total(x: Tensor) -> Tensor:
    return _SumOverProcesses.apply(x)  # type: ignore[no-any-return, no-untyped-call]


def share_batch_norm(network: nn.Module) -> None:
    """Make every batch norm of ``network`` use the statistics of all processes, in place; names and weights stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d
