"""Does an exported network still give what PyTorch gives?

Without unpooling, every value must be within :data:`TOLERANCE`. With it, two pixels of a window that are equal to
within rounding may swap places, and the alpha around that window changes visibly: engines add up in different orders,
so this happens at a few windows of a large picture. There, the mean and nearly all values must be within it.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor

from export.roles import RoleNetwork
from realtime_matting.engines import EngineName, Precision, open_engine
from realtime_matting.models.bundle import ROLE_INPUTS, ROLE_OUTPUT, Role

TOLERANCE = 1e-4
NEARLY_ALL = 0.99


@dataclass(frozen=True)
class Difference:
    """|engine − PyTorch| over one output, both in [0, 1]; ``within`` is the share of values within the tolerance."""

    engine: str
    height: int
    width: int
    largest: float
    mean: float
    within: float

    def __str__(self) -> str:
        return (
            f"{self.engine:<20} {self.width:>4}×{self.height:<4} largest {self.largest:.1e}, mean {self.mean:.1e},"
            f" {100 * self.within:.2f} % within {TOLERANCE:g}"
        )

    def is_small(self, *, unpooling: bool) -> bool:
        """Whether the two agree; ``unpooling``: some pixels may have swapped places."""
        if unpooling:
            return self.mean <= TOLERANCE and self.within >= NEARLY_ALL
        return self.largest <= TOLERANCE


def parity_sizes(network: RoleNetwork) -> list[tuple[int, int]]:
    """(height, width) to compare at: the smallest, a wide one, a tall one and the working size of a 16:9 frame."""
    stride = network.stride
    high = max(1, round(network.long_side * 9 / 16 / stride)) * stride
    return [(stride, stride), (2 * stride, 5 * stride), (7 * stride, 3 * stride), (high, network.long_side)]


def sample_inputs(role: Role, network: RoleNetwork, height: int, width: int) -> dict[str, Tensor]:
    """Inputs like those of a picture: smooth regions, edges and some noise; always the same."""
    generator = torch.Generator().manual_seed(height * 10007 + width)

    def smooth(step: int) -> Tensor:
        small = torch.rand(1, 3, height // step + 2, width // step + 2, generator=generator)
        return F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)

    noise = 0.02 * torch.randn(1, 3, height, width, generator=generator)
    picture = (torch.where(smooth(40) > 0.5, smooth(16), smooth(8)) + noise).clamp(0, 1)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (network.mean, network.std))
    inputs = {"rgb": (picture - mean) / std, "trimap": torch.softmax(20 * smooth(24), dim=1)}
    return {name: inputs[name] for name in ROLE_INPUTS[role]}


def compare(
    role: Role, network: RoleNetwork, model: onnx.ModelProto, engine: EngineName, precision: Precision
) -> Iterator[Difference]:
    """Run ``model`` and ``network`` on the same inputs at every size of :func:`parity_sizes`.

    Raises:
        EngineError: the engine refuses the graph or the precision.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        onnx.save(model, path)
        opened = open_engine(path, engine=engine, precision=precision)
        for height, width in parity_sizes(network):
            inputs = sample_inputs(role, network, height, width)
            with torch.inference_mode():
                expected = network.module(*inputs.values()).numpy()
            found = opened({name: tensor.numpy() for name, tensor in inputs.items()})[ROLE_OUTPUT[role]]
            gap = np.abs(found - expected)
            within = float((gap <= TOLERANCE).mean())
            yield Difference(opened.name, height, width, float(gap.max()), float(gap.mean()), within)
        opened.close()
