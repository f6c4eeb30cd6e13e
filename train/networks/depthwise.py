"""Depthwise convolution that also trains fast on a CPU in bfloat16."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DepthwiseConv2d(nn.Conv2d):
    """k×k convolution of each channel by itself, without bias, keeping (or halving) the size; k is odd.

    Its gradients have a fast kernel for a CPU in float32 and none in bfloat16, where they took more than half of the
    time of a training step of the light T-Net. Under CPU autocast they are taken in float32.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Float (N, C, H, W) → (N, C, H, W), or half of it rounded up."""
        if torch.is_grad_enabled() and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            result: Tensor = _Depthwise.apply(x.to(dtype), self.weight, self.stride[0])
            return result
        return super().forward(x)


class _Depthwise(torch.autograd.Function):
    """Forward in the type of ``x``, gradients in float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        with torch.autocast("cpu", enabled=False):
            return F.conv2d(x, weight.to(x.dtype), None, stride, weight.shape[-1] // 2, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False]
        pad = [weight.shape[-1] // 2] * 2
        dx, dw, _ = torch.ops.aten.convolution_backward(
            gradients[0].float(),
            x.float(),
            weight,
            None,
            [ctx.stride] * 2,
            pad,
            [1, 1],
            False,
            [0, 0],
            len(weight),
            wanted,
        )
        return None if dx is None else dx.to(x.dtype), dw, None
