"""Deep Image Matting: picture + trimap → alpha, by an encoder-decoder and a small head that refines its alpha.

Xu et al. 2017, arXiv 1703.03872, section 3. Encoder: VGG16's 13 convolutions and 5 max-poolings on 4 channels (RGB and
trimap), and a 14th convolution, conv6, that stands for VGG16's first fully connected layer. Decoder: 6 convolutions, 5
unpoolings that put each value back where its maximum was, and a prediction. Refinement: 4 convolutions.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.networks.mnet import VGG16_DEPTHS, VGG16_WIDTHS
from train.networks.padding import pad_to_stride
from train.networks.pooling import MaxPool, MaxUnpool, PoolRecord

Upsampling = Literal["unpooling", "bilinear", "learned_bilinear", "deconvolution"]
REFINEMENT_WIDTH = 64


class Prediction(NamedTuple):
    """``raw`` of the encoder-decoder and ``refined``, both float (N, 1, H, W) in [0, 1]."""

    raw: Tensor
    refined: Tensor


def conv(cin: int, cout: int, kernel: int, *, batch_norm: bool) -> nn.Sequential:
    """Convolution, batch norm if wanted, ReLU; keeps the size."""
    layers: list[nn.Module] = [nn.Conv2d(cin, cout, kernel, padding=kernel // 2, bias=not batch_norm)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(cout))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


class PlainPool(nn.Module):
    """2×2 max-pooling that keeps no positions; (N, C, H, W) → (N, C, H/2, W/2)."""

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return F.max_pool2d(x, 2), None


class Bilinear(nn.Module):
    """Twice the size by fixed bilinear weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, record: None) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Deconvolution(nn.Module):
    """Twice the size by a transposed convolution of kernel 4, across all channels, and a ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)
        # Only 4 of the 16 taps meet in each output pixel, times all channels.
        nn.init.normal_(self.layer.weight, std=math.sqrt(2 / (4 * channels)))
        nn.init.zeros_(self.layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, record: None) -> Tensor:
        return F.relu(self.layer(x), inplace=True)


class LearnedBilinear(nn.Module):
    """Twice the size by a transposed convolution of kernel 4, each channel by itself, that begins as bilinear."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, groups=channels, bias=False)
        line = torch.tensor([0.25, 0.75, 0.75, 0.25])
        with torch.no_grad():
            self.layer.weight.copy_((line[:, None] * line).expand_as(self.layer.weight))

    def forward(self, x: Tensor, record: None) -> Tensor:
        enlarged: Tensor = self.layer(x)
        return enlarged


UPSAMPLINGS: dict[str, Callable[[int], nn.Module]] = {
    "unpooling": lambda channels: MaxUnpool(),
    "bilinear": Bilinear,
    "learned_bilinear": LearnedBilinear,
    "deconvolution": Deconvolution,
}
"""Channels → module that takes (N, C, H/2, W/2) and the record of the pooling of that level to (N, C, H, W)."""


class EncoderDecoder(nn.Module):
    """Normalised RGB and trimap in [−1, 1], (N, 4, H, W) with H and W multiples of 32 → alpha (N, 1, H, W) in [0, 1].

    Arguments as for :class:`DIM`.
    """

    def __init__(self, upsampling: Upsampling, bottleneck: int, batch_norm: bool, widths: tuple[int, ...]) -> None:
        super().__init__()
        stages, cin = [], 4
        for width, depth in zip(widths, VGG16_DEPTHS, strict=True):
            layers = []
            for _ in range(depth):
                layers.append(conv(cin, width, 3, batch_norm=batch_norm))
                cin = width
            stages.append(nn.Sequential(*layers))
        self.encoder = nn.ModuleList(stages)
        # Only with kernel 7 can conv6 be VGG16's fc6, and only then is it as wide: 4096 channels.
        conv6_width = 8 * cin if bottleneck == 7 else cin
        self.conv6 = conv(cin, conv6_width, bottleneck, batch_norm=batch_norm)
        self.deconv6 = conv(conv6_width, cin, 1, batch_norm=batch_norm)
        # Each decoder convolution brings the channels to what the next unpooling's positions expect.
        targets = (*reversed(widths[:-1]), widths[0])
        self.decoder = nn.ModuleList(
            conv(source, target, 5, batch_norm=batch_norm) for source, target in pairwise((cin, *targets))
        )
        self.pools = nn.ModuleList(MaxPool() if upsampling == "unpooling" else PlainPool() for _ in widths)
        self.upsamplings = nn.ModuleList(UPSAMPLINGS[upsampling](width) for width in reversed(widths))
        self.predict = nn.Conv2d(widths[0], 1, 5, padding=2)
        self._initialize(sparse=upsampling == "unpooling")

    def _initialize(self, *, sparse: bool) -> None:
        """Weights that keep the size of the activations (He et al. 2015): without batch norm, nothing else does."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        with torch.no_grad():
            if sparse:
                # An unpooled picture is zero in three of four places, which quarters the variance of what follows.
                for layer in self.decoder:
                    layer[0].weight.mul_(2)  # type: ignore[index]
            # Start near one half everywhere, where the sigmoid learns fastest.
            self.predict.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        records: list[PoolRecord | None] = []
        for stage, pool in zip(self.encoder, self.pools, strict=True):
            x, record = pool(stage(x))
            records.append(record)
        x = self.deconv6(self.conv6(x))  # stride 32
        for layer, enlarge in zip(self.decoder, self.upsamplings, strict=True):
            x = layer(enlarge(x, records.pop()))
        # In float32 whatever the layers ran in: bfloat16 has only steps of 1/256 near an alpha of 1.
        return torch.sigmoid(self.predict(x).float())


class Refinement(nn.Module):
    """Normalised RGB (N, 3, H, W) and alpha (N, 1, H, W) → what to add to the alpha (section 3.3).

    The last convolution starts at zero, so that an untrained head changes nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (4, *(REFINEMENT_WIDTH,) * 3)
        self.layers = nn.Sequential(*(conv(cin, cout, 3, batch_norm=False) for cin, cout in pairwise(widths)))
        self.predict = nn.Conv2d(REFINEMENT_WIDTH, 1, 3, padding=1)
        nn.init.zeros_(self.predict.weight)
        nn.init.zeros_(self.predict.bias)  # type: ignore[arg-type]

    def forward(self, rgb: Tensor, alpha: Tensor) -> Tensor:
        residual: Tensor = self.predict(self.layers(torch.cat([rgb, alpha.to(rgb.dtype)], dim=1)))
        return residual


class DIM(nn.Module):
    """Normalised RGB (N, 3, H, W) and trimap (N, 1, H, W) → :class:`Prediction`.

    The trimap is 0 for background, 0.5 for unknown, 1 for foreground (128/255 for unknown does as well). Inside it is
    stretched to [−1, 1], about the range of the normalised colours, so that the zeros with which convolutions pad say
    "unknown". The alpha counts in the unknown region only; elsewhere the trimap is the alpha.

    Any size works: inputs are padded to a multiple of 32 by mirroring them at the edges, the alpha is cut back.

    Args:
        upsampling: the paper's unpooling at remembered positions; or bilinear with fixed weights, the same with weights
            that learn (each channel for itself), or transposed convolutions.
        bottleneck: kernel of conv6, 1, 3 or 7. VGG16's fc6 as a convolution has 7, and 4096 channels; the others 512.
        batch_norm: after each convolution of the encoder-decoder, as VGG16-BN has it. The paper has none.
        widths: channels of the five encoder stages.

    Raises:
        ValueError: an option has another value than these.
    """

    stride = 32
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(
        self,
        *,
        upsampling: Upsampling = "unpooling",
        bottleneck: Literal[1, 3, 7] = 1,
        batch_norm: bool = False,
        widths: tuple[int, ...] = VGG16_WIDTHS,
    ) -> None:
        super().__init__()
        if upsampling not in UPSAMPLINGS:
            raise ValueError(f"upsampling {upsampling!r} is not one of {', '.join(UPSAMPLINGS)}")
        if bottleneck not in (1, 3, 7):
            raise ValueError(f"bottleneck {bottleneck!r} is not one of 1, 3, 7")
        if len(widths) != len(VGG16_DEPTHS):
            raise ValueError(f"widths must be {len(VGG16_DEPTHS)} numbers, one for each stage of the encoder")
        self.encoder_decoder = EncoderDecoder(upsampling, bottleneck, batch_norm, tuple(widths))
        self.refinement = Refinement()

    def forward(self, rgb: Tensor, trimap: Tensor) -> Prediction:
        height, width = rgb.shape[-2:]
        x = torch.cat([rgb, 2 * trimap - 1], dim=1)
        x = pad_to_stride(x, self.stride)
        raw = self.encoder_decoder(x)
        # Where the head does not learn, nothing needs to be kept for going back through it.
        seen = raw if next(self.refinement.parameters()).requires_grad else raw.detach()
        total = raw + self.refinement(x[:, :3], seen)
        refined = total.clamp(0, 1)
        if self.training:
            # The same values, but the gradient passes where clamping would stop it and leave a wrong 0 or 1 for ever.
            refined = refined.detach() + (total - total.detach())
        return Prediction(raw[..., :height, :width], refined[..., :height, :width])
