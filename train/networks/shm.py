"""Semantic Human Matting: a T-Net that says where, an M-Net that says how much, and their fusion.

Chen et al. 2018, arXiv 1809.01354. Channel order of every trimap: background, unknown, foreground.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.networks.mnet import LIGHT_DEPTHS, LIGHT_WIDTHS, MNet
from train.networks.tnet_mobile import LITE0, MobileTNet, with_hidden


class Prediction(NamedTuple):
    """``alpha`` (N, 1, H, W) fused, in [0, 1]; ``trimap_logits`` (N, 3, h, w) at the T-Net's own size."""

    alpha: Tensor
    trimap_logits: Tensor


def fuse(trimap: Tensor, alpha: Tensor) -> Tensor:
    """α = F + U·α_r (equation 1), from probabilities (N, 3, H, W) and the M-Net's alpha (N, 1, H, W)."""
    return trimap[:, 2:3] + trimap[:, 1:2] * alpha


def normalize(rgb: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(rgb − mean) / std a channel; ``rgb`` (N, 3, H, W) in [0, 1]."""
    shift = rgb.new_tensor(mean)[:, None, None]
    return (rgb - shift) / rgb.new_tensor(std)[:, None, None]


def probabilities_at(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Logits (N, 3, h, w) → class probabilities (N, 3, H, W) of ``size`` (H, W), in float32."""
    probabilities = torch.softmax(logits.float(), dim=1)
    if probabilities.shape[-2:] == tuple(size):
        return probabilities
    return F.interpolate(probabilities, size=tuple(size), mode="bilinear", align_corners=False)


def shrunk_logits(t_net: nn.Module, rgb: Tensor, long_side: int) -> Tensor:
    """What a T-Net makes of pictures (N, 3, H, W) in [0, 1], shrunk so that their longer side is at most ``long_side``.

    Logits (N, 3, h, w) of the shrunk size.
    """
    height, width = rgb.shape[-2:]
    scale = long_side / max(height, width)
    if scale < 1:
        size = (round(height * scale), round(width * scale))
        # The antialiased filter has no bfloat16 kernel on a CPU.
        with torch.autocast(rgb.device.type, enabled=False):
            rgb = F.interpolate(rgb.float(), size=size, mode="bilinear", align_corners=False, antialias=True)
    logits: Tensor = t_net(normalize(rgb, t_net.mean, t_net.std))  # type: ignore[arg-type]
    return logits


class SHM(nn.Module):
    """RGB (N, 3, H, W) in [0, 1] → :class:`Prediction`.

    Args:
        t_net: picture → trimap logits; has ``mean``, ``std``, ``stride``.
        m_net: picture, trimap probabilities → alpha; likewise.
        trimap_long_side: the T-Net looks at the picture shrunk so that its longer side is at most this.
        matting_long_side: the longer side at which the M-Net is meant to run (used by the exported bundle).
    """

    def __init__(self, t_net: nn.Module, m_net: MNet, *, trimap_long_side: int, matting_long_side: int) -> None:
        super().__init__()
        self.t_net, self.m_net = t_net, m_net
        self.trimap_long_side, self.matting_long_side = trimap_long_side, matting_long_side

    def trimap_logits(self, rgb: Tensor, long_side: int | None = None) -> Tensor:
        """T-Net alone, at its own size, or at another ``long_side``."""
        return shrunk_logits(self.t_net, rgb, long_side or self.trimap_long_side)

    def matte(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        """M-Net and fusion for a given trimap (probabilities, (N, 3, H, W))."""
        return fuse(trimap, self.m_net(normalize(rgb, self.m_net.mean, self.m_net.std), trimap))

    def forward(self, rgb: Tensor, trimap_long_side: int | None = None) -> Prediction:
        logits = self.trimap_logits(rgb, trimap_long_side)
        return Prediction(self.matte(rgb, probabilities_at(logits, rgb.shape[-2:])), logits)


def shm() -> SHM:
    """The paper's networks: PSPNet-50, and VGG16 with unpooling."""
    from train.networks.pspnet import PSPNet

    return SHM(PSPNet(), MNet(), trimap_long_side=800, matting_long_side=1500)


def shm_mobile(
    *,
    widths: Sequence[int] = LIGHT_WIDTHS,
    depths: Sequence[int] = LIGHT_DEPTHS,
    trimap_hidden: Sequence[int] | None = None,
    trimap_long_side: int = 320,
    matting_long_side: int = 512,
) -> SHM:
    """The same structure for a CPU.

    Args:
        widths, depths: of the M-Net's five stages, see :class:`train.networks.mnet.MNet`.
        trimap_hidden: widths inside the blocks of the T-Net's encoder, see `with_hidden`; None: those of its backbone.
        trimap_long_side, matting_long_side: see :class:`SHM`.

    Raises:
        ValueError: not five stages, a number that is not positive, or widths that the T-Net's blocks cannot have.
    """
    for name, stages in (("widths", widths), ("depths", depths)):
        if len(stages) != len(LIGHT_WIDTHS) or any(n < 1 for n in stages):
            raise ValueError(f"{name} are {len(LIGHT_WIDTHS)} positive numbers, not {list(stages)}")
    for name, side in (("trimap_long_side", trimap_long_side), ("matting_long_side", matting_long_side)):
        if side < 64:
            raise ValueError(f"{name} is at least 64 pixels, not {side}")
    light = MNet(tuple(widths), tuple(depths), decoder_kernel=3, skips=True)
    encoder = LITE0 if trimap_hidden is None else with_hidden(LITE0, trimap_hidden)
    return SHM(MobileTNet(encoder), light, trimap_long_side=trimap_long_side, matting_long_side=matting_long_side)
