"""One network out of several: the mean of the weights of checkpoints that share a start.

    python -m train.average runs/a/end_to_end/last runs/b/end_to_end/last --out runs/mean/end_to_end/last

Networks that were trained on from the same weights, on other data, seeds or rates, mostly lie in one valley, and its
middle errs less than any of them (Izmailov et al. 2018, arXiv 1803.05407; Wortsman et al. 2022, arXiv 2203.05482). Of
networks with nothing in common the mean is worthless, which no check here can see: measure it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import load_file
from torch import Tensor

from realtime_matting.errors import InputError, OutputError
from train.checkpoints import Checkpoint, read_checkpoint, save_checkpoint
from train.cli import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    checkpoints: Annotated[list[Path], typer.Argument(help="folders with checkpoint.json, two or more")],
    out: Annotated[Path, typer.Option(help="folder for the checkpoint that is made")],
) -> None:
    """Average the weights of checkpoints of one network."""
    average(checkpoints, out)
    typer.echo(f"{out}: the mean of {len(checkpoints)} checkpoints")


def average(checkpoints: Sequence[Path], out: Path) -> None:
    """Write the mean of the weights that are used (``model.safetensors``), taken in float64, as a checkpoint.

    It holds no optimiser, so a run may start from it but not resume it. Counters such as batch norm's are the first's.

    Raises:
        InputError: fewer than two checkpoints, one is missing, or they are of different networks or phases.
        OutputError: ``out`` cannot be written.
    """
    if len(checkpoints) < 2:
        raise InputError("there is nothing to average: name two checkpoints or more")
    abouts = [read_checkpoint(folder) for folder in checkpoints]
    first = abouts[0]
    tensors = [load_file(folder / "model.safetensors") for folder in checkpoints]
    for folder, about, weights in zip(checkpoints[1:], abouts[1:], tensors[1:], strict=True):
        shapes = [{name: value.shape for name, value in w.items()} for w in (tensors[0], weights)]
        if (about.network, about.phase) != (first.network, first.phase) or shapes[0] != shapes[1]:
            raise InputError(f"{folder}: another network or phase than {checkpoints[0]}; their mean has no meaning")
    mean = {name: _mean([weights[name] for weights in tensors]) for name in tensors[0]}
    config = {**first.config, "mean_of": [str(folder) for folder in checkpoints]}
    about = Checkpoint(first.network, first.phase, first.step, config, {}, first.options)
    try:
        save_checkpoint(out, about, mean, None, None)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); free some space or choose another") from error


def _mean(values: Sequence[Tensor]) -> Tensor:
    if not values[0].is_floating_point():
        return values[0]
    return torch.stack([value.double() for value in values]).mean(dim=0).to(values[0].dtype)


if __name__ == "__main__":
    run(app, extra="train")
