"""``python -m train RECIPE --phase … --config …``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from train.cli import run
from train.phases import Phase

app = typer.Typer(help="Train matting networks.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def recipes() -> None:
    """Train matting networks."""


@app.command()
def shm(
    phase: Annotated[Phase, typer.Option(help="t_net, m_net, then end_to_end")],
    config: Annotated[Path, typer.Option(help="YAML file, see configs/train")],
    out: Annotated[Path | None, typer.Option(help="run folder; default runs/NAME-OF-CONFIG")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the last checkpoint of this phase")] = False,
    steps: Annotated[int | None, typer.Option(min=1, help="stop after this many steps")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    set_: Annotated[list[str] | None, typer.Option("--set", help="override, e.g. phases.t_net.batch_size=4")] = None,
) -> None:
    """Semantic Human Matting (Chen et al. 2018) in three phases."""
    from train.config import load_config
    from train.recipes.shm import train_shm

    settings = load_config(config, set_)
    folder = out or Path("runs") / config.stem
    figures = train_shm(settings, phase, folder, resume=resume, steps=steps, device=device)
    if os.environ.get("RANK", "0") == "0":  # torchrun numbers its processes; one of them speaks
        text = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        typer.echo(f"{folder / phase}: done; {text}")


if __name__ == "__main__":
    run(app, extra="train")
