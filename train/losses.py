"""Losses of Semantic Human Matting and Deep Image Matting, and the Laplacian pyramid loss.

Functions in the plural give one mean for each sample, (N,); the singular is the mean of those, so that several
processes and parts of a batch together give the number that one would. Everything is computed in float32, whatever the
networks ran in.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-6
IGNORE = 255


def smooth_l1(difference: Tensor) -> Tensor:
    """√(d² + ε²), ε = 1e-6 (Deep Image Matting, equation 2), elementwise."""
    return torch.sqrt(difference.square() + EPSILON**2)


def unknown_mean(values: Tensor, unknown: Tensor) -> Tensor:
    """Mean of (N, C, H, W) over each sample's pixels where ``unknown``, bool (N, H, W), is true: (N,).

    A sample without such pixels gives 0.
    """
    mask = unknown[:, None]
    return (values * mask).sum(dim=(1, 2, 3)) / (mask.sum(dim=(1, 2, 3)) * values.shape[1]).clamp(min=1)


def unknown_alpha_losses(alpha: Tensor, truth: Tensor, unknown: Tensor) -> Tensor:
    """|α − α_g| over the unknown region of each sample (Deep Image Matting, equation 1): (N,); shapes as below."""
    return unknown_mean(smooth_l1(alpha.float() - truth), unknown)


def unknown_composition_losses(
    alpha: Tensor, truth: Tensor, foreground: Tensor, background: Tensor, unknown: Tensor
) -> Tensor:
    """|c − c_g| over the unknown region of each sample (Deep Image Matting, equation 3): (N,).

    Each colour channel counts by itself: were the signed differences of the channels summed before they are squared,
    too much red would make up for too little blue.

    Args:
        alpha, truth: (N, 1, H, W) in [0, 1].
        foreground, background: (N, 3, H, W) in [0, 1].
        unknown: bool (N, H, W).
    """
    return unknown_mean(smooth_l1((alpha.float() - truth) * (foreground - background)), unknown)


def alpha_losses(alpha: Tensor, truth: Tensor) -> Tensor:
    """|α − α_g| over the whole image of each sample; both (N, 1, H, W): (N,)."""
    return smooth_l1(alpha.float() - truth).mean(dim=(1, 2, 3))


def alpha_loss(alpha: Tensor, truth: Tensor) -> Tensor:
    """Mean of :func:`alpha_losses`."""
    return alpha_losses(alpha, truth).mean()


def composition_losses(alpha: Tensor, truth: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """|c − c_g| with c = α·F + (1−α)·B over the whole image; colours (N, 3, H, W) in [0, 1]: (N,)."""
    return smooth_l1((alpha.float() - truth) * (foreground - background)).mean(dim=(1, 2, 3))


def composition_loss(alpha: Tensor, truth: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """Mean of :func:`composition_losses`."""
    return composition_losses(alpha, truth, foreground, background).mean()


def prediction_losses(alpha: Tensor, truth: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """L_p = 0.5·|α − α_g| + 0.5·|c − c_g| of each sample (Semantic Human Matting, equation 3): (N,)."""
    return 0.5 * alpha_losses(alpha, truth) + 0.5 * composition_losses(alpha, truth, foreground, background)


def prediction_loss(alpha: Tensor, truth: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """Mean of :func:`prediction_losses`."""
    return prediction_losses(alpha, truth, foreground, background).mean()


def trimap_losses(logits: Tensor, classes: Tensor, unknown_weight: float = 1.0) -> Tensor:
    """L_t: cross entropy of trimap logits (N, 3, h, w) against class numbers (N, H, W) of each sample: (N,).

    Class 255 is not looked at; a sample of nothing else gives 0. Classes are brought to the logits' size by the nearest
    neighbour. ``unknown_weight`` > 1 counts the rare unknown class more, in a weighted mean over each sample.
    """
    if logits.shape[-2:] != classes.shape[-2:]:
        classes = F.interpolate(classes[:, None].float(), size=logits.shape[-2:], mode="nearest")[:, 0].long()
    weight = logits.new_tensor([1.0, unknown_weight, 1.0], dtype=torch.float32)
    entropy = F.cross_entropy(logits.float(), classes, weight=weight, ignore_index=IGNORE, reduction="none")
    seen = classes != IGNORE
    weights = weight[classes.where(seen, 0)] * seen
    return entropy.sum(dim=(1, 2)) / weights.sum(dim=(1, 2)).clamp(min=1e-6)


def trimap_loss(logits: Tensor, classes: Tensor, unknown_weight: float = 1.0) -> Tensor:
    """Mean of :func:`trimap_losses`."""
    return trimap_losses(logits, classes, unknown_weight).mean()


def soft_trimap_losses(logits: Tensor, target: Tensor, unknown_weight: float = 1.0) -> Tensor:
    """Divergence Σ p·(log p − log q) of trimap logits' q from class probabilities p (N, 3, H, W) of each sample: (N,).

    Never negative, 0 where both are the same; probabilities are averaged to the logits' size. A pixel counts by what
    the target's classes count, the unknown one ``unknown_weight`` times.
    """
    if logits.shape[-2:] != target.shape[-2:]:
        target = F.interpolate(target, size=logits.shape[-2:], mode="bilinear", align_corners=False, antialias=True)
    counts = (target * target.new_tensor([1.0, unknown_weight, 1.0])[:, None, None]).sum(dim=1)
    each = F.kl_div(torch.log_softmax(logits.float(), dim=1), target, reduction="none").sum(dim=1)
    return (counts * each).sum(dim=(1, 2)) / counts.sum(dim=(1, 2))


def _blur(x: Tensor) -> Tensor:
    kernel = x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    x = F.conv2d(F.pad(x, (2, 2, 0, 0), mode="replicate"), kernel[None, None, None])
    return F.conv2d(F.pad(x, (0, 0, 2, 2), mode="replicate"), kernel[None, None, :, None])


def laplacian_losses(alpha: Tensor, truth: Tensor, levels: int = 5) -> Tensor:
    """Σ 2^k·mean|L_k(α) − L_k(α_g)| over a Gaussian–Laplacian pyramid (Hou and Liu 2019, arXiv 1909.09725, sec. 3.3).

    Of each sample, (N,); both alphas (N, 1, H, W). The pyramid is linear, so it is taken of the difference.
    """
    difference = alpha.float() - truth
    total = difference.new_zeros(len(difference))
    for level in range(levels):
        small = _blur(difference)[..., ::2, ::2]
        restored = F.interpolate(small, size=difference.shape[-2:], mode="bilinear", align_corners=False)
        total = total + 2**level * (difference - restored).abs().mean(dim=(1, 2, 3))
        difference = small
    return total / levels


def laplacian_loss(alpha: Tensor, truth: Tensor, levels: int = 5) -> Tensor:
    """Mean of :func:`laplacian_losses`."""
    return laplacian_losses(alpha, truth, levels).mean()


def gradient_losses(alpha: Tensor, truth: Tensor) -> Tensor:
    """mean|∂x α − ∂x α_g| + mean|∂y α − ∂y α_g|, by differences of neighbours.

    Of each sample, (N,); both alphas (N, 1, H, W).
    """
    difference = alpha.float() - truth
    across = (difference[..., 1:] - difference[..., :-1]).abs().mean(dim=(1, 2, 3))
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean(dim=(1, 2, 3))
    return across + down


def gradient_loss(alpha: Tensor, truth: Tensor) -> Tensor:
    """Mean of :func:`gradient_losses`."""
    return gradient_losses(alpha, truth).mean()
