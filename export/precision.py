"""Strongly typed FP16 and BF16: the precision is in the graph, where every TensorRT since 10 looks for it.

TensorRT 11 has no FP16 flag: a layer computes in the type of its tensors. So the graph itself is converted. Weights
are rounded once, values change type where a layer that stays in float32 meets one that does not, and inputs and outputs
stay float32. Numbers computed from sizes alone stay float32 as well: float16 counts to 2048 only.

Which layers must stay float32 is not decided here; :mod:`export.sensitivity` measures it.
"""

from collections.abc import Collection
from typing import Literal

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.graph_edit import (
    FLOATS,
    constants,
    drop_unused,
    float_inputs,
    narrowed,
    picture_values,
    plain_constants,
    replace_nodes,
    types_of,
)

Precision = Literal["fp32", "fp16", "bf16"]
LOW_TYPES: dict[Precision, int] = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
# The first opset whose convolution and max-pooling take bfloat16.
BF16_OPSET = 22
# The first whose quantization takes float16 scales.
QUANTIZED_OPSET = 19
QUANTIZATION = ("QuantizeLinear", "DequantizeLinear")
COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
SUBGRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def float_nodes(model: onnx.ModelProto) -> list[NodeProto]:
    """The nodes that compute on float pictures: those for which there is a precision to choose."""
    types, pictures = types_of(model), picture_values(model.graph)
    return [node for node in model.graph.node if _is_float(node, types, pictures)]


def strongly_typed(model: onnx.ModelProto, precision: Precision, keep: Collection[str] = ()) -> onnx.ModelProto:
    """A copy of a float32 model that computes in ``precision``.

    Args:
        precision: fp32 returns the model with plain constants.
        keep: names of nodes that stay in float32.

    Raises:
        OverflowError: a weight is too large for the type; name its node in ``keep``.
        ValueError: the graph has branches or loops, whose insides are not converted.
    """
    typed = plain_constants(model)
    _name_nodes(typed.graph)
    if precision == "fp32":
        return typed
    quantized = any(node.op_type in QUANTIZATION for node in typed.graph.node)
    opset = BF16_OPSET if precision == "bf16" else QUANTIZED_OPSET if quantized else 0
    if opset:
        typed = onnx.version_converter.convert_version(typed, opset)
        _name_nodes(typed.graph)
    low, graph = LOW_TYPES[precision], typed.graph
    types, pictures = types_of(typed), picture_values(graph)
    weights = constants(graph)
    nodes: list[NodeProto] = []
    have = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    casts: dict[tuple[str, int], str] = {}

    def as_type(name: str, wanted: int, node: NodeProto) -> str:
        """The value ``name`` in the type ``wanted``, by a cast or a rounded weight that all its users share."""
        if name in weights and name not in pictures:
            if weights[name].data_type == wanted or weights[name].data_type not in FLOATS:
                return name
        elif have.get(name, types.get(name)) == wanted:
            return name
        if (name, wanted) in casts:
            return casts[name, wanted]
        made = f"{name}.{helper.tensor_dtype_to_np_dtype(wanted)}"
        if name in weights:
            values = numpy_helper.to_array(weights[name])
            try:
                graph.initializer.append(numpy_helper.from_array(narrowed(values.astype(np.float32), wanted), made))
            except OverflowError as error:
                raise OverflowError(f"{node.name}: {error}") from error
        else:
            nodes.append(helper.make_node("Cast", [name], [made], name=f"{made}.cast", to=wanted))
        casts[name, wanted] = made
        return made

    for node in graph.node:
        if any(attribute.type in SUBGRAPHS for attribute in node.attribute):
            raise ValueError(f"{node.op_type} {node.name} holds a graph of its own, which is not converted")
        if _is_float(node, types, pictures) or node.op_type in QUANTIZATION:
            # A quantized value has the type of its scale, and a cast between it and its layer would undo the int8.
            wanted = TensorProto.FLOAT if node.name in keep and node.op_type not in QUANTIZATION else low
            for place, name in list(float_inputs(node)):
                if types.get(name) in FLOATS and node.op_type != "Cast":
                    node.input[place] = as_type(name, wanted, node)
            if node.op_type == "Cast":
                node.attribute[0].i = wanted
            have.update({output: wanted for output in node.output if types.get(output) in FLOATS})
        elif node.op_type in COMPARISONS:
            # A comparison gives no float, but both sides must have one type: that of the picture.
            wanted = TensorProto.FLOAT if node.name in keep else low
            if any(name in pictures and types.get(name) in FLOATS for name in node.input):
                for place, name in list(float_inputs(node)):
                    node.input[place] = as_type(name, wanted, node)
        nodes.append(node)
    for value in graph.output:
        if have.get(value.name) not in (None, TensorProto.FLOAT):
            _widen_output(nodes, value.name)
    replace_nodes(graph, nodes)
    drop_unused(graph)
    return typed


def nodes_by_type(model: onnx.ModelProto) -> dict[str, int]:
    """How many nodes compute in each type, for people: ``{"fp16": 61, "fp32": 3}``; casts are not counted."""
    types, pictures = types_of(model), picture_values(model.graph)
    names: dict[int, str] = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}
    counts: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in ("Cast", "QuantizeLinear", "DequantizeLinear") or not _is_float(node, types, pictures):
            continue
        name = names.get(types[node.output[0]], "other")
        counts[name] = counts.get(name, 0) + 1
    return counts


def _is_float(node: NodeProto, types: dict[str, int], pictures: set[str]) -> bool:
    return any(types.get(output) in FLOATS and output in pictures for output in node.output)


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own, as ``keep`` goes by names."""
    seen: set[str] = set()
    for number, node in enumerate(graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{number}"
        seen.add(node.name)


def _widen_output(nodes: list[NodeProto], name: str) -> None:
    """Let the graph output ``name`` be float32, made of the narrow value that had its name."""
    narrow = f"{name}.narrow"
    for node in nodes:
        for names in (node.input, node.output):
            for place, value in enumerate(names):
                if value == name:
                    names[place] = narrow
    nodes.append(helper.make_node("Cast", [narrow], [name], name=f"{name}.widen", to=TensorProto.FLOAT))


def rounded(model: onnx.ModelProto, precision: Precision, keep: Collection[str] = ()) -> onnx.ModelProto:
    """A float32 model that rounds every weight and every result as ``precision`` would: what a GPU computes.

    A CPU has no arithmetic of its own in these types, and engines leave out casts to and fro that they think useless;
    here each value is rounded for certain (sums inside a layer are float32, as in tensor cores). Run it without graph
    optimisations.
    """
    plain = plain_constants(model)
    _name_nodes(plain.graph)
    if precision == "fp32":
        return plain
    low, graph = LOW_TYPES[precision], plain.graph
    types, pictures = types_of(plain), picture_values(graph)
    weights, nodes = constants(graph), []
    rounding: dict[str, str] = {}

    def round_value(name: str) -> str:
        if name not in rounding:
            rounding[name] = f"{name}.rounded"
            if name in weights:
                values = narrowed(numpy_helper.to_array(weights[name]), low).astype(np.float32)
                graph.initializer.append(numpy_helper.from_array(values, rounding[name]))
            else:
                nodes.append(helper.make_node("Cast", [name], [f"{name}.low"], name=f"{name}.low", to=low))
                widen = helper.make_node(
                    "Cast", [f"{name}.low"], [rounding[name]], name=f"{name}.wide", to=TensorProto.FLOAT
                )
                nodes.append(widen)
        return rounding[name]

    for node in graph.node:
        if (
            node.op_type != "Cast"
            and node.name not in keep
            and (_is_float(node, types, pictures) or any(types.get(n) in FLOATS and n in pictures for n in node.input))
        ):
            for place, name in list(float_inputs(node)):
                if types.get(name) == TensorProto.FLOAT and node.op_type != "Shape":
                    node.input[place] = round_value(name)
        nodes.append(node)
    outputs = {value.name for value in graph.output}
    last = [node for node in nodes if outputs & set(node.output)]
    for node in last:
        if node.name not in keep and types[node.output[0]] == TensorProto.FLOAT:
            name = node.output[0]
            node.output[0] = f"{name}.exact"
            nodes.append(helper.make_node("Cast", [f"{name}.exact"], [f"{name}.low"], name=f"{name}.low", to=low))
            nodes.append(helper.make_node("Cast", [f"{name}.low"], [name], name=f"{name}.wide", to=TensorProto.FLOAT))
    replace_nodes(graph, nodes)
    drop_unused(graph)
    return plain
