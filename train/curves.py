"""Draw the curves of runs into one picture, to compare them.

    python -m train.curves runs/a/fine runs/b/fine --out curve.png --label with --label without

Each run is a phase folder with losses.csv and validation.csv (see :mod:`train.record`).
"""

import csv
from pathlib import Path
from typing import Annotated

import typer

from realtime_matting.errors import InputError, MissingExtraError, OutputError
from train.cli import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Rows = list[dict[str, float]]


@app.command()
def main(
    runs: Annotated[list[Path], typer.Argument(help="phase folders, such as runs/u2netp/fine")],
    out: Annotated[Path, typer.Option(help="picture to write, .png or .svg")],
    loss: Annotated[str, typer.Option(help="column of losses.csv")] = "total",
    figure: Annotated[str, typer.Option(help="column of validation.csv")] = "score",
    label: Annotated[list[str] | None, typer.Option(help="name of each run, in order (default: its folder)")] = None,
    smooth: Annotated[int, typer.Option(min=1, help="steps over which losses are averaged")] = 25,
) -> None:
    """Losses on the left, validation on the right."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing curves", "plots") from error
    names = label or [str(folder) for folder in runs]
    if len(names) != len(runs):
        raise InputError(f"{len(names)} labels for {len(runs)} runs; give --label once for each run, or never")
    drawing = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = drawing.subplots(1, 2)
    for folder, name in zip(runs, names, strict=True):
        losses, checks = read_curve(folder / "losses.csv", loss), read_curve(folder / "validation.csv", figure)
        left.plot([row["step"] for row in losses], running_mean([row[loss] for row in losses], smooth), label=name)
        right.plot([row["step"] for row in checks], [row[figure] for row in checks], marker="o", label=name)
        best = min(checks, key=lambda row: row[figure])
        typer.echo(
            f"{name}: {figure} {checks[-1][figure]:.2f} at the end, best {best[figure]:.2f} (step {best['step']:.0f})"
        )
    left.set(xlabel="step", ylabel=f"{loss} (mean of {smooth} steps)", title="training")
    right.set(xlabel="step", ylabel=figure, title="validation")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(out, dpi=110)
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{out}: cannot be written ({error}); name a .png or .svg in a folder you may write"
        ) from error


def read_curve(path: Path, column: str) -> Rows:
    """Rows of a run's CSV file as numbers.

    Raises:
        InputError: the file is missing or empty, or has no such column.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; is {path.parent} the folder of a phase, such as runs/u2netp/fine?")
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        rows = [{key: float(value) for key, value in row.items()} for row in reader]
    if not rows:
        raise InputError(f"{path}: holds no step yet")
    if column not in rows[0]:
        raise InputError(f"{path}: has no column {column}; there are {', '.join(rows[0])}")
    return rows


def running_mean(values: list[float], steps: int) -> list[float]:
    """Mean of each value and up to ``steps`` − 1 before it."""
    means = []
    for index in range(len(values)):
        window = values[max(0, index + 1 - steps) : index + 1]
        means.append(sum(window) / len(window))
    return means


if __name__ == "__main__":
    run(app, extra="train")
