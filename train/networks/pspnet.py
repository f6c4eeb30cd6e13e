"""PSPNet-50: dilated ResNet-50 and pyramid pooling; the T-Net of Semantic Human Matting.

Zhao et al. 2017, arXiv 1612.01105, figure 3; ResNet-50 of He et al. 2015, arXiv 1512.03385, with the stride of a stage
on its 3×3 convolution; the last two stages dilate by 2 and 4 instead of halving the size, so that features stay at
stride 8 (section 4.1). The names of the encoder's tensors are those of the common ResNet-50 checkpoints.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.networks.padding import pad_to_stride

BINS = (1, 2, 3, 6)


class Bottleneck(nn.Module):
    """1×1 down to ``width``, 3×3, 1×1 up to 4·``width``, each with batch norm; the input is added."""

    def __init__(self, cin: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        cout = 4 * width
        self.conv1 = nn.Conv2d(cin, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, cout, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(cout)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def stage(cin: int, width: int, blocks: int, *, stride: int, dilation: int) -> nn.Sequential:
    """``blocks`` bottlenecks, the first of which changes the channels and the size."""
    first = Bottleneck(cin, width, stride, dilation)
    return nn.Sequential(first, *(Bottleneck(4 * width, width, 1, dilation) for _ in range(blocks - 1)))


class DilatedResNet50(nn.Module):
    """(N, 3, H, W) with H and W multiples of 8 → features (N, 2048, H/8, W/8)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = stage(64, 64, 3, stride=1, dilation=1)
        self.layer2 = stage(256, 128, 4, stride=2, dilation=1)
        self.layer3 = stage(512, 256, 6, stride=1, dilation=2)
        self.layer4 = stage(1024, 512, 3, stride=1, dilation=4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))  # stride 2
        x = F.max_pool2d(x, 3, 2, padding=1)  # stride 4
        x = self.layer1(x)
        x = self.layer2(x)  # stride 8
        x = self.layer3(x)
        features: Tensor = self.layer4(x)
        return features


def averaging_matrix(size: int, bins: int, like: Tensor) -> Tensor:
    """(bins, size): row i averages the pixels from ⌊i·size/bins⌋ up to ⌈(i+1)·size/bins⌉."""
    pixel = torch.arange(size, device=like.device)
    row = torch.arange(bins, device=like.device)[:, None]
    inside = (pixel >= row * size // bins) & (pixel < ((row + 1) * size + bins - 1) // bins)
    return inside.to(like.dtype) / inside.sum(1, keepdim=True).to(like.dtype)


def average_bins(x: Tensor, bins: int) -> Tensor:
    """(N, C, H, W) → means of ``bins`` × ``bins`` regions (N, C, bins, bins).

    The same as ``F.adaptive_avg_pool2d``, as two matrix products: adaptive pooling of any size has no ONNX operator.
    """
    rows, columns = averaging_matrix(x.shape[-2], bins, x), averaging_matrix(x.shape[-1], bins, x)
    return rows @ x @ columns.T


def conv_bn(cin: int, cout: int, kernel: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU; keeps the size."""
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True)
    )


class PyramidPooling(nn.Module):
    """(N, C, H, W) → (N, 2C, H, W): the features, then their means over 1, 2×2, 3×3, 6×6 regions, C/4 channels each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(conv_bn(channels, channels // len(BINS), 1) for _ in BINS)

    def forward(self, x: Tensor) -> Tensor:
        levels = [x]
        for bins, level in zip(BINS, self.levels, strict=True):
            means = level(average_bins(x, bins))
            levels.append(F.interpolate(means, size=x.shape[-2:], mode="bilinear", align_corners=False))
        return torch.cat(levels, dim=1)


class PSPNet(nn.Module):
    """Normalised RGB (N, 3, H, W) → trimap logits (N, 3, H, W): background, unknown, foreground.

    Any size works: the picture is padded to a multiple of 8 by mirroring it at its edges, and the logits are cut back.
    In training, N must be at least 2: the batch norm after the 1×1 region has one value a picture.
    """

    stride = 8
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(self) -> None:
        super().__init__()
        self.encoder = DilatedResNet50()
        self.pyramid = PyramidPooling(2048)
        self.head = nn.Sequential(conv_bn(4096, 512, 3), nn.Dropout2d(0.1), nn.Conv2d(512, 3, 1))

    def forward(self, rgb: Tensor) -> Tensor:
        height, width = rgb.shape[-2:]
        x = pad_to_stride(rgb, self.stride)
        logits: Tensor = self.head(self.pyramid(self.encoder(x)))  # stride 8
        logits = F.interpolate(logits, scale_factor=8.0, mode="bilinear", align_corners=False)
        return logits[..., :height, :width]


def load_imagenet(network: PSPNet, resnet50: Mapping[str, Tensor]) -> None:
    """Start the encoder from a ResNet-50 that was trained on ImageNet, in place.

    Args:
        network: whose encoder is filled; the pyramid and the head stay as they are.
        resnet50: a state dict with the common names (``conv1.weight``, ``layer1.0.bn1.running_mean``, …); its
            classifier ``fc`` is not used.

    Raises:
        ValueError: a tensor is missing, is not known, or has another shape.
    """
    tensors = {name: tensor for name, tensor in resnet50.items() if not name.startswith("fc.")}
    try:
        network.encoder.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"these are not the weights of a ResNet-50: {' '.join(str(error).split())[:300]}") from error
