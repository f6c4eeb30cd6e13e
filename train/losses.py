"""Losses of the three phases of Semantic Human Matting, and the Laplacian pyramid loss.

Everything is computed in float32, whatever the networks ran in.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-6
IGNORE = 255


def smooth_l1(difference: Tensor) -> Tensor:
    """√(d² + ε²), ε = 1e-6 (Deep Image Matting, equation 2), elementwise."""
    return torch.sqrt(difference.square() + EPSILON**2)


def alpha_loss(alpha: Tensor, truth: Tensor) -> Tensor:
    """|α − α_g| over the whole image; both (N, 1, H, W)."""
    return smooth_l1(alpha.float() - truth).mean()


def composition_loss(alpha: Tensor, truth: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """|c − c_g| with c = α·F + (1−α)·B over the whole image; colours (N, 3, H, W) in [0, 1]."""
    return smooth_l1((alpha.float() - truth) * (foreground - background)).mean()


def prediction_loss(alpha: Tensor, truth: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """L_p = 0.5·|α − α_g| + 0.5·|c − c_g| (Semantic Human Matting, equation 3)."""
    return 0.5 * alpha_loss(alpha, truth) + 0.5 * composition_loss(alpha, truth, foreground, background)


def trimap_loss(logits: Tensor, classes: Tensor, unknown_weight: float = 1.0) -> Tensor:
    """L_t: cross entropy of trimap logits (N, 3, h, w) against class numbers (N, H, W); 255 is not looked at.

    Classes are brought to the logits' size by the nearest neighbour. ``unknown_weight`` > 1 counts the rare unknown
    class more.
    """
    if logits.shape[-2:] != classes.shape[-2:]:
        classes = F.interpolate(classes[:, None].float(), size=logits.shape[-2:], mode="nearest")[:, 0].long()
    weight = logits.new_tensor([1.0, unknown_weight, 1.0], dtype=torch.float32)
    return F.cross_entropy(logits.float(), classes, weight=weight, ignore_index=IGNORE)


def _blur(x: Tensor) -> Tensor:
    kernel = x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    x = F.conv2d(F.pad(x, (2, 2, 0, 0), mode="replicate"), kernel[None, None, None])
    return F.conv2d(F.pad(x, (0, 0, 2, 2), mode="replicate"), kernel[None, None, :, None])


def laplacian_loss(alpha: Tensor, truth: Tensor, levels: int = 5) -> Tensor:
    """Σ 2^k·mean|L_k(α) − L_k(α_g)| over a Gaussian–Laplacian pyramid (Hou and Liu 2019, arXiv 1909.09725, sec. 3.3).

    The pyramid is linear, so it is taken of the difference.
    """
    difference = alpha.float() - truth
    total = difference.new_zeros(())
    for level in range(levels):
        small = _blur(difference)[..., ::2, ::2]
        restored = F.interpolate(small, size=difference.shape[-2:], mode="bilinear", align_corners=False)
        total = total + 2**level * (difference - restored).abs().mean()
        difference = small
    return total / levels
