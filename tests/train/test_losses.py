"""Losses against values computed by hand."""

import pytest
import torch

from train.losses import IGNORE, alpha_loss, composition_loss, laplacian_loss, prediction_loss, trimap_loss


def picture(value: float, channels: int = 1) -> torch.Tensor:
    return torch.full((1, channels, 8, 8), value)


def test_prediction_loss_is_half_the_alpha_error_and_half_the_colour_error() -> None:
    alpha, truth = picture(0.75), picture(0.25)
    foreground, background = picture(1.0, 3), picture(0.2, 3)
    assert alpha_loss(alpha, truth).item() == pytest.approx(0.5)
    assert composition_loss(alpha, truth, foreground, background).item() == pytest.approx(0.4)
    assert prediction_loss(alpha, truth, foreground, background).item() == pytest.approx(0.45)


def test_the_loss_of_a_perfect_alpha_is_its_epsilon() -> None:
    assert alpha_loss(picture(0.5), picture(0.5)).item() == pytest.approx(1e-6)
    assert laplacian_loss(picture(0.5), picture(0.5)).item() == 0


def test_laplacian_loss_does_not_see_a_constant_offset_but_sees_an_edge() -> None:
    flat = torch.full((1, 1, 64, 64), 0.5)
    assert laplacian_loss(flat, flat - 0.25).item() == pytest.approx(0, abs=1e-6)
    edge = flat.clone()
    edge[..., 32:] = 1.0
    assert laplacian_loss(edge, flat).item() > 0.01


def test_trimap_loss_is_low_for_the_right_order_of_channels_only() -> None:
    classes = torch.tensor([[[0, 1], [2, IGNORE]]])
    logits = torch.zeros(1, 3, 2, 2)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 2)):
        logits[0, channel, row, column] = 20.0
    assert trimap_loss(logits, classes).item() < 1e-6
    assert trimap_loss(logits.flip(1), classes).item() > 5


def test_ignored_pixels_have_no_gradient() -> None:
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    trimap_loss(logits, torch.tensor([[[0, 1], [2, IGNORE]]])).backward()
    assert logits.grad is not None
    assert logits.grad[0, :, 1, 1].abs().sum() == 0
    assert logits.grad[0, :, 0, 0].abs().sum() > 0
