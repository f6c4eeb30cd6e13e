"""Light T-Net: picture → trimap logits, an inverted-residual encoder with a top-down decoder.

Same job as the PSPNet-50 of Semantic Human Matting (Chen et al. 2018, arXiv 1809.01354, section 4.1), sized for a CPU:
inverted residual blocks (Sandler et al. 2018, arXiv 1801.04381) down to stride 32, a globally pooled feature as the
coarsest level of PSPNet's pyramid (Zhao et al. 2017, arXiv 1612.01105), and lateral 1×1 convolutions added on the way
up (Lin et al. 2017, arXiv 1612.03144). The logits are computed at stride 2: a trimap needs no finer edge.

The encoder has the shape of EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946, without squeeze-and-excitation), so
that its ImageNet weights can start the training: :mod:`train.pretrained`. What it has too much of for three classes can
be taken out of its blocks afterwards: :mod:`train.thin`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor, nn

from train.networks.depthwise import DepthwiseConv2d
from train.networks.padding import pad_to_stride


@dataclass(frozen=True)
class Block:
    """One inverted residual block: depthwise kernel, output width, stride, expansion.

    ``hidden``: the width between its 1×1 convolutions, where it is not ``expand`` times the block's input; 0 for a
    block that hands on what it is given.
    """

    kernel: int
    width: int
    stride: int
    expand: int = 6
    hidden: int | None = None

    def hidden_width(self, cin: int) -> int:
        """The width between the 1×1 convolutions when the block is given ``cin`` channels."""
        return cin * self.expand if self.hidden is None else self.hidden

    def keeps_shape(self, cin: int) -> bool:
        """Whether what it gives has the shape of the ``cin`` channels it is given."""
        return self.stride == 1 and cin == self.width


def _row(kernel: int, width: int, stride: int, count: int, expand: int = 6) -> list[Block]:
    return [Block(kernel, width, stride if i == 0 else 1, expand) for i in range(count)]


@dataclass(frozen=True)
class EncoderShape:
    """Width of the first convolution (stride 2), then the blocks in order."""

    stem: int
    blocks: tuple[Block, ...]


LITE0 = EncoderShape(
    32,
    (
        *_row(3, 16, 1, 1, 1),
        *_row(3, 24, 2, 2),
        *_row(5, 40, 2, 2),
        *(*_row(3, 80, 2, 3), *_row(5, 112, 1, 3)),
        *(*_row(5, 192, 2, 4), *_row(3, 320, 1, 1)),
    ),
)
DECODER_WIDTHS = (64, 48, 32, 16)  # at strides 16, 8, 4, 2


def with_hidden(shape: EncoderShape, hidden: Sequence[int]) -> EncoderShape:
    """The same encoder with other widths inside its blocks, one number each; see `Block.hidden`.

    Raises:
        ValueError: not a number for each block, or one that the block cannot have.
    """
    if len(hidden) != len(shape.blocks):
        raise ValueError(f"trimap_hidden are {len(shape.blocks)} widths, one for each block, not {len(hidden)}")
    blocks, cin = [], shape.stem
    for number, (block, width) in enumerate(zip(shape.blocks, hidden, strict=True)):
        if block.expand == 1 and width != cin:
            raise ValueError(f"trimap_hidden: block {number} has no convolution before its own, so {cin}, not {width}")
        if width < 0 or (width == 0 and not block.keeps_shape(cin)):
            raise ValueError(f"trimap_hidden: block {number} changes size or width, so more than 0, not {width}")
        blocks.append(replace(block, hidden=width))
        cin = block.width
    return EncoderShape(shape.stem, tuple(blocks))


def conv(cin: int, cout: int, kernel: int = 1, stride: int = 1, *, act: bool = True, groups: int = 1) -> nn.Sequential:
    """Convolution that keeps (or halves) the size, batch norm, and ReLU6 unless ``act`` is False."""
    depthwise = groups == cin == cout
    convolution = (
        DepthwiseConv2d(cin, kernel, stride)
        if depthwise
        else nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
    )
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(cout)]
    return nn.Sequential(*layers, nn.ReLU6()) if act else nn.Sequential(*layers)


class InvertedResidual(nn.Module):
    """1×1 expand, k×k depthwise, 1×1 project without activation; identity added where shapes allow.

    A block without hidden channels has no ``body``.
    """

    def __init__(self, cin: int, block: Block) -> None:
        super().__init__()
        hidden = block.hidden_width(cin)
        self.body = None
        if hidden:
            expand = [conv(cin, hidden)] if block.expand > 1 else []
            self.body = nn.Sequential(
                *expand,
                conv(hidden, hidden, block.kernel, block.stride, groups=hidden),
                conv(hidden, block.width, act=False),
            )
        self.halves = block.stride == 2
        self.keeps_shape = block.keeps_shape(cin)

    def forward(self, x: Tensor) -> Tensor:
        if self.body is None:
            return x
        given: Tensor = self.body(x)
        return x + given if self.keeps_shape else given


class Encoder(nn.Module):
    """Normalised RGB → features at strides 2, 4, 8, 16 and 32."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.stem = conv(3, shape.stem, 3, 2)
        width, self.widths, blocks = shape.stem, [], []
        for block in shape.blocks:
            if block.stride == 2:
                self.widths.append(width)
            blocks.append(InvertedResidual(width, block))
            width = block.width
        self.widths.append(width)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        x = self.stem(x)
        for block in self.blocks:
            if block.halves:
                features.append(x)
            x = block(x)
        return [*features, x]


class Merge(nn.Module):
    """Twice enlarged coarse features plus the encoder's own, then one separable convolution."""

    def __init__(self, coarse: int, fine: int, width: int) -> None:
        super().__init__()
        self.reduce = conv(coarse, width, act=False)
        self.lateral = conv(fine, width, act=False)
        self.mix = nn.Sequential(conv(width, width, 3, groups=width), conv(width, width))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        up = F.interpolate(self.reduce(coarse), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.mix(F.relu6(up + self.lateral(fine)))  # type: ignore[no-any-return]


class MobileTNet(nn.Module):
    """Normalised RGB, float (N, 3, H, W) → trimap logits (N, 3, H, W): background, unknown, foreground.

    Any size works: the picture is padded to a multiple of 32 by mirroring it at its edges, and the logits are cut back.
    """

    stride = 32
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(self, shape: EncoderShape = LITE0) -> None:
        super().__init__()
        self.encoder = Encoder(shape)
        fine = self.encoder.widths
        self.context = conv(fine[4], fine[4], act=False)
        merges, coarse = [], fine[4]
        for width, lateral in zip(DECODER_WIDTHS, reversed(fine[:4]), strict=True):
            merges.append(Merge(coarse, lateral, width))
            coarse = width
        self.merges = nn.ModuleList(merges)
        self.head = nn.Conv2d(coarse, 3, 3, padding=1)

    def half_logits(self, rgb: Tensor) -> Tensor:
        """The logits as they are computed, (N, 3, H/2, W/2); H and W are multiples of 32."""
        *fine, x = self.encoder(rgb)
        # Mean over the picture: what kind of scene it is, for every pixel.
        x = x + self.context(x).mean(dim=(2, 3), keepdim=True)
        for merge, lateral in zip(self.merges, reversed(fine), strict=True):
            x = merge(x, lateral)  # strides 16, 8, 4, 2
        logits: Tensor = self.head(x)
        return logits

    def forward(self, rgb: Tensor) -> Tensor:
        height, width = rgb.shape[-2:]
        logits = self.half_logits(pad_to_stride(rgb, self.stride))
        logits = F.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)
        return logits[..., :height, :width]
