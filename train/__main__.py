"""``python -m train RECIPE … --config …``."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from train.cli import run

app = typer.Typer(help="Train matting networks.", no_args_is_help=True, pretty_exceptions_enable=False)

Config = Annotated[Path, typer.Option(help="YAML file, see configs/train")]
Out = Annotated[Path | None, typer.Option(help="run folder; default runs/NAME-OF-CONFIG")]
Resume = Annotated[bool, typer.Option("--resume", help="go on from the last checkpoint of this phase")]
Steps = Annotated[int | None, typer.Option(min=1, help="stop after this many steps")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Set = Annotated[list[str] | None, typer.Option("--set", help="override, e.g. seed=2 or phases.fine.batch_size=4")]


@app.callback()
def recipes() -> None:
    """Train matting networks."""


@app.command()
def shm(
    phase: Annotated[Literal["t_net", "m_net", "end_to_end"], typer.Option(help="in this order")],
    config: Config,
    t_net: Annotated[Path | None, typer.Option(help="end_to_end: take the T-Net from this checkpoint")] = None,
    m_net: Annotated[Path | None, typer.Option(help="end_to_end: take the M-Net from this checkpoint")] = None,
    out: Out = None,
    resume: Resume = False,
    steps: Steps = None,
    device: Device = "auto",
    set_: Set = None,
) -> None:
    """Semantic Human Matting (Chen et al. 2018) in three phases."""
    from train.config import load_config
    from train.recipes.shm import train_shm

    settings = load_config(config, set_, recipe="shm")
    folder = out or Path("runs") / config.stem
    figures = train_shm(
        settings, phase, folder, resume=resume, steps=steps, device=device, t_net=t_net, m_net=m_net
    )  # fmt: skip
    _tell(folder / phase, figures)


@app.command()
def dim(
    stage: Annotated[int, typer.Option(min=0, max=3, help="0 alpha loss, 1 both losses, 2 refinement, 3 everything")],
    config: Config,
    out: Out = None,
    resume: Resume = False,
    steps: Steps = None,
    device: Device = "auto",
    set_: Set = None,
) -> None:
    """Deep Image Matting (Xu et al. 2017) in up to four stages."""
    from train.config import load_config
    from train.recipes.dim import train_dim

    settings = load_config(config, set_, recipe="dim")
    folder = out or Path("runs") / config.stem
    _tell(folder / f"stage{stage}", train_dim(settings, stage, folder, resume=resume, steps=steps, device=device))


@app.command()
def u2net(
    stage: Annotated[int, typer.Option(min=1, max=2, help="1 coarse, 2 fine from easy to hard")],
    config: Config,
    out: Out = None,
    resume: Resume = False,
    steps: Steps = None,
    device: Device = "auto",
    set_: Set = None,
) -> None:
    """U²-Net (Qin et al. 2020) for human matting in two stages."""
    from train.config import load_config
    from train.recipes.u2net import PHASE_OF_STAGE, train_u2net

    settings = load_config(config, set_, recipe="u2net")
    folder = out or Path("runs") / config.stem
    figures = train_u2net(settings, stage, folder, resume=resume, steps=steps, device=device)
    _tell(folder / PHASE_OF_STAGE[stage], figures)


def _tell(folder: Path, figures: dict[str, float]) -> None:
    if os.environ.get("RANK", "0") == "0":  # torchrun numbers its processes; one of them speaks
        typer.echo(f"{folder}: done; " + ", ".join(f"{name} {value:.4f}" for name, value in figures.items()))


if __name__ == "__main__":
    run(app, extra="train")
