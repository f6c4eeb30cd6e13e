"""Light T-Net: picture → trimap logits, an inverted-residual encoder with a top-down decoder.

Same job as the PSPNet-50 of Semantic Human Matting (Chen et al. 2018, arXiv 1809.01354, section 4.1), sized for a CPU:
inverted residual blocks (Sandler et al. 2018, arXiv 1801.04381) down to stride 32, lateral 1×1 convolutions added on
the way up (Lin et al. 2017, arXiv 1612.03144). Widths and kernels follow the segmentation branch of the BlazePose
"full" landmark network (Bazarevsky et al. 2020, arXiv 2006.10204; Apache-2.0), so that its weights, learnt on real
people, can start the training: :mod:`train.pretrained`. There is no batch norm: the weights come with it folded in.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# One row a stride: (kernel, width) of each inverted residual block; the first block of a row halves the picture.
STAGES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((3, 24), (3, 24)),  # stride 4
    ((5, 32), (5, 32)),  # stride 8
    ((3, 64), (3, 64), (3, 64), (5, 88), (5, 88), (5, 88)),  # stride 16
    ((5, 144), (5, 144), (5, 144), (5, 144)),  # stride 32
)
STEM, STRIDE2 = 24, 16
LATERAL, DETAIL = 48, 8


def conv(cin: int, cout: int, kernel: int = 1, stride: int = 1, *, act: bool = True) -> nn.Sequential:
    """Convolution that keeps (or halves) the size, with ReLU6 unless ``act`` is False."""
    layers: list[nn.Module] = [nn.Conv2d(cin, cout, kernel, stride, kernel // 2)]
    return nn.Sequential(*layers, nn.ReLU6()) if act else nn.Sequential(*layers)


def depthwise(channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """One filter a channel, then ReLU6."""
    return nn.Sequential(nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels), nn.ReLU6())


def separable(cin: int, cout: int, *, act: bool = True) -> nn.Sequential:
    """3×3 depthwise, then 1×1."""
    return nn.Sequential(depthwise(cin, 3), conv(cin, cout, act=act))


class InvertedResidual(nn.Module):
    """1×1 expand, k×k depthwise, 1×1 project without activation; identity added where shapes allow."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(cin, cin * expand), depthwise(cin * expand, kernel, stride), conv(cin * expand, cout, act=False)
        )
        self.keeps_shape = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.keeps_shape else self.body(x)


class Residual(nn.Module):
    """Separable convolution with the identity added before the activation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = separable(channels, channels, act=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(x + self.body(x))


def double(x: Tensor) -> Tensor:
    """Bilinear upsampling by two."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class MobileTNet(nn.Module):
    """RGB in [0, 1], float (N, 3, H, W) → trimap logits (N, 3, H, W): background, unknown, foreground.

    Any size works: the picture is padded to a multiple of 32 by repeating its edge, and the logits are cut back.
    """

    stride = 32
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, STEM, 3, 2), depthwise(STEM, 3), conv(STEM, STRIDE2, act=False))
        width, stages = STRIDE2, []
        for i, row in enumerate(STAGES):
            blocks = []
            for j, (kernel, cout) in enumerate(row):
                blocks.append(InvertedResidual(width, cout, kernel, 2 if j == 0 else 1, 4 if i == j == 0 else 6))
                width = cout
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.top = nn.Sequential(conv(width, 6 * width), depthwise(6 * width, 3), separable(6 * width, LATERAL))
        self.laterals = nn.ModuleList(separable(row[-1][1], LATERAL) for row in STAGES[:3])
        self.detail_lateral = separable(STRIDE2, DETAIL)
        self.to_detail = separable(LATERAL, DETAIL)
        self.at_half = nn.Sequential(Residual(DETAIL), Residual(DETAIL))
        self.at_full = nn.Sequential(Residual(DETAIL), Residual(DETAIL))
        self.head = nn.Conv2d(DETAIL, 3, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        height, width = rgb.shape[-2:]
        x = F.pad(rgb, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        stride2 = self.stem(x)
        features = [stride2]
        for stage in self.stages:
            features.append(stage(features[-1]))
        x = self.top(features[4])  # stride 32
        for lateral, feature in zip(reversed(self.laterals), features[3:0:-1], strict=True):
            x = double(x) + lateral(feature)  # strides 16, 8, 4
        x = self.at_half(double(self.to_detail(x)) + self.detail_lateral(stride2))
        logits: Tensor = self.head(self.at_full(double(x)))
        return logits[..., :height, :width]
