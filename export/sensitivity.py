"""Which layers must stay in float32? Measured on frames, with every value rounded as the precision would round it.

The first plan is that none must. If the alpha (or the trimap) is then off by more than the bound on average, kinds of
layers are given back to float32 until it is not: the smallest kind that suffices, or the one that helps most. Layers
whose values do not fit into float16 stay in float32 in any case.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.frames import Feed, FloatArray
from export.graph_edit import constants, copy_of, plain_constants
from export.onnx_session import open_session
from export.precision import Precision, float_nodes, rounded

# Mean of |difference| in alpha or in a class probability that a plan may leave. What is built is held to 2e-3 (see
# :mod:`export.verify`); a quarter is left for engines that round elsewhere than this measurement does.
BOUND = 1.5e-3
# Activations of frames that were not measured may be this many times larger.
HEADROOM = 4.0
LARGEST_FP16 = float(np.finfo(np.float16).max)
LAST_CONVOLUTION = "last convolution"
KINDS = {
    "Conv": "convolution",
    "ConvTranspose": "convolution",
    "MatMul": "convolution",
    "Gemm": "convolution",
    "Softmax": "softmax",
    "Sigmoid": "sigmoid",
    "Resize": "resizing",
    "ReduceMean": "averages",
    "GlobalAveragePool": "averages",
    "AveragePool": "averages",
    "BatchNormalization": "averages",
    **dict.fromkeys(("Equal", "Where", "MaxPool", "ReduceMax", "SpaceToDepth", "DepthToSpace"), "pooling"),
}


@dataclass(frozen=True)
class LayerError:
    """One value of the network: ``largest`` |value| in float32; ``error`` is mean |difference| ÷ mean |value|."""

    node: str
    operator: str
    kind: str
    largest: float
    error: float
    kept: bool


@dataclass(frozen=True)
class PrecisionPlan:
    """Names of the nodes that stay in float32, their kinds or the reason, and the error that is left."""

    keep: frozenset[str]
    kinds: tuple[str, ...]
    mean: float
    largest: float

    def __str__(self) -> str:
        kept = ", ".join(self.kinds) or "nothing"
        return f"float32: {kept}; mean error {self.mean:.1e}, largest {self.largest:.1e}"


def make_plan(
    model: onnx.ModelProto, precision: Precision, inputs: Sequence[Feed], bound: float = BOUND
) -> PrecisionPlan:
    """Decide on ``inputs`` what stays in float32 so that the mean error is at most ``bound``, if it can be reached."""
    if precision == "fp32":
        return PrecisionPlan(frozenset(), (), 0.0, 0.0)
    kinds = kinds_of(model)
    exact = outputs_of(plain_constants(model), inputs)
    large = _too_large(model, inputs) if precision == "fp16" else frozenset()

    def error_of(chosen: Sequence[str]) -> tuple[float, float]:
        keep = large | {name for name, kind in kinds.items() if kind in chosen}
        return difference(exact, outputs_of(rounded(model, precision, keep), inputs))

    chosen: list[str] = []
    mean, largest = error_of(chosen)
    candidates = sorted(set(kinds.values()))
    while mean > bound and candidates:
        tried = {kind: error_of([*chosen, kind]) for kind in candidates}
        # The kind with the fewest layers of those that suffice, or the one that helps most.
        enough = [kind for kind in candidates if tried[kind][0] <= bound]
        best = min(enough, key=list(kinds.values()).count) if enough else min(candidates, key=lambda k: tried[k][0])
        if tried[best][0] >= mean:
            break
        chosen.append(best)
        candidates.remove(best)
        mean, largest = tried[best]
    keep = large | {name for name, kind in kinds.items() if kind in chosen}
    reasons = (*chosen, *([f"{len(large)} too large for float16"] if large else ()))
    return PrecisionPlan(keep, reasons, mean, largest)


def explain(
    model: onnx.ModelProto, precision: Precision, inputs: Sequence[Feed], keep: frozenset[str] = frozenset()
) -> list[LayerError]:
    """The error of every layer's result, in the order in which they run."""
    plain = plain_constants(model)
    narrow = rounded(model, precision, keep)
    nodes = [node for node in rounded(model, "fp32").graph.node if node.name in {n.name for n in float_nodes(plain)}]
    names = [node.output[0] for node in nodes]
    exact, found = values_in(plain, names, inputs), values_in(narrow, names, inputs)
    kinds = kinds_of(model)
    report = []
    for node, name in zip(nodes, names, strict=True):
        if name not in exact or name not in found:
            continue
        size = max(float(np.mean([np.abs(value).mean() for value in exact[name]])), 1e-12)
        gap = np.mean([np.abs(a - b).mean() for a, b in zip(exact[name], found[name], strict=True)])
        largest = max(float(np.abs(value).max()) for value in exact[name])
        report.append(
            LayerError(node.name, node.op_type, kinds[node.name], largest, float(gap) / size, node.name in keep)
        )
    return report


def kinds_of(model: onnx.ModelProto) -> dict[str, str]:
    """Node → the kind of layer it is, for every node whose precision can be chosen."""
    named = rounded(model, "fp32")
    nodes = float_nodes(named)
    kinds = {node.name: KINDS.get(node.op_type, "arithmetic") for node in nodes}
    users: dict[str, list[NodeProto]] = {}
    for node in named.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)

    def leads_to_convolution(node: NodeProto) -> bool:
        reached, seen = [user for output in node.output for user in users.get(output, [])], set()
        while reached:
            user = reached.pop()
            if KINDS.get(user.op_type) == "convolution":
                return True
            if user.name not in seen:
                seen.add(user.name)
                reached.extend(next_one for output in user.output for next_one in users.get(output, []))
        return False

    for node in reversed(nodes):
        if kinds[node.name] == "convolution" and not leads_to_convolution(node):
            kinds[node.name] = LAST_CONVOLUTION
    return kinds


def _too_large(model: onnx.ModelProto, inputs: Sequence[Feed]) -> frozenset[str]:
    """Nodes whose weights or results may leave the range of float16."""
    plain = rounded(model, "fp32")
    weights, nodes = constants(plain.graph), float_nodes(plain)
    values = values_in(plain, [node.output[0] for node in nodes], inputs[:1])
    found = set()
    for node in nodes:
        heavy = [
            weights[name] for name in node.input if name in weights and weights[name].data_type == TensorProto.FLOAT
        ]
        widest = max((float(np.abs(numpy_helper.to_array(w)).max(initial=0)) for w in heavy), default=0.0)
        results = values.get(node.output[0], [])
        largest = max((float(np.abs(value).max()) for value in results), default=0.0)
        if widest > LARGEST_FP16 or largest * HEADROOM > LARGEST_FP16:
            found.add(node.name)
    return frozenset(found)


def values_in(
    model: onnx.ModelProto, names: Sequence[str], inputs: Sequence[Feed], *, optimised: bool = False
) -> dict[str, list[FloatArray]]:
    """Named values inside the graph, one array for each input; names the graph does not have are left out."""
    opened = copy_of(model)
    made = {output for node in opened.graph.node for output in node.output}
    outputs = {value.name for value in opened.graph.output}
    wanted = [name for name in names if name in made]
    for name in wanted:
        if name not in outputs:
            opened.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = open_session(opened.SerializeToString(), optimised=optimised)
    values: dict[str, list[FloatArray]] = {name: [] for name in wanted}
    for feed in inputs:
        for name, value in zip(wanted, session.run(wanted, feed), strict=True):
            values[name].append(value)
    return values


def outputs_of(model: onnx.ModelProto, inputs: Sequence[Feed], *, optimised: bool = False) -> list[FloatArray]:
    """The network's output for each input."""
    session = open_session(model.SerializeToString(), optimised=optimised)
    return [session.run(None, feed)[0] for feed in inputs]


def difference(exact: Sequence[FloatArray], found: Sequence[FloatArray]) -> tuple[float, float]:
    """(mean, largest) of |difference|."""
    gaps = [np.abs(a - b) for a, b in zip(exact, found, strict=True)]
    return float(np.mean([gap.mean() for gap in gaps])), float(max(gap.max() for gap in gaps))
