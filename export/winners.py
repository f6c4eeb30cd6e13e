"""Where an engine unpools elsewhere than the reference: how often, and is that all that it does differently?

Two pixels of a window may be equal but for rounding. Engines add up in different orders, so one keeps the left pixel
and another the right, and the unpooling carries that choice to the alpha, where it is visible. No precision mends it:
PyTorch in float64 swaps as many windows against PyTorch in float32. So such an engine is asked two things. The pixels
it swaps must be equal to within rounding, and the reference, made to unpool where the engine does, must give the same
alpha.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from export.frames import Feed, FloatArray
from export.graph_edit import copy_of, producers, replace_nodes
from export.onnx_session import open_session


@dataclass(frozen=True)
class Winners:
    """Values of a graph that unpools: the mask of ``winners``, the ``picture`` that was pooled, and its ``maxima``.

    All three have one shape, or broadcast to it; which shape depends on the rewrite.
    """

    winners: str
    picture: str
    maxima: str


@dataclass(frozen=True)
class Swaps:
    """What an engine unpools differently.

    Attributes:
        swapped, windows: how many of all 2×2 windows have another winner than in the reference.
        gap: the largest difference between the two pixels of such a window, as a share of the largest value there.
        rest: the largest |engine − reference| when the reference unpools with the engine's winners.
    """

    swapped: int
    windows: int
    gap: float
    rest: float

    def __str__(self) -> str:
        return (
            f"{self.swapped} of {self.windows} windows have another winner (equal to {self.gap:.0e}),"
            f" with the same winners largest {self.rest:.1e}"
        )


def find_winners(graph: onnx.GraphProto) -> list[Winners]:
    """Every unpooling by *up-first* or *key*: Where(ranks = largest rank, …), ranks = rank · (picture = maxima)."""
    made_by = producers(graph)
    found: dict[str, Winners] = {}
    for node in graph.node:
        equal = made_by.get(node.input[0]) if node.op_type == "Where" else None
        ranks = made_by.get(equal.input[0]) if equal is not None and equal.op_type == "Equal" else None
        if equal is None or ranks is None or ranks.op_type != "Mul":
            continue
        for name in ranks.input:
            cast = made_by.get(name)
            first = made_by.get(cast.input[0]) if cast is not None and cast.op_type == "Cast" else None
            if first is not None and first.op_type == "Equal":
                found[equal.output[0]] = Winners(equal.output[0], *first.input)
    return list(found.values())


def showing_winners(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that also gives its winners, float32 0 or 1, as outputs ``winners.0``, ``winners.1`` and so on."""
    shown = copy_of(model)
    for number, found in enumerate(find_winners(shown.graph)):
        shown.graph.node.append(
            helper.make_node("Cast", [found.winners], [_name(number)], name=_name(number), to=TensorProto.FLOAT)
        )
        shown.graph.output.append(helper.make_tensor_value_info(_name(number), TensorProto.FLOAT, None))
    return shown


def taking_winners(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that unpools where its inputs ``winners.0`` and so on say."""
    told = copy_of(model)
    numbers = {found.winners: number for number, found in enumerate(find_winners(told.graph))}
    nodes: list[NodeProto] = []
    for node in told.graph.node:
        number = numbers.get(node.output[0])
        if number is not None:
            told.graph.input.append(helper.make_tensor_value_info(_name(number), TensorProto.FLOAT, None))
            node = helper.make_node("Cast", [_name(number)], [node.output[0]], name=node.name, to=TensorProto.BOOL)
        nodes.append(node)
    replace_nodes(told.graph, nodes)
    return told


def count_swaps(
    model: onnx.ModelProto, engine: Callable[[Feed], Mapping[str, FloatArray]], inputs: Sequence[Feed], output: str
) -> Swaps:
    """Compare an engine with the float32 graph ``model``, run node by node.

    Args:
        engine: runs :func:`showing_winners` of ``model``.
        output: name of the network's output.
    """
    places = find_winners(model.graph)
    shown = showing_winners(model)
    names = [_name(number) for number in range(len(places))]
    for name in dict.fromkeys(name for place in places for name in (place.picture, place.maxima)):
        shown.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    reference = open_session(shown.SerializeToString(), optimised=False)
    told = open_session(taking_winners(model).SerializeToString(), optimised=False)
    swapped, windows, gap, rest = 0, 0, 0.0, 0.0
    for feed in inputs:
        # An engine's arrays are valid until its next call.
        found = {name: np.array(value) for name, value in engine(feed).items()}
        for name, place in zip(names, places, strict=True):
            kept, picture, maxima = reference.run([name, place.picture, place.maxima], feed)
            elsewhere = (found[name] > kept).nonzero()
            swapped, windows = swapped + len(elsewhere[0]), windows + int(kept.sum())
            if len(elsewhere[0]):
                below = np.abs(np.broadcast_to(maxima, picture.shape)[elsewhere] - picture[elsewhere])
                gap = max(gap, float(below.max() / np.abs(picture).max()))
        (same,) = told.run([output], {**feed, **{name: found[name] for name in names}})
        rest = max(rest, float(np.abs(found[output] - same).max()))
    return Swaps(swapped, windows, gap, rest)


def _name(number: int) -> str:
    return f"winners.{number}"
