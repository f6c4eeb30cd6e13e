"""What the phases of Semantic Human Matting share: losses, figures and pictures of alpha and trimap."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.config import PhaseConfig
from train.data.trimaps import IGNORE
from train.guided_filter import guided_filter
from train.losses import gradient_loss, laplacian_loss, prediction_loss, smooth_l1, trimap_loss
from train.meter import Batch, Losses


def learning_groups(network: nn.Module, pretrained: list[nn.Parameter], phase: PhaseConfig) -> list[dict[str, Any]]:
    """Optimiser groups: pretrained layers learn at their own rate."""
    known = {id(p) for p in pretrained}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in network.parameters() if id(p) not in known], "rate": 1.0},
        {"params": pretrained, "rate": phase.encoder_rate},
    ]
    return [g for g in groups if g["params"]]


def matting_losses(alpha: Tensor, batch: Batch, phase: PhaseConfig) -> Losses:
    """L_p over the whole image, and the Laplacian term where the phase wants it; of raw or filtered alpha, or both."""
    share = phase.loss.filtered
    if share == 0:
        losses = _matting_losses(alpha, batch, phase)
    else:
        seen = guided_filter(alpha, batch["image"])
        losses = _matting_losses(seen, batch, phase)
        if share < 1:
            raw = _matting_losses(alpha, batch, phase)
            losses = {name: share * value + (1 - share) * raw[name] for name, value in losses.items()}
        alpha = seen
    each = smooth_l1(alpha.detach().float() - batch["alpha"]).mean(dim=(1, 2, 3))
    return {**losses, "per_sample": each}


def _matting_losses(alpha: Tensor, batch: Batch, phase: PhaseConfig) -> Losses:
    loss = phase.loss
    terms = {"prediction": prediction_loss(alpha, batch["alpha"], batch["foreground"], batch["background"])}
    total = loss.prediction * terms["prediction"]
    if loss.laplacian:
        terms["laplacian"] = laplacian_loss(alpha, batch["alpha"])
        total = total + loss.laplacian * terms["laplacian"]
    if loss.gradient:
        terms["gradient"] = gradient_loss(alpha, batch["alpha"])
        total = total + loss.gradient * terms["gradient"]
    return {"total": total, **terms}


def mad(alpha: Tensor, truth: Tensor) -> float:
    """Mean absolute difference over the whole image, in 1e-3."""
    return 1e3 * (alpha.float() - truth).abs().mean().item()


def grey_trimap(numbers: Tensor) -> Tensor:
    """Class numbers (N, H, W) → (N, 1, H, W): 0 background, 0.5 unknown, 1 foreground; ignored pixels 0.25."""
    return torch.where(numbers == IGNORE, 0.25, numbers.clamp(max=2) / 2)[:, None]


def trimap_figures(logits: Tensor, classes: Tensor, unknown_weight: float) -> dict[str, float]:
    """Cross entropy, and the share of pixels called known that are of the other known class, in 1e-3."""
    if logits.shape[-2:] != classes.shape[-2:]:
        classes = F.interpolate(classes[:, None].float(), size=logits.shape[-2:], mode="nearest")[:, 0].long()
    called = logits.argmax(dim=1)
    wrong = ((called == 0) & (classes == 2)) | ((called == 2) & (classes == 0))
    return {
        "cross_entropy": trimap_loss(logits, classes, unknown_weight).item(),
        "swapped": 1e3 * wrong.float().mean().item(),
        "unknown_share": 1e3 * (called == 1).float().mean().item(),
        "true_unknown_share": 1e3 * (classes == 1).float().sum().item() / max(1, int((classes != IGNORE).sum())),
    }
