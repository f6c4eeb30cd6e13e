"""Does what was built still give what the checkpoint gives? Asked on frames, of every engine that can run here.

In float32 every value must be within 1e-4. Where there is unpooling, two pixels of a window that are equal to within
rounding may swap places, as engines add up in different orders. Then the swapped pixels must be that near, and every
value must be within 1e-4 of the reference with the same winners (:mod:`export.winners`). An engine on a GPU does not
show its winners: there the mean and nearly all values must be within it, the rule of :mod:`export.parity`.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from export.frames import Feed
from export.networks import ExportedNetwork
from export.parity import NEARLY_ALL
from export.precision import Precision
from export.quantization import INT8_BOUND
from export.winners import Swaps, count_swaps, showing_winners
from realtime_matting.engines import EngineName, open_engine
from realtime_matting.engines.base import Engine
from realtime_matting.errors import EngineError
from realtime_matting.models.bundle import ROLE_OUTPUT

# Largest |difference| in float32; mean |difference| in fp16 and bf16.
LARGEST_FP32 = 1e-4
MEAN_NARROW = 2e-3
# Largest share of the largest value by which pixels may differ that two engines order differently: float32 has 1.2e-7
# a step, and an M-Net's sums are of up to 600 products.
NEARLY_EQUAL = 1e-5
ENGINES: tuple[EngineName, ...] = ("onnxruntime", "openvino")
# ONNX Runtime has no bfloat16 convolution on a CPU.
CANNOT = {("onnxruntime", "bf16")}


@dataclass(frozen=True)
class Agreement:
    """|engine − reference| over all frames, in units of alpha or of a class probability.

    ``within``: share of values within LARGEST_FP32; ``unpools``: some pixels may have swapped places; ``swaps``: which,
    where that can be seen; ``counted``: the mean weighted with what the fusion makes of it (see :func:`verify_engine`).
    """

    engine: str
    precision: str
    largest: float
    mean: float
    within: float
    unpools: bool
    counted: float
    swaps: Swaps | None = None

    @property
    def is_good(self) -> bool:
        """Whether the difference is within the bound of its precision."""
        if self.swaps is not None:
            near = self.swaps.gap <= NEARLY_EQUAL and self.swaps.rest <= LARGEST_FP32
            return near and self.mean <= LARGEST_FP32
        if self.precision == "fp32" and self.unpools:
            return self.mean <= LARGEST_FP32 and self.within >= NEARLY_ALL
        if self.precision == "fp32":
            return self.largest <= LARGEST_FP32
        return self.mean <= (INT8_BOUND if self.precision == "int8" else MEAN_NARROW)

    def __str__(self) -> str:
        verdict = "agrees" if self.is_good else "DIFFERS"
        told = f"; {self.swaps}" if self.swaps is not None and self.swaps.swapped else ""
        return f"{self.engine}, {self.precision}: {verdict}; mean {self.mean:.1e}, largest {self.largest:.1e}{told}"


def verify_graph(
    network: ExportedNetwork, graph: onnx.ModelProto, precision: Precision, inputs: Sequence[Feed], label: str = ""
) -> Iterator[Agreement]:
    """Run the converted ``graph`` in every engine of a CPU that knows its precision; ``label`` replaces its name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{network.role}.onnx"
        onnx.save(graph, path)
        for name in ENGINES:
            # OpenVINO moves roundings to int8 across layers, which is not what the graph says and not TensorRT's way.
            if (name, precision) not in CANNOT and not (label == "int8" and name == "openvino"):
                # The graph says what is narrow; what is not is to be computed in float32.
                engine = open_engine(path, engine=name, precision="f32")
                agreement = verify_engine(network, engine, engine.name, label or precision, inputs)
                engine.close()
                if (label or precision) == "fp32" and network.unpooling != "none":
                    agreement = replace(agreement, swaps=_swaps(network, graph, name, inputs, Path(folder)))
                yield agreement


def _swaps(
    network: ExportedNetwork, graph: onnx.ModelProto, name: EngineName, inputs: Sequence[Feed], folder: Path
) -> Swaps:
    path = folder / "showing.onnx"
    onnx.save(showing_winners(graph), path)
    engine = open_engine(path, engine=name, precision="f32")
    swaps = count_swaps(graph, engine, inputs, ROLE_OUTPUT[network.role])
    engine.close()
    return swaps


def verify_engine(
    network: ExportedNetwork, engine: Engine, name: str, precision: str, inputs: Sequence[Feed]
) -> Agreement:
    """Compare one opened engine with the reference of ``network``.

    A matting network's alpha holds inside the unknown region alone: the fusion multiplies it with the probability of
    unknown (Chen et al. 2018, arXiv 1809.01354, α = F + U·α_r), and so does ``counted`` its error.
    """
    gaps, counted = [], []
    for feed in inputs:
        found = engine(feed)[ROLE_OUTPUT[network.role]]
        gaps.append(np.abs(found - network.reference(feed)))
        counted.append((gaps[-1] * feed["trimap"][:, 1:2]).mean() if "trimap" in feed else gaps[-1].mean())
    largest = max(float(gap.max()) for gap in gaps)
    if not np.isfinite(largest):
        raise EngineError(f"{name}: gives values that are not numbers; try --bf16 or --fp32")
    mean = float(np.mean([gap.mean() for gap in gaps]))
    within = float(np.mean([(gap <= LARGEST_FP32).mean() for gap in gaps]))
    return Agreement(name, precision, largest, mean, within, network.unpooling != "none", float(np.mean(counted)))
