"""Convolutions in int8, by ranges that were measured when the network was exported.

The graph of a bundle is in floats, whatever runs it. Where its metadata says between which values the input of a
convolution lies, this engine lets OpenVINO round it and the weights to 8 bits, which the vector instructions of x86
processors multiply in less time: shm-balanced's trimap network on two cores 9.1 ms in bf16 and 7.2 in int8 (15.5 in
float32, which is all that processors without bf16 have), for a mean error of 0.001.

Weights are rounded with a scale for each output channel; both are as in Jacob et al. 2018, Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference, section 2.1, with zero at zero.

Processors without VNNI instructions (AMD before Zen 4, Intel mostly before 2019) add two products in 16 bits, where
2·255·127 does not fit: sums that are cut off there made the error of alpha up to 8 % larger. With weights of 7 bits,
2·255·63, nothing is cut off, at the same speed, and the error is that of float32.
"""

import json
import math
import platform
from collections.abc import Mapping

import numpy as np
import openvino as ov  # type: ignore[import-untyped]
import openvino.opset13 as ops  # type: ignore[import-untyped]
from numpy.typing import NDArray

from realtime_matting.engines.base import INT8_KEY

Range = tuple[float, float]
_CONVOLUTIONS = ("Convolution", "GroupConvolution")
_PROCESSORS = ("x86_64", "amd64")
"""Where this is known to pay; OpenVINO's int8 for ARM is another implementation, in which it has not been measured."""
_SMALLEST = 1e-12


def int8_ranges(model: ov.Model) -> dict[str, Range]:
    """Name of a convolution → smallest and largest value of its input, as the ONNX metadata tell; {} on other machines.

    Raises:
        ValueError: the metadata are damaged.
    """
    place = ["framework", INT8_KEY]
    if platform.machine().lower() not in _PROCESSORS or not model.has_rt_info(place):
        return {}
    told = json.loads(model.get_rt_info(place).astype(str))
    try:
        ranges = {str(name): (float(low), float(high)) for name, (low, high) in told.items()}
    except (AttributeError, TypeError) as error:  # other JSON than ranges by name
        raise ValueError(f"{INT8_KEY}: not ranges by name") from error
    if not all(math.isfinite(low) and math.isfinite(high) and low <= high for low, high in ranges.values()):
        raise ValueError(f"{INT8_KEY}: not ranges by name")
    return ranges


def round_to_int8(model: ov.Model, ranges: Mapping[str, Range], *, weight_bits: int = 8) -> int:
    """Let the inputs and the weights of the convolutions named be rounded to 8 bits, in place.

    Args:
        model: its convolutions are changed.
        ranges: see :func:`int8_ranges`.
        weight_bits: 8, or 7 where sums of two products must fit into 16 bits.

    Returns:
        How many there were.
    """
    rounded: dict[tuple[str, int, Range], ov.Output] = {}
    count = 0
    for node in model.get_ordered_ops():
        name = node.get_friendly_name().removesuffix("/WithoutBiases")
        if node.get_type_name() not in _CONVOLUTIONS or name not in ranges:
            continue
        weights = _constant(node.input_value(1))
        if weights is None:
            continue
        source = node.input_value(0)
        key = source.get_node().get_friendly_name(), source.get_index(), ranges[name]
        if key not in rounded:
            rounded[key] = _rounded_input(source, ranges[name]).output(0)
        node.input(0).replace_source_output(rounded[key])
        node.input(1).replace_source_output(_rounded_weights(node, weights, weight_bits).output(0))
        count += 1
    if count:
        model.validate_nodes_and_infer_types()
    return count


def _rounded_input(source: ov.Output, values: Range) -> ov.Node:
    """256 steps; of values that are never negative from 0 on, otherwise as many above 0 as below, and one."""
    low, high = values
    if low >= 0:
        return _rounded(source, np.float32(0), np.float32(max(high, _SMALLEST)), 256)
    largest = max(-low, high, _SMALLEST)
    return _rounded(source, np.float32(-largest * 128 / 127), np.float32(largest), 256)


def _rounded_weights(node: ov.Node, weights: NDArray[np.float32], bits: int) -> ov.Node:
    """−127 to 127 steps, for each output channel its own; in a convolution in groups these are the first two axes.

    Of 7 bits are they when the largest weight is no more than half of what 127 steps reach: with fewer steps than 255
    OpenVINO would not take this for int8 at all.
    """
    channels = 2 if node.get_type_name() == "GroupConvolution" else 1
    others = tuple(range(channels, weights.ndim))
    largest = np.maximum(np.abs(weights).max(others, keepdims=True), np.float32(_SMALLEST))
    reach = largest * np.float32(2 ** (8 - bits))
    return _rounded(ops.constant(weights).output(0), -reach, reach, 255)


def _rounded(
    source: ov.Output, low: NDArray[np.float32] | np.float32, high: NDArray[np.float32] | np.float32, steps: int
) -> ov.Node:
    borders = [ops.constant(np.asarray(border, np.float32)) for border in (low, high)]
    return ops.fake_quantize(source, *borders, *borders, steps)


def _constant(source: ov.Output) -> NDArray[np.float32] | None:
    """The values of weights that are stored, maybe narrower or of another shape; None where they are computed."""
    node = source.get_node()
    while node.get_type_name() in ("Convert", "Reshape"):
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant":
        return None
    return np.asarray(node.get_data(), np.float32).reshape(source.get_partial_shape().to_shape())
