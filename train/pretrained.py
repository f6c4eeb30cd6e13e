"""Starting weights that may be used freely, read from packages on PyPI and checked by SHA-256.

The T-Net of ``shm-mobile`` can start from the segmentation branch of MediaPipe's pose landmark network
(``pose_landmark_full.tflite`` inside the wheel mediapipe==0.10.14, Apache-2.0). Only the wheel's file is read;
nothing of MediaPipe runs.
"""

import hashlib
import importlib.metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from realtime_matting.errors import InputError, MissingExtraError
from train.networks.tnet_mobile import MobileTNet

POSE_FILE = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"
POSE_SHA256 = "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"


def find_in_wheel(distribution: str, name: str, sha256: str) -> Path:
    """Path of an installed package's file, after comparing its SHA-256.

    Raises:
        MissingExtraError: the package is not installed.
        InputError: the file is missing or is not the one whose weights are known.
    """
    try:
        path = Path(str(importlib.metadata.distribution(distribution).locate_file(name)))
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtraError(f"starting from the weights in {distribution}", distribution) from error
    if not path.is_file():
        raise InputError(f"{path}: not in this version of {distribution}; install {distribution}==0.10.14")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise InputError(f"{path}: unexpected content (SHA-256 {found[:12]}…); install {distribution}==0.10.14")
    return path


def read_tflite_convolutions(path: Path) -> list[tuple[Tensor, Tensor, int]]:
    """Weights of all (depthwise) convolutions of a TFLite file, in execution order.

    Returns:
        (weight, bias, input tensor's number) each; weight float32 (out, in/groups, k, k), bias float32 (out,).
    """
    try:
        import tflite
    except ImportError as error:
        raise MissingExtraError("reading TFLite weights", "mediapipe") from error

    model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    dequantized: dict[int, int] = {}  # output tensor → the float16 constant it comes from
    convolutions = []

    def constant(number: int) -> np.ndarray:
        tensor = graph.Tensors(dequantized.get(number, number))
        dtype = {tflite.TensorType.FLOAT16: "<f2", tflite.TensorType.FLOAT32: "<f4"}[tensor.Type()]
        raw = model.Buffers(tensor.Buffer()).DataAsNumpy()
        return np.frombuffer(raw.tobytes(), dtype).reshape(tensor.ShapeAsNumpy()).astype(np.float32)

    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        opcode = model.OperatorCodes(operator.OpcodeIndex())
        code = max(opcode.BuiltinCode(), opcode.DeprecatedBuiltinCode())
        if code == tflite.BuiltinOperator.DEQUANTIZE:
            dequantized[int(operator.Outputs(0))] = int(operator.Inputs(0))
        elif code in (tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D):
            weight = constant(int(operator.Inputs(1)))
            # Convolutions are stored (out, k, k, in), depthwise ones (1, k, k, channels).
            order = (0, 3, 1, 2) if code == tflite.BuiltinOperator.CONV_2D else (3, 0, 1, 2)
            convolutions.append(
                (
                    torch.from_numpy(np.ascontiguousarray(weight.transpose(order))),
                    torch.from_numpy(constant(int(operator.Inputs(2)))),
                    int(operator.Inputs(0)),
                )
            )
    return convolutions


def _convolutions(*modules: nn.Module) -> list[nn.Conv2d]:
    return [m for module in modules for m in module.modules() if isinstance(m, nn.Conv2d)]


def start_from_pose(network: MobileTNet) -> None:
    """Load the segmentation branch of the pose network into ``network``, in place.

    The pose network's one logit ``s`` (person or not) becomes the three of a trimap: background −s/40, unknown 0,
    foreground s/40 (the pose network's logits reach ±1000, too steep to learn from), so that the T-Net starts as a
    segmentation network that is unsure only where ``s`` is near 0.

    Raises:
        MissingExtraError, InputError: see :func:`find_in_wheel`.
    """
    stored = read_tflite_convolutions(find_in_wheel("mediapipe", POSE_FILE, POSE_SHA256))
    stages = [list(stage) for stage in network.stages]
    # The file interleaves each lateral with the block that follows the feature it taps: after that block's expansion.
    order: list[nn.Conv2d] = _convolutions(network.stem)
    taps = [network.detail_lateral, *network.laterals, None]
    for tap, blocks in zip(taps, [*stages, None], strict=True):
        if blocks is None:
            order += _convolutions(network.top)
            break
        for j, block in enumerate(blocks):
            convs = _convolutions(block)
            if j == 0 and tap is not None:
                order += [convs[0], *_convolutions(tap), *convs[1:]]
            else:
                order += convs
    order += _convolutions(network.to_detail, network.at_half, network.at_full)
    with torch.no_grad():
        for target, (weight, bias, _) in zip(order, stored, strict=False):
            if target.weight.shape != weight.shape:
                raise InputError(f"{POSE_FILE}: layer of shape {tuple(weight.shape)} where {tuple(target.weight.shape)} fits")
            target.weight.copy_(weight)
            assert target.bias is not None
            target.bias.copy_(bias)
        weight, bias, _ = stored[len(order)]
        for row, factor in ((0, -1 / 40), (1, 0.0), (2, 1 / 40)):
            network.head.weight[row] = weight[0] * factor
            network.head.bias[row] = bias[0] * factor
