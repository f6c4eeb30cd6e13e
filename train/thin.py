"""A T-Net with fewer channels inside its encoder's blocks, cut out of one that is trained.

    python -m train.thin runs/shipped --config configs/train/shm_mobile_tenth.yaml \\
        --hidden 32,96,112,144,176,240,240,240,480,512,512,672,576,576,576,864 --out runs/thin

Between its two 1×1 convolutions an inverted residual block has six times as many channels as it gives; a network that
was made for a thousand classes does not need all of them for three. Which ones it needs least is measured on pictures
(after the reconstruction criterion of He et al. 2017, arXiv 1707.06168): a channel's variance times the square of the
weights with which the block's last convolution takes it up. What a channel that goes gave in the mean is left in the
block's batch norm. A block of width 0 goes as a whole (Huang et al. 2016, arXiv 1603.09382, on why a residual network
bears that). What is left is close to what was there, and `phases.t_net.teacher` brings it closer.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from realtime_matting.errors import InputError, OutputError
from train.checkpoints import Checkpoint, load_network, save_checkpoint
from train.cli import run
from train.config import TrainConfig, load_config
from train.networks import build_network
from train.networks.shm import SHM
from train.networks.tnet_mobile import InvertedResidual
from train.pictures import batches_of

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_PHASE = "t_net"
Moments = tuple[Tensor, Tensor]
"""Mean and variance of each hidden channel, as the block's last convolution is given it."""


@app.command()
def main(
    checkpoint: Annotated[Path, typer.Argument(help="folder with checkpoint.json, of shm-mobile")],
    config: Annotated[Path, typer.Option(help="YAML with a phase t_net: on its pictures it is measured what to keep")],
    hidden: Annotated[str, typer.Option(help="widths inside the blocks, with commas; 0 leaves a block out")],
    out: Annotated[Path, typer.Option(help="folder for the checkpoint that is made")],
    samples: Annotated[int, typer.Option(help="pictures to measure on", min=1)] = 64,
) -> None:
    """Make a checkpoint whose T-Net has fewer channels inside its blocks."""
    try:
        widths = [int(width) for width in hidden.split(",")]
    except ValueError as error:
        raise InputError(f"--hidden {hidden}: write numbers with commas, such as 32,96,144") from error
    thin(checkpoint, load_config(config), widths, out, samples=samples)
    typer.echo(f"{out}: {checkpoint} with {hidden} channels inside the T-Net's blocks")


def thin(checkpoint: Path, config: TrainConfig, hidden: Sequence[int], out: Path, *, samples: int = 64) -> None:
    """Write a checkpoint of the same network with other widths inside the blocks of the T-Net's encoder.

    Args:
        checkpoint: folder of one of shm-mobile.
        config: its phase ``t_net`` says on what pictures to measure, and at what size.
        hidden: a width for each block, none larger than it is; see `train.networks.tnet_mobile.with_hidden`.
        samples: how many pictures.

    Raises:
        InputError: another network, or widths that its blocks cannot have.
        OutputError: ``out`` cannot be written.
    """
    network, about = load_network(checkpoint)
    if not isinstance(network, SHM) or not (blocks := _blocks(network)):
        raise InputError(f"{checkpoint}: {about.network} has no light T-Net; name a checkpoint of shm-mobile")
    options = {**about.options, "trimap_hidden": list(hidden)}
    thinner = build_network(about.network, options)
    assert isinstance(thinner, SHM)
    pairs = list(zip(blocks, _blocks(thinner), strict=True))
    for number, (block, into) in enumerate(pairs):
        if _hidden(into) > (had := _hidden(block)):
            raise InputError(f"block {number} has {had} hidden channels, so {_hidden(into)} cannot be cut out of it")
    weights = network.state_dict()
    moments = _moments(network, config, samples)
    for number, (block, into) in enumerate(pairs):
        _cut(weights, f"t_net.encoder.blocks.{number}", block, _hidden(into), moments)
    thinner.load_state_dict(weights)
    described = {**about.config, "thinned_from": str(checkpoint)}
    made = Checkpoint(about.network, about.phase, about.step, described, {}, options)
    try:
        save_checkpoint(out, made, thinner.state_dict(), None, None)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); free some space or choose another") from error


def _blocks(network: SHM) -> list[InvertedResidual]:
    """Those of the T-Net's encoder, in order; none if it is not the light T-Net."""
    return [module for module in network.t_net.modules() if isinstance(module, InvertedResidual)]


@torch.no_grad()
def _cut(
    weights: dict[str, Tensor],
    name: str,
    block: InvertedResidual,
    has: int,
    moments: Mapping[InvertedResidual, Moments],
) -> None:
    """Leave so many hidden channels of a block in ``weights``, in place."""
    had = _hidden(block)
    if has == had or block.body is None:
        return
    if has == 0:
        for tensor in [tensor for tensor in weights if tensor.startswith(f"{name}.body.")]:
            del weights[tensor]
        return
    mean, variance = moments[block]
    last = len(block.body) - 1
    projection = weights[f"{name}.body.{last}.0.weight"]
    _, norm = _projection(block.body)
    gain = norm.weight.double() / (norm.get_buffer("running_var").double() + norm.eps).sqrt()
    taken_up = projection.double().flatten(2)[..., 0] * gain[:, None]
    worth = taken_up.square().sum(dim=0) * variance
    kept = torch.topk(worth, has).indices.sort().values
    gone = torch.ones(had, dtype=torch.bool)
    gone[kept] = False
    for layer in range(last):
        for tensor in [tensor for tensor in weights if tensor.startswith(f"{name}.body.{layer}.")]:
            if weights[tensor].dim():  # not the counter of batches
                weights[tensor] = weights[tensor][kept]
    weights[f"{name}.body.{last}.0.weight"] = projection[:, kept]
    lost = (projection[:, gone, 0, 0].double() @ mean[gone]).float()
    weights[f"{name}.body.{last}.1.running_mean"] = weights[f"{name}.body.{last}.1.running_mean"] - lost


def _hidden(block: InvertedResidual) -> int:
    return 0 if block.body is None else _projection(block.body)[0].in_channels


def _projection(body: nn.Sequential) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """The convolution that takes up the hidden channels, and its norm."""
    *_, layers = body
    assert isinstance(layers, nn.Sequential)
    convolution, norm = layers
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return convolution, norm


@torch.no_grad()
def _moments(network: SHM, config: TrainConfig, samples: int) -> dict[InvertedResidual, Moments]:
    """Of each block, over all pixels of ``samples`` pictures as the phase shows them to the T-Net."""
    sums: dict[InvertedResidual, tuple[int, Tensor, Tensor]] = {}

    def watch(block: InvertedResidual, projection: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].double().transpose(0, 1).flatten(1)
            seen, total, squares = sums.get(block, (0, torch.zeros(1), torch.zeros(1)))
            sums[block] = seen + values.shape[1], total + values.sum(1), squares + values.square().sum(1)

        return projection.register_forward_pre_hook(add)

    hooks = [watch(block, block.body[-1]) for block in _blocks(network) if block.body is not None]
    phase = config.phase(_PHASE)
    side = phase.trimap_sides[0] if phase.trimap_sides else network.trimap_long_side
    for batch in batches_of(config, _PHASE, samples):
        network.trimap_logits(batch["image"], side)
    for hook in hooks:
        hook.remove()
    return {
        block: (total / n, (squares / n - (total / n) ** 2).clamp(min=0)) for block, (n, total, squares) in sums.items()
    }


if __name__ == "__main__":
    run(app, extra="train")
