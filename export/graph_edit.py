"""What several conversions ask of an ONNX graph: who makes a value, what type it has, and is it a size or a picture."""

from collections.abc import Iterable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
# Inputs that say where to look, not what is there: always float32 in the ONNX standard.
FLOAT32_INPUTS = {"Resize": (1, 2)}
NUMPY_TYPES: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
}


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model that can be changed without changing ``model``."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def producers(graph: onnx.GraphProto) -> dict[str, NodeProto]:
    """Value → the node that makes it; graph inputs and initializers have none."""
    return {output: node for node in graph.node for output in node.output}


def constants(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """The initializers by name."""
    return {tensor.name: tensor for tensor in graph.initializer}


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[NodeProto]) -> None:
    """Put ``nodes``, in the order in which they run, in the place of all nodes of ``graph``."""
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)
    # Types and shapes of intermediate values are only hints, and no longer those of this graph.
    del graph.value_info[:]


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """Value → its element type, for every value whose type can be inferred."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output, *graph.value_info)}
    types.update({tensor.name: tensor.data_type for tensor in graph.initializer})
    return types


def picture_values(graph: onnx.GraphProto) -> set[str]:
    """Values computed from what is in a graph input, not only from its size."""
    found = {value.name for value in graph.input}
    for node in graph.node:
        if node.op_type not in ("Shape", "Size") and any(name in found for name in node.input):
            found.update(node.output)
    return found


def float_inputs(node: NodeProto) -> Iterator[tuple[int, str]]:
    """(place, name) of the inputs that may be float pictures or weights."""
    for place, name in enumerate(node.input):
        if name and place not in FLOAT32_INPUTS.get(node.op_type, ()):
            yield place, name


def narrowed(values: NDArray[np.float32], to: int) -> NDArray[np.generic]:
    """``values`` in the type ``to``.

    Raises:
        OverflowError: a finite value becomes infinite.
    """
    with np.errstate(over="ignore"):
        narrow = values.astype(NUMPY_TYPES[to])
    if np.isinf(narrow.astype(np.float32)).any() and np.isfinite(values).all():
        raise OverflowError(f"{np.abs(values).max():g} is too large for {helper.tensor_dtype_to_string(to)}")
    return narrow


def plain_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose constants are all initializers; weights stored in fp16 become the float32 they stand for."""
    plain = copy_of(model)
    graph, nodes = plain.graph, []
    tensors = constants(graph)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = copy_tensor(node.attribute[0].t, node.output[0])
            graph.initializer.append(tensor)
            tensors[tensor.name] = tensor
        elif node.op_type == "Cast" and node.input[0] in tensors and node.attribute[0].i == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensors[node.input[0]]).astype(np.float32)
            tensor = numpy_helper.from_array(values, node.output[0])
            graph.initializer.append(tensor)
            tensors[tensor.name] = tensor
        else:
            nodes.append(node)
    replace_nodes(graph, nodes)
    drop_unused(graph)
    return plain


def copy_tensor(tensor: TensorProto, name: str) -> TensorProto:
    """The same tensor under another name."""
    copied = TensorProto()
    copied.CopyFrom(tensor)
    copied.name = name
    return copied


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and initializers of which nothing in the outputs depends."""
    needed = {value.name for value in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if any(output in needed for output in node.output):
            needed.update(node.input)
            nodes.append(node)
    kept = [tensor for tensor in graph.initializer if tensor.name in needed]
    replace_nodes(graph, reversed(nodes))
    del graph.initializer[:]
    graph.initializer.extend(kept)
