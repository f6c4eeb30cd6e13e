"""The depthwise convolution whose gradients are taken in float32 under CPU autocast."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from train.networks.depthwise import DepthwiseConv2d
from train.networks.tnet_mobile import MobileTNet


def gradients(layer: nn.Conv2d, x: torch.Tensor, *, autocast: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Output, and the gradients of a fixed weighted sum of it for input and weight."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = layer(x)
    weights = torch.linspace(-1, 1, y.numel()).view(y.shape)
    (y.float() * weights).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is not None
    return y.float().detach(), x.grad, layer.weight.grad.clone()


@settings(max_examples=20)
@given(
    kernel=st.sampled_from([3, 5]),
    stride=st.sampled_from([1, 2]),
    channels=st.integers(1, 9),
    height=st.integers(5, 18),
    width=st.integers(5, 18),
    last=st.booleans(),
)
def test_values_and_gradients_are_those_of_an_ordinary_convolution(
    kernel: int, stride: int, channels: int, height: int, width: int, last: bool
) -> None:
    torch.manual_seed(kernel * height + width)
    layer = DepthwiseConv2d(channels, kernel, stride)
    plain = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, channels, height, width)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    for mine, theirs in zip(gradients(layer, x, autocast=True), gradients(plain, x, autocast=False), strict=True):
        assert mine.shape == theirs.shape
        assert mine.dtype == theirs.dtype
        assert (mine - theirs).norm() <= 2e-2 * theirs.norm() + 1e-3  # bfloat16 has 8 bits
    for mine, theirs in zip(gradients(layer, x, autocast=False), gradients(plain, x, autocast=False), strict=True):
        assert torch.equal(mine, theirs)


def test_a_frozen_layer_passes_gradients_on_and_gets_none() -> None:
    layer = DepthwiseConv2d(4, 3)
    layer.weight.requires_grad_(False)
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x).float().sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None


def test_the_t_net_uses_it_for_every_depthwise_convolution() -> None:
    grouped = [m for m in MobileTNet().modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert len(grouped) > 15
    assert all(isinstance(m, DepthwiseConv2d) for m in grouped)


@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
def test_without_gradients_it_is_an_ordinary_convolution(size: tuple[int, int]) -> None:
    layer = DepthwiseConv2d(3, 5, 2).eval()
    x = torch.randn(1, 3, *size)
    with torch.inference_mode():
        assert torch.equal(layer(x), nn.functional.conv2d(x, layer.weight, None, 2, 2, 1, 3))
