"""From one index-free unpooling to the other inside an ONNX graph: bundles hold *up-first*, TensorRT gets *key*.

A checkpoint is traced with the rewrite its target wants (:mod:`export.unpooling`). A bundle has been traced already,
so its graph is searched for the pattern that *up-first* leaves, and each is replaced by *key*, which needs no
arithmetic on positions: SpaceToDepth, a comparison with the maximum, the rank, ReduceMax, Where, DepthToSpace.
Both are exact.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.graph_edit import constants, copy_of, drop_unused, producers, replace_nodes


@dataclass(frozen=True)
class Pattern:
    """One unpooling: ``node`` is its Where, ``winners`` its condition, ``values`` what is spread, ``pooled`` the maxima
    of ``picture``."""

    node: NodeProto
    winners: str
    values: str
    picture: str
    pooled: str


def to_key(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """A copy of a float32 model with every *up-first* unpooling turned into *key*, and how many there were."""
    changed = copy_of(model)
    graph = changed.graph
    patterns = {pattern.node.output[0]: pattern for pattern in find_up_first(graph)}
    if not patterns:
        return changed, 0
    graph.initializer.extend(
        [
            numpy_helper.from_array(
                np.array([[4.0], [3.0], [2.0], [1.0]], np.float32).reshape(1, 4, 1, 1, 1), "key.rank"
            ),
            numpy_helper.from_array(np.array([4], np.int64), "key.four"),
            numpy_helper.from_array(np.array([1], np.int64), "key.one"),
            numpy_helper.from_array(np.array([-1], np.int64), "key.rest"),
            numpy_helper.from_array(np.array(0, np.float32), "key.zero"),
        ]
    )
    nodes: list[NodeProto] = []
    made: set[str] = set()
    for node in graph.node:
        pattern = patterns.get(node.output[0]) if node.output else None
        if pattern is None:
            nodes.append(node)
            continue
        if pattern.winners not in made:
            nodes.extend(_winners(pattern))
            made.add(pattern.winners)
        nodes.extend(_spread(pattern))
    replace_nodes(graph, nodes)
    drop_unused(graph)
    onnx.checker.check_model(changed)
    return changed, len(patterns)


def find_up_first(graph: onnx.GraphProto) -> list[Pattern]:
    """Every unpooling by *up-first*: Where(ranks = max of ranks, spread values, 0)."""
    made_by, values = producers(graph), constants(graph)

    def spread_from(name: str) -> str | None:
        """What is enlarged by repetition into ``name``."""
        node = made_by.get(name)
        if node is None or node.op_type != "Resize":
            return None
        mode = next((a.s for a in node.attribute if a.name == "mode"), b"nearest")
        return node.input[0] if mode == b"nearest" else None

    def compared(name: str) -> tuple[str, str] | None:
        """(picture, its maxima) when ``name`` says where the picture equals its spread maxima."""
        node = made_by.get(name)
        if node is None or node.op_type != "Equal":
            return None
        for picture, other in (node.input, reversed(node.input)):
            pooled = spread_from(other)
            pool = made_by.get(pooled) if pooled else None
            if pooled and pool is not None and pool.op_type == "MaxPool" and pool.input[0] == picture:
                return picture, pooled
        return None

    found = []
    for node in graph.node:
        if node.op_type != "Where" or node.input[2] not in values or numpy_helper.to_array(values[node.input[2]]).any():
            continue
        spread, ranks = spread_from(node.input[1]), compared(node.input[0])
        product = made_by.get(ranks[0]) if ranks else None
        if spread is None or product is None or product.op_type != "Mul":
            continue
        for name in product.input:
            cast = made_by.get(name)
            first = compared(cast.input[0]) if cast is not None and cast.op_type == "Cast" else None
            if first is not None:
                found.append(Pattern(node, node.input[0], spread, *first))
    return found


def _winners(pattern: Pattern) -> list[NodeProto]:
    """Bool (N, 4, C, H/2, W/2): the pixel of each window, in row-major order, that the pooling kept."""
    name = f"{pattern.winners}.key"

    def make(kind: str, inputs: list[str], output: str, **attributes: Any) -> NodeProto:
        return helper.make_node(kind, inputs, [f"{name}.{output}"], name=f"{name}.{output}", **attributes)

    return [
        make("Shape", [pattern.pooled], "n", start=0, end=1),
        make("Shape", [pattern.pooled], "chw", start=1, end=4),
        make("Shape", [pattern.pooled], "hw", start=2, end=4),
        make("Concat", [f"{name}.n", "key.four", f"{name}.chw"], "five", axis=0),
        make("Concat", [f"{name}.n", "key.rest", f"{name}.hw"], "four", axis=0),
        make("SpaceToDepth", [pattern.picture], "deep", blocksize=2),
        make("Reshape", [f"{name}.deep", f"{name}.five"], "pixels"),
        make("Unsqueeze", [pattern.pooled, "key.one"], "maximum"),
        make("Equal", [f"{name}.pixels", f"{name}.maximum"], "is_maximum"),
        make("Cast", [f"{name}.is_maximum"], "as_number", to=TensorProto.FLOAT),
        make("Mul", [f"{name}.as_number", "key.rank"], "ranks"),
        make("ReduceMax", [f"{name}.ranks", "key.one"], "best", keepdims=1),
        make("Equal", [f"{name}.ranks", f"{name}.best"], "winners"),
    ]


def _spread(pattern: Pattern) -> list[NodeProto]:
    """The unpooled picture, under the name it had."""
    name, output = f"{pattern.winners}.key", pattern.node.output[0]
    return [
        helper.make_node("Unsqueeze", [pattern.values, "key.one"], [f"{output}.values"], name=f"{output}.values"),
        helper.make_node(
            "Where", [f"{name}.winners", f"{output}.values", "key.zero"], [f"{output}.kept"], name=f"{output}.kept"
        ),
        helper.make_node("Reshape", [f"{output}.kept", f"{name}.four"], [f"{output}.deep"], name=f"{output}.deep"),
        helper.make_node(
            "DepthToSpace", [f"{output}.deep"], [output], name=f"{output}.unpooled", blocksize=2, mode="DCR"
        ),
    ]
