"""Starting weights for encoders shaped like VGG16 (Simonyan and Zisserman 2015, arXiv 1409.1556) from standard files.

Read are state dicts with ``features.N.weight`` of VGG16 or VGG16-BN (``.pth``, loaded without executing anything, or
``.safetensors``), and ``.npz`` archives with ``conv1_1_W`` of VGG16, which take RGB from 0 to 255 less its mean.

    start_from_vgg16(network.encoder, Path("vgg16.pth"))

An encoder with or without batch norm starts from either kind of file and computes, in evaluation mode, what VGG16 does.
"""

import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from realtime_matting.errors import InputError

ConvNorm = tuple[nn.Conv2d, nn.BatchNorm2d | None]
NPZ_LAYERS = ("1_1", "1_2", "2_1", "2_2", *(f"{stage}_{i}" for stage in (3, 4, 5) for i in (1, 2, 3)))
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass
class Layer:
    """A stored convolution, weight (out, in, k, k), and the batch norm after it: identity where the file has none."""

    name: str
    weight: Tensor
    bias: Tensor
    gamma: Tensor
    beta: Tensor
    mean: Tensor
    variance: Tensor


def conv_norm_pairs(module: nn.Module) -> list[ConvNorm]:
    """All convolutions of ``module`` in order of definition, each with the batch norm that follows it, or None."""
    pairs: list[ConvNorm] = []
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            pairs.append((child, None))
        elif isinstance(child, nn.BatchNorm2d):
            pairs[-1] = (pairs[-1][0], child)
    return pairs


def start_from_vgg16(encoder: nn.Module, path: Path, fc6: nn.Module | None = None) -> bool:
    """Load VGG16's 13 convolutions into those of ``encoder``, in order of definition, in place.

    Channels that the first convolution has beyond VGG16's three start at zero.

    Args:
        encoder: 13 convolutions, each with a batch norm after it or none.
        path: a file of one of the kinds this module reads.
        fc6: holds a convolution (and maybe a batch norm) that starts from the first fully connected layer, if the file
            has it and the kernel is as large as the map that layer sees (Long et al. 2015, arXiv 1411.4038, sec. 3.1).

    Returns:
        Whether ``fc6`` was loaded.

    Raises:
        InputError: no such file, not VGG16, or not of the encoder's shapes; nothing has been loaded then.
    """
    pairs = conv_norm_pairs(encoder)
    tensors = _read(path)
    layers, connected = _from_npz(tensors, path) if path.suffix == ".npz" else _from_state_dict(tensors, path)
    if len(layers) != len(pairs):
        raise InputError(f"{path}: holds {len(layers)} convolutions, the encoder has {len(pairs)}: not a VGG16 for it")
    for number, (layer, (convolution, _)) in enumerate(zip(layers, pairs, strict=True)):
        wanted, found = list(convolution.weight.shape), list(layer.weight.shape)
        if number == 0 and found[1] == 3:
            missing = wanted[1] - 3
            layer.weight = torch.cat([layer.weight, layer.weight.new_zeros(found[0], missing, *found[2:])], dim=1)
            found[1] += missing
        if wanted != found:
            raise InputError(f"{path}: {layer.name} has the shape {tuple(found)}, the encoder needs {tuple(wanted)}")
    if fc6 is not None and connected is not None:
        pair = conv_norm_pairs(fc6)[0]
        connected.weight = _as_convolution(connected, pair[0], channels_last=path.suffix == ".npz", path=path)
        layers, pairs = [*layers, connected], [*pairs, pair]
    for layer, (convolution, norm) in zip(layers, pairs, strict=True):
        _load(layer, convolution, norm)
    return fc6 is not None and connected is not None


@torch.no_grad()
def _load(layer: Layer, convolution: nn.Conv2d, norm: nn.BatchNorm2d | None) -> None:
    if norm is None:
        # Fold what the batch norm would do into the convolution.
        scale = layer.gamma / torch.sqrt(layer.variance + nn.BatchNorm2d(1).eps)
        convolution.weight.copy_(layer.weight * scale[:, None, None, None])
        assert convolution.bias is not None
        convolution.bias.copy_((layer.bias - layer.mean) * scale + layer.beta)
        return
    convolution.weight.copy_(layer.weight)
    if convolution.bias is not None:
        convolution.bias.zero_()
    norm.weight.copy_(layer.gamma)
    norm.bias.copy_(layer.beta)
    # Batch norm subtracts a mean anyway, so a stored bias moves that mean and the convolution needs none.
    norm.running_mean.copy_(layer.mean - layer.bias)  # type: ignore[union-attr]
    norm.running_var.copy_(layer.variance)  # type: ignore[union-attr]


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a VGG16 state dict (.pth, .safetensors) or weights (.npz)")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return {name: torch.from_numpy(archive[name]).float() for name in archive.files}
        if path.suffix == ".safetensors":
            return load_file(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise InputError(
            f"{path}: damaged, or not a file of plain tensors; download it again or save a state_dict()"
        ) from error
    except (SafetensorError, zipfile.BadZipFile, ValueError, TypeError) as error:
        raise InputError(f"{path}: damaged, or not a {path.suffix} file; download it again") from error
    if not isinstance(stored, dict) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise InputError(f"{path}: holds no state dict (names and tensors); save the network's state_dict()")
    return stored


def _from_state_dict(tensors: Mapping[str, Tensor], path: Path) -> tuple[list[Layer], Layer | None]:
    numbers = {int(found[1]) for name in tensors if (found := re.fullmatch(r"features\.(\d+)\.weight", name))}
    layers: list[Layer] = []
    try:
        for number in sorted(numbers):
            prefix = f"features.{number}."
            weight = tensors[prefix + "weight"].float()
            if weight.ndim == 4:
                layers.append(_plain(prefix + "weight", weight, tensors[prefix + "bias"].float()))
            else:
                layer = layers[-1]
                layer.gamma, layer.beta = weight, tensors[prefix + "bias"].float()
                layer.mean = tensors[prefix + "running_mean"].float()
                layer.variance = tensors[prefix + "running_var"].float()
    except (KeyError, IndexError) as error:
        raise InputError(f"{path}: not a VGG16 state dict ({error} is missing)") from error
    if not layers:
        raise InputError(f"{path}: has no features.N.weight; give a standard VGG16 or VGG16-BN state dict")
    if "classifier.0.weight" not in tensors or "classifier.0.bias" not in tensors:
        return layers, None
    fc6 = _plain("classifier.0.weight", tensors["classifier.0.weight"].float(), tensors["classifier.0.bias"].float())
    return layers, fc6


def _from_npz(tensors: Mapping[str, Tensor], path: Path) -> tuple[list[Layer], Layer | None]:
    layers = []
    for name in NPZ_LAYERS:
        weight, bias = (tensors.get(f"conv{name}_{kind}") for kind in "Wb")
        if weight is None or bias is None or weight.ndim != 4:
            raise InputError(f"{path}: has no conv{name}_W and conv{name}_b; give VGG16 weights in that layout")
        layers.append(_plain(f"conv{name}_W", weight.permute(3, 2, 0, 1), bias))  # (k, k, in, out) → (out, in, k, k)
    if layers[0].weight.shape[1] != 3:
        raise InputError(f"{path}: conv1_1_W takes {layers[0].weight.shape[1]} channels, VGG16 takes 3")
    # These networks were trained on 255·(rgb − mean), ours see (rgb − mean) / std: the same mean, another scale.
    layers[0].weight = layers[0].weight * 255 * torch.tensor(IMAGENET_STD)[:, None, None]
    if "fc6_W" not in tensors or "fc6_b" not in tensors:
        return layers, None
    return layers, _plain("fc6_W", tensors["fc6_W"].T, tensors["fc6_b"])


def _plain(name: str, weight: Tensor, bias: Tensor) -> Layer:
    zeros, ones = torch.zeros_like(bias), torch.ones_like(bias)
    return Layer(name, weight, bias, gamma=ones, beta=zeros, mean=zeros, variance=ones - nn.BatchNorm2d(1).eps)


def _as_convolution(layer: Layer, convolution: nn.Conv2d, *, channels_last: bool, path: Path) -> Tensor:
    """Weight (out, in·k·k) of a fully connected layer → (out, in, k, k); its input was a map of k × k."""
    out, cin, height, width = convolution.weight.shape
    if tuple(layer.weight.shape) != (out, cin * height * width):
        raise InputError(
            f"{path}: {layer.name} has the shape {tuple(layer.weight.shape)} where conv6 needs "
            f"{(out, cin * height * width)}; it fits a bottleneck of 7 only"
        )
    if channels_last:
        return layer.weight.reshape(out, height, width, cin).permute(0, 3, 1, 2)
    return layer.weight.reshape(out, cin, height, width)
