"""One role's network as an ONNX graph that every engine of the runtime takes."""

import logging
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from export.roles import RoleNetwork
from realtime_matting.models.bundle import ROLE_INPUTS, ROLE_OUTPUT, Role

OPSET = 18
# Max-unpooling in its several disguises; no runtime takes them all.
FORBIDDEN = ("MaxUnpool", "ScatterND", "ScatterElements")
LARGEST_SIDE = 8192
LARGEST_FP16 = float(np.finfo(np.float16).max)


def to_onnx(role: Role, network: RoleNetwork) -> onnx.ModelProto:
    """Trace ``network`` into float32 operators of opset 18, with free height and width (multiples of its stride)."""
    names = ROLE_INPUTS[role]
    # One tensor each: the exporter takes a tensor given twice for one input.
    samples = tuple(torch.zeros(1, 3, 2 * network.stride, 3 * network.stride) for _ in names)
    height, width = (torch.export.Dim(side, min=1, max=LARGEST_SIDE // network.stride) for side in ("h", "w"))
    shape = {2: network.stride * height, 3: network.stride * width}
    # The exporter logs that torchvision's operators are not there; none is needed.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # About the exporter's own use of PyTorch, and that both inputs of the matting network share height and width.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "# The axis name")
        program = torch.onnx.export(
            network.module,
            samples,
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=list(names),
            output_names=[ROLE_OUTPUT[role]],
            dynamic_shapes=(shape,) * len(names),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:  # where in the Python sources a node comes from: large, and of no use to an engine
        del node.metadata_props[:]
    return model


def check_graph(model: onnx.ModelProto) -> None:
    """Refuse what some engine of the runtime cannot run.

    Raises:
        ValueError: an operator that stands for max-unpooling with indices, a MaxPool with a second output, or an
            operator outside the ONNX standard.
    """
    onnx.checker.check_model(model)
    for node in model.graph.node:
        if node.op_type in FORBIDDEN or (node.op_type == "MaxPool" and len(node.output) > 1):
            raise ValueError(f"the graph holds {node.op_type} with {len(node.output)} outputs (node {node.name})")
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"the graph holds {node.domain}::{node.op_type}, which is not an ONNX operator")


def store_weights_as_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose convolution weights are stored in half the bytes and widened again by the graph.

    The arithmetic stays float32; engines fold the widening when they load the graph. Vectors (biases) stay as they are.
    """
    narrow = onnx.ModelProto()
    narrow.CopyFrom(model)
    graph, casts = narrow.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > LARGEST_FP16:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.fp16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}.widen", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    # Types of intermediate values are only hints, and those of the weights have changed.
    del graph.value_info[:]
    return narrow
