"""Bundle → checkpoint: where training goes on when all that is left of a run are the networks that it shipped.

    python -m export.restore shm-balanced --config configs/train/shm_mobile_ninth.yaml --out runs/shipped
    python -m train shm --phase end_to_end --config … --t-net runs/shipped --m-net runs/shipped

A bundle's graphs hold no batch norm: it was folded into the convolution before it, and networks without it hardly learn
any more. So it is put back: the mean and variance of every convolution's output are measured on pictures of the
configuration, and the norm gets the scale and offset that undo them. As long as nothing is trained the checkpoint gives
the bundle's alpha, up to rounding.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import torch
import typer
from onnx import numpy_helper
from torch import Tensor, nn

from realtime_matting.errors import InputError, OutputError
from realtime_matting.models.bundle import Bundle, Role
from realtime_matting.models.registry import find_bundle
from train.checkpoints import Checkpoint, save_checkpoint
from train.cli import run
from train.config import TrainConfig, load_config
from train.networks import build_network
from train.networks.shm import SHM
from train.pictures import batches_of
from train.recipes.shm_end_to_end import EndToEndPhase, cut_windows

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_PHASE = "end_to_end"
_LEAST = 1e-3
"""Deviation below which a channel is as good as constant; its weights keep their scale."""


@app.command()
def main(
    bundle: Annotated[str, typer.Argument(help="built-in bundle or a bundle's folder, with trimap and matting")],
    config: Annotated[Path, typer.Option(help="YAML with the network, its options, and pictures to measure on")],
    out: Annotated[Path, typer.Option(help="folder for the checkpoint that is made")],
    samples: Annotated[int, typer.Option(help="pictures to measure on", min=8)] = 160,
) -> None:
    """Make a checkpoint of a bundle, to train on from."""
    restore(find_bundle(bundle), load_config(config), out, samples=samples)
    typer.echo(f"{out}: the weights of {bundle}, ready to be trained on")


def restore(bundle: Bundle, config: TrainConfig, out: Path, *, samples: int = 160) -> None:
    """Write the checkpoint of a bundle of Semantic Human Matting.

    Args:
        config: of the network that made the bundle; its phase ``end_to_end`` says on what pictures to measure.
        samples: how many.

    Raises:
        InputError: the bundle is of another network than the configuration's, or has no trimap and matting networks.
        OutputError: ``out`` cannot be written.
    """
    network = build_network(config.network, config.network_options)
    if not isinstance(network, SHM):
        raise InputError(f"{config.network}: only Semantic Human Matting can be restored from a bundle")
    parts: tuple[tuple[Role, nn.Module, str], ...]
    parts = (("trimap", network.t_net, "t_net."), ("matting", network.m_net, ""))
    for role, part, prefix in parts:
        if role not in bundle.roles:
            raise InputError(f"{bundle.manifest.name}: has no {role} network; choose a bundle that has one")
        _load_folded(part, _weights(bundle.path(role)), prefix, f"{bundle.manifest.name}: its {role} network")
    _unfold(network.eval(), config, samples)
    about = Checkpoint(
        config.network, _PHASE, 0, {"restored_from": f"{bundle.manifest.name} {bundle.manifest.version}"}, {},
        dict(config.network_options),
    )  # fmt: skip
    try:
        save_checkpoint(out, about, network.state_dict(), None, None)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); free some space or choose another") from error


def _weights(path: Path) -> dict[str, Tensor]:
    """The graph's constants by the names of PyTorch's parameters, widened where they are stored as fp16."""
    found = {}
    for constant in onnx.load(path).graph.initializer:
        values = np.array(numpy_helper.to_array(constant))
        if values.dtype in (np.float16, np.float32):
            found[constant.name.removesuffix(".fp16")] = torch.from_numpy(values.astype(np.float32))
    return found


def _normed(part: nn.Module) -> Iterator[tuple[str, nn.Conv2d, nn.BatchNorm2d]]:
    """Every convolution that a batch norm follows, with its name."""
    for name, module in part.named_modules():
        if isinstance(module, nn.Sequential):
            for (number, layer), follower in zip(module.named_children(), list(module)[1:], strict=False):
                if isinstance(layer, nn.Conv2d) and isinstance(follower, nn.BatchNorm2d):
                    yield f"{name}.{number}", layer, follower


@torch.no_grad()
def _load_folded(part: nn.Module, weights: Mapping[str, Tensor], prefix: str, what: str) -> None:
    """Weights into the convolutions; their offsets into batch norms that otherwise do nothing."""
    state = part.state_dict()
    filled = {name for name in state if name.endswith("num_batches_tracked")}

    def fill(name: str, source: str) -> None:
        value = weights.get(prefix + source)
        if value is None or value.shape != state[name].shape:
            raise InputError(f"{what} does not fit the configuration's at {source}; name the one it was trained with")
        state[name].copy_(value)
        filled.add(name)

    for name, _, norm in _normed(part):
        fill(f"{name}.weight", f"{name}.weight")
        around, _, number = name.rpartition(".")
        place = f"{around}.{int(number) + 1}."
        fill(f"{place}bias", f"{name}.weight_bias")
        state[f"{place}running_mean"].zero_()
        state[f"{place}running_var"].fill_(1 - norm.eps)
        state[f"{place}weight"].fill_(1)
        filled |= {place + kind for kind in ("running_mean", "running_var", "weight")}
    for name in state.keys() - filled:
        fill(name, name)


@torch.no_grad()
def _unfold(network: SHM, config: TrainConfig, count: int) -> None:
    """Measure what each batch norm gets and let it normalise that, without changing what it gives."""
    norms = {norm: conv for _, conv, norm in _normed(network)}
    sums: dict[nn.Module, list[Tensor]] = {
        norm: [torch.zeros(norm.num_features, dtype=torch.float64)] * 3 for norm in norms
    }

    def add(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].double().transpose(0, 1).flatten(1)
        total, squares, seen = sums[norm]
        sums[norm] = [total + values.sum(1), squares + (values**2).sum(1), seen + values.shape[1]]

    hooks = [norm.register_forward_pre_hook(add) for norm in norms]
    for batch in batches_of(config, _PHASE, count):
        _show(network, batch, config)
    for hook in hooks:
        hook.remove()
    for norm, conv in norms.items():
        total, squares, seen = sums[norm]
        mean = total / seen
        deviation = (squares / seen - mean**2).clamp(min=0).sqrt()
        scale = torch.where(deviation > _LEAST, deviation, 1.0)
        conv.weight /= scale.float()[:, None, None, None]
        norm.bias += mean.float()
        variance = (deviation / scale) ** 2
        norm.running_mean, norm.running_var = (mean / scale).float(), variance.float()
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())


def _show(network: SHM, batch: Mapping[str, Tensor], config: TrainConfig) -> None:
    """One batch through both networks, as the phase would show it to them."""
    side = config.phase(_PHASE).crop
    if config.phase(_PHASE).crops:
        crop = cut_windows(batch["image"], batch["window"], side)
        EndToEndPhase(network, side)(batch["image"], crop, batch["window"])
    else:
        network(batch["image"])


if __name__ == "__main__":
    run(app, extra="export")
