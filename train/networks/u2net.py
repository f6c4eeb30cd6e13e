"""U²-Net: a U of U-shaped blocks; picture → alpha in one step.

Qin et al. 2020, arXiv 2005.09007, figures 2 and 5 and table 1. Each block (RSU-L) is itself a small U of height L with
a residual connection; the last ones (RSU-4F) keep their size and dilate instead.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(cin: int, cout: int, dilation: int = 1) -> nn.Sequential:
    """3×3 convolution, batch norm, ReLU; keeps the size."""
    return nn.Sequential(
        nn.Conv2d(cin, cout, 3, padding=dilation, dilation=dilation), nn.BatchNorm2d(cout), nn.ReLU(inplace=True)
    )


def halve(x: Tensor) -> Tensor:
    """2×2 max-pooling; an odd size is rounded up."""
    return F.max_pool2d(x, 2, ceil_mode=True)


def resize_like(x: Tensor, target: Tensor) -> Tensor:
    """Bilinear, to the height and width of ``target``."""
    return F.interpolate(x, size=target.shape[-2:], mode="bilinear", align_corners=False)


class RSU(nn.Module):
    """Residual U-block of height ``height``: (N, cin, H, W) → (N, cout, H, W), with ``mid`` channels inside."""

    def __init__(self, height: int, cin: int, mid: int, cout: int) -> None:
        super().__init__()
        self.enter = conv(cin, cout)
        self.down = nn.ModuleList([conv(cout, mid), *(conv(mid, mid) for _ in range(height - 2))])
        self.bottom = conv(mid, mid, dilation=2)
        self.up = nn.ModuleList([*(conv(2 * mid, mid) for _ in range(height - 2)), conv(2 * mid, cout)])

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        features = [self.down[0](entered)]
        for layer in self.down[1:]:
            features.append(layer(halve(features[-1])))
        x = self.bottom(features[-1])
        for layer, feature in zip(self.up, reversed(features), strict=True):
            x = layer(torch.cat([resize_like(x, feature), feature], dim=1))
        return x + entered


class RSU4F(nn.Module):
    """Residual block of height 4 that dilates by 1, 2, 4, 8 where :class:`RSU` shrinks."""

    def __init__(self, cin: int, mid: int, cout: int) -> None:
        super().__init__()
        self.enter = conv(cin, cout)
        self.down = nn.ModuleList([conv(cout, mid), conv(mid, mid, 2), conv(mid, mid, 4)])
        self.bottom = conv(mid, mid, 8)
        self.up = nn.ModuleList([conv(2 * mid, mid, 4), conv(2 * mid, mid, 2), conv(2 * mid, cout)])

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        features = [self.down[0](entered)]
        for layer in self.down[1:]:
            features.append(layer(features[-1]))
        x = self.bottom(features[-1])
        for layer, feature in zip(self.up, reversed(features), strict=True):
            x = layer(torch.cat([x, feature], dim=1))
        return x + entered


class NestedU(nn.Module):
    """Normalised RGB (N, 3, H, W) → logits of alpha, seven times (N, 1, H, W): fused, then sides 1 to 6.

    ``torch.sigmoid`` of the first is the alpha; in training, the loss is the sum over all seven. Any size works.

    Args:
        encoder: En_1 … En_6; the size is halved before each but the first.
        decoder: De_5 … De_1; each takes what is below it and the encoder's block at its own height.
        widths: channels that come out of De_1 … De_5 and En_6.
    """

    stride = 32
    long_side = 320
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(self, encoder: Sequence[nn.Module], decoder: Sequence[nn.Module], widths: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
        self.sides = nn.ModuleList(nn.Conv2d(width, 1, 3, padding=1) for width in widths)
        self.fuse = nn.Conv2d(len(widths), 1, 1)

    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        features = [self.encoder[0](rgb)]
        for stage in self.encoder[1:]:
            features.append(stage(halve(features[-1])))
        decoded = [features.pop()]
        for stage, feature in zip(self.decoder, reversed(features), strict=True):
            decoded.append(stage(torch.cat([resize_like(decoded[-1], feature), feature], dim=1)))
        decoded.reverse()  # De_1 … De_5, En_6
        sides = [resize_like(side(x), rgb) for side, x in zip(self.sides, decoded, strict=True)]
        return self.fuse(torch.cat(sides, dim=1)), *sides


class U2Net(NestedU):
    """The full network: 44 million parameters."""

    def __init__(self) -> None:
        super().__init__(
            encoder=[
                RSU(7, 3, 32, 64),
                RSU(6, 64, 32, 128),
                RSU(5, 128, 64, 256),
                RSU(4, 256, 128, 512),
                RSU4F(512, 256, 512),
                RSU4F(512, 256, 512),
            ],
            decoder=[
                RSU4F(1024, 256, 512),
                RSU(4, 1024, 128, 256),
                RSU(5, 512, 64, 128),
                RSU(6, 256, 32, 64),
                RSU(7, 128, 16, 64),
            ],
            widths=[64, 64, 128, 256, 512, 512],
        )


class U2NetP(NestedU):
    """The small one (U²-Net†): 64 channels between all stages and 16 within, 1.1 million parameters."""

    def __init__(self) -> None:
        super().__init__(
            encoder=[
                RSU(7, 3, 16, 64),
                RSU(6, 64, 16, 64),
                RSU(5, 64, 16, 64),
                RSU(4, 64, 16, 64),
                RSU4F(64, 16, 64),
                RSU4F(64, 16, 64),
            ],
            decoder=[
                RSU4F(128, 16, 64),
                RSU(4, 128, 16, 64),
                RSU(5, 128, 16, 64),
                RSU(6, 128, 16, 64),
                RSU(7, 128, 16, 64),
            ],
            widths=[64] * 6,
        )
