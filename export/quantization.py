"""INT8 by static calibration: QuantizeLinear and DequantizeLinear around convolutions, with ranges from real frames.

TensorRT and OpenVINO both read the scales from the graph. Weights have a scale for each output channel, activations
one; all are symmetric around zero, as TensorRT's int8 wants it (on a CPU, activations that are never negative use
uint8, with twice the steps). Which convolutions can be int8 is measured: each alone first, then as many of the least
sensitive as the bound on the error allows. In front of a max-pooling, int8 makes ties and moves winners, which is why
a network with unpooling keeps more of its convolutions in float.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from export.frames import Feed
from export.graph_edit import constants, copy_of, drop_unused, replace_nodes
from export.precision import strongly_typed
from export.sensitivity import difference, outputs_of, values_in
from realtime_matting.engines.base import INT8_KEY

# Mean of |difference| in alpha that is allowed, about one level of 255.
INT8_BOUND = 5e-3
# The values beyond are clipped: they are so few that finer steps for the others are worth more.
PERCENTILE = 99.99
# Scales are stored in float16 in an fp16 graph; below this, they lose digits.
SMALLEST_SCALE = float(np.finfo(np.float16).tiny)
# How often the split between int8 and float is halved.
HALVINGS = 5


@dataclass(frozen=True)
class Quantization:
    """``ranges`` of the input of each convolution that is int8, of ``count``; errors are of the network's output."""

    model: onnx.ModelProto
    ranges: dict[str, tuple[float, float]]
    count: int
    mean: float
    largest: float

    def __str__(self) -> str:
        share = f"{len(self.ranges)} of {self.count} convolutions in int8"
        return f"{share}; mean error {self.mean:.1e}, largest {self.largest:.1e}"


def quantize(
    model: onnx.ModelProto,
    inputs: Sequence[Feed],
    *,
    unsigned: bool = False,
    bound: float = INT8_BOUND,
    last: bool = True,
) -> Quantization:
    """As many convolutions of a float32 model in int8 as ``bound`` allows.

    Args:
        inputs: frames to calibrate and measure on.
        unsigned: uint8 for activations that are never negative (CPUs); TensorRT has none.
        bound: on the mean of |difference| in the output, over the first frames of ``inputs``.
        last: also convolutions to a single channel, which engines may compute in another way.
    """
    plain = strongly_typed(model, "fp32")
    weights = constants(plain.graph)
    candidates = [node for node in plain.graph.node if _is_candidate(node, plain.graph)]
    candidates = [node for node in candidates if last or weights[node.input[1]].dims[0] > 1]
    inputs_of = {node.name: node.input[0] for node in candidates}
    ranges = activation_ranges(plain, list(inputs_of.values()), inputs)
    judged = list(inputs[:2])
    exact = outputs_of(plain, judged, optimised=True)

    def attempt(names: Collection[str]) -> Quantization:
        made = with_int8(plain, names, ranges, unsigned=unsigned)
        error = difference(exact, outputs_of(made, judged, optimised=True))
        return Quantization(made, {name: ranges[inputs_of[name]] for name in names}, _count(plain), *error)

    alone = {name: attempt([name]).mean for name in inputs_of}
    order = sorted(alone, key=lambda name: alone[name])
    few, many = 0, len(order)
    best = Quantization(plain, {}, _count(plain), 0.0, 0.0)
    done = attempt(order)
    if done.mean <= bound:
        return done
    for _ in range(HALVINGS):
        middle = (few + many) // 2
        done = attempt(order[:middle])
        if done.mean <= bound:
            few, best = middle, done
        else:
            many = middle
    return best


def with_hints(model: onnx.ModelProto, quantization: Quantization) -> onnx.ModelProto:
    """A copy of a float model whose metadata tell an engine which convolutions it may round, and by which ranges.

    Its nodes are named as those of the model that was quantized.
    """
    told = copy_of(model)
    # Four digits: the ranges are a percentile of a few frames.
    content = {name: [float(f"{value:.4g}") for value in values] for name, values in quantization.ranges.items()}
    others = [entry for entry in told.metadata_props if entry.key != INT8_KEY]
    del told.metadata_props[:]
    told.metadata_props.extend(others)
    told.metadata_props.add(key=INT8_KEY, value=json.dumps(content, sort_keys=True))
    return told


def activation_ranges(
    model: onnx.ModelProto, names: Sequence[str], inputs: Sequence[Feed]
) -> dict[str, tuple[float, float]]:
    """Value → (smallest, largest) but for the outermost values, over all of ``inputs``."""
    graph_inputs = {value.name for value in model.graph.input}
    ranges: dict[str, tuple[float, float]] = {}
    for feed in inputs:
        values = values_in(model, sorted(set(names) - graph_inputs), [feed], optimised=True)
        values.update({name: [feed[name]] for name in graph_inputs})
        for name in set(names):
            low, high = np.percentile(values[name][0], [100 - PERCENTILE, PERCENTILE])
            before = ranges.get(name, (0.0, 0.0))
            ranges[name] = (min(before[0], float(low)), max(before[1], float(high)))
    return ranges


def with_int8(
    model: onnx.ModelProto, names: Collection[str], ranges: Mapping[str, tuple[float, float]], *, unsigned: bool
) -> onnx.ModelProto:
    """A copy in which the inputs and weights of the convolutions ``names`` are rounded to 8 bits and back."""
    made = copy_of(model)
    graph, weights = made.graph, constants(made.graph)
    # Engines for CPUs take unsigned inputs. Without VNNI instructions an x86 processor adds two products in 16 bits,
    # where 2·255·127 does not fit and 2·255·63 does.
    largest = 63 if unsigned else 127
    nodes: list[NodeProto] = []
    done: set[str] = set()

    def add(name: str, values: NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    for node in graph.node:
        if node.name in names:
            name = node.input[0]
            if name not in done:
                done.add(name)
                low, high = ranges[name]
                kind = np.uint8 if unsigned and low >= 0 else np.int8
                top = float(np.iinfo(kind).max)
                scale = np.float32(max(abs(low), abs(high), SMALLEST_SCALE * top) / top)
                pair = [add(f"{name}.scale", np.asarray(scale)), add(f"{name}.zero", np.zeros((), kind))]
                quantized = f"{name}.int8"
                nodes.append(helper.make_node("QuantizeLinear", [name, *pair], [quantized], name=f"{name}.quantize"))
                nodes.append(
                    helper.make_node(
                        "DequantizeLinear", [quantized, *pair], [f"{name}.back"], name=f"{name}.dequantize"
                    )
                )
            weight = numpy_helper.to_array(weights[node.input[1]])
            # The weights of a transposed convolution have the output channels second.
            axis = 1 if node.op_type == "ConvTranspose" else 0
            others = tuple(i for i in range(weight.ndim) if i != axis)
            scales = np.maximum(np.abs(weight).max(others) / largest, SMALLEST_SCALE).astype(np.float32)
            spread = scales.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
            steps = np.clip(np.round(weight / spread), -largest, largest).astype(np.int8)
            made_of = [
                add(f"{node.name}.steps", steps),
                add(f"{node.name}.scales", scales),
                add(f"{node.name}.zeros", np.zeros(len(scales), np.int8)),
            ]
            widened = f"{node.name}.weight"
            nodes.append(
                helper.make_node("DequantizeLinear", made_of, [widened], name=f"{widened}.dequantize", axis=axis)
            )
            node.input[0], node.input[1] = f"{name}.back", widened
        nodes.append(node)
    replace_nodes(graph, nodes)
    drop_unused(graph)
    return made


def _is_candidate(node: NodeProto, graph: onnx.GraphProto) -> bool:
    """A convolution with weights of its own; TensorRT quantizes no transposed convolution with groups."""
    if node.op_type not in ("Conv", "ConvTranspose") or node.input[1] not in constants(graph):
        return False
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return node.op_type == "Conv" or groups == 1


def _count(model: onnx.ModelProto) -> int:
    return sum(node.op_type in ("Conv", "ConvTranspose") for node in model.graph.node)
