"""M-Net: picture + trimap → alpha of the unknown region, by pooling with indices and unpooling.

Semantic Human Matting (Chen et al. 2018, arXiv 1809.01354), section 4.2: VGG16's 13 convolutions and 4 max-poolings on
6 channels (RGB and three class probabilities), then 6 convolutions and 4 unpoolings that put each value back where its
maximum was, batch norm after each convolution, Deep Image Matting's conv6/deconv6 removed. The same class scaled down,
with the encoder's features added after each unpooling, is the light M-Net.
"""

import torch
from torch import Tensor, nn

from train.networks.padding import pad_to_stride
from train.networks.pooling import MaxPool, MaxUnpool

VGG16_WIDTHS = (64, 128, 256, 512, 512)
VGG16_DEPTHS = (2, 2, 3, 3, 3)
LIGHT_WIDTHS = (16, 32, 48, 64, 64)
LIGHT_DEPTHS = (1, 1, 2, 2, 2)


def conv_bn(cin: int, cout: int, kernel: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU; keeps the size."""
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True)
    )


class MNet(nn.Module):
    """Normalised RGB (N, 3, H, W) and trimap probabilities (N, 3, H, W) → alpha (N, 1, H, W) in [0, 1].

    Args:
        widths: channels of the five encoder stages.
        depths: convolutions of each stage.
        decoder_kernel: kernel of the decoder's convolutions.
        skips: add the encoder's features after each unpooling. The paper has none; a narrow network needs them,
            since the indices tell where an edge is but not what colour it has.

    Any size works: inputs are padded to a multiple of 16 by mirroring them at the edges, the alpha is cut back.
    """

    stride = 16
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(
        self,
        widths: tuple[int, ...] = VGG16_WIDTHS,
        depths: tuple[int, ...] = VGG16_DEPTHS,
        *,
        decoder_kernel: int = 5,
        skips: bool = False,
    ) -> None:
        super().__init__()
        self.skips = skips
        stages, cin = [], 6
        for width, depth in zip(widths, depths, strict=True):
            layers = []
            for _ in range(depth):
                layers.append(conv_bn(cin, width, 3))
                cin = width
            stages.append(nn.Sequential(*layers))
        self.encoder = nn.ModuleList(stages)
        self.pools = nn.ModuleList(MaxPool() for _ in widths[:-1])
        self.unpools = nn.ModuleList(MaxUnpool() for _ in widths[:-1])
        # Each decoder convolution brings the channels to what the next unpooling's indices expect.
        targets = [*reversed(widths[:-1]), widths[0]]
        decoder = []
        for target in targets:
            decoder.append(conv_bn(cin, target, decoder_kernel))
            cin = target
        self.decoder = nn.ModuleList(decoder)
        self.predict = nn.Conv2d(cin, 1, decoder_kernel, padding=decoder_kernel // 2)

    def forward(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        height, width = rgb.shape[-2:]
        x = torch.cat([rgb, trimap], dim=1)
        x = pad_to_stride(x, self.stride)
        features, records = [], []
        for stage, pool in zip(self.encoder, self.pools, strict=False):
            x = stage(x)
            features.append(x)
            x, record = pool(x)
            records.append(record)
        x = self.encoder[-1](x)  # stride 16
        for conv, unpool in zip(self.decoder, self.unpools, strict=False):
            x = unpool(conv(x), records.pop())
            if self.skips:
                x = x + features.pop()
        alpha = torch.sigmoid(self.predict(self.decoder[-1](x)))
        return alpha[..., :height, :width]
