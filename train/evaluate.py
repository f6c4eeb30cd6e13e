"""Measure model bundles, checkpoints, and MediaPipe as a baseline, on people none of them was trained on.

    python -m train.evaluate shm-balanced --data ../shared/data/validation --baseline mediapipe:pose
    python -m train.evaluate shm-balanced runs/u2netp/fine/best --set FOLDER-OF-PICTURES-WITH-ALPHA
    python -m train.evaluate runs/dim/stage1/best runs/dim/stage3/best --scale unknown
    python -m train.evaluate --blame shm-balanced --set openpeople --set real

On the whole image, only what makes an alpha without help can be compared. With ``--scale unknown``, trimaps come from
the true alpha, models that need one are given it, and everything is measured in the unknown region: another scale, so
a table of its own, in a report of its own.

With ``--blame``, the error on the whole image is split instead by the stage that makes it, by set and by kind of
picture, with sheets of the worst of each kind: see `train.evaluation.blame` and `train.evaluation.kinds`.

Validation data are for measuring only: nothing here may be trained on, and pictures of people stay in ``--out``.
What the sets hold is told in `train.evaluation.sets`, how their pictures are made in `train.evaluation.framing`.
"""

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, TypedDict

import typer
from rich.console import Console

from realtime_matting.errors import InputError, OutputError
from train.cli import run
from train.evaluation.baselines import BASELINES, baseline_name, open_predictors
from train.evaluation.blame import blame
from train.evaluation.blame_report import print_blame, write_blame
from train.evaluation.framing import SEED, Size
from train.evaluation.measure import Scale, evaluate
from train.evaluation.progress import progress_bar
from train.evaluation.report import legend, print_tables, write_report
from train.evaluation.sets import SET_NAMES, EvaluationSet, load_sets
from train.evaluation.stages import open_stages


class Circumstances(TypedDict):
    """What a report says of how it came about."""

    command: str
    settings: dict[str, Any]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="bundles (names or folders), checkpoints (folders)")
    ] = None,
    data: Annotated[Path, typer.Option(help="validation folder")] = Path("../shared/data/validation"),
    baseline: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(BASELINES)}; may be repeated, ratios are to the first"),
    ] = None,
    backgrounds: Annotated[
        Path | None,
        typer.Option(help="folder of pictures without people (default: DATA/../backgrounds/validation)"),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help=f"{', '.join(SET_NAMES)}, or a folder; may be repeated (default: all)"),
    ] = None,
    scale: Annotated[
        Scale, typer.Option(help="whole image, or unknown region of trimaps made from the true alpha")
    ] = "whole",
    blame_stages: Annotated[
        bool, typer.Option("--blame", help="split the error, of whole frames, by the stage that makes it")
    ] = False,
    window: Annotated[
        bool, typer.Option("--window/--no-window", help="show bundles a window around people, as the runtime does")
    ] = True,
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="of composites of stills")] = "1280x720",
    limit: Annotated[
        int | None, typer.Option(min=1, help="at most so many pictures in a set of stills, and frames in a sequence")
    ] = None,
    device: Annotated[str, typer.Option(help="of checkpoints: auto, cpu, cuda or cuda:N")] = "auto",
    out: Annotated[Path, typer.Option(help="folder for the report and the sheets")] = Path("out/evaluation"),
) -> None:
    """Measure models on composites of held-out people: tables, Markdown, JSON, and sheets of the worst pictures."""
    names = list(dict.fromkeys(sets or SET_NAMES))
    if blame_stages and (scale == "unknown" or baseline):
        other = "--scale unknown" if scale == "unknown" else "--baseline"
        raise InputError(f"--blame: splits the error of models on the whole image; leave out {other}")
    if scale == "unknown" and "nobody" in names:
        if sets:
            raise InputError("nobody: has no unknown region, since nobody is in it; leave it out with --scale unknown")
        names.remove("nobody")
    behind = backgrounds or data.parent / "backgrounds" / "validation"
    chosen = load_sets(names, data, behind, size=_parse_size(size), limit=limit)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made ({error.strerror}); choose another folder with --out") from error

    circumstances: Circumstances = {
        "command": shlex.join(["python", "-m", "train.evaluate", *sys.argv[1:]]),
        "settings": {"seed": SEED, "size": size, "limit": limit, "sets": names, "scale": scale}
        | ({} if blame_stages else {"window": window}),
    }
    console = Console()
    if blame_stages:
        written = _blame(models or [], chosen, device, out, console, circumstances)
    else:
        written = _measure(models or [], baseline or [], chosen, scale, device, window, out, console, circumstances)
    for path in written:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def _measure(
    models: list[str],
    baselines: list[str],
    sets: list[EvaluationSet],
    scale: Scale,
    device: str,
    window: bool,
    out: Path,
    console: Console,
    circumstances: Circumstances,
) -> list[Path]:
    opened = open_predictors(models, baselines, trimaps=scale == "unknown", device=device, window=window)
    with opened as predictors, progress_bar() as progress:
        tasks = {one.name: progress.add_task(one.name, total=one.frames) for one in sets}
        result = evaluate(predictors, sets, scale=scale, on_frame=lambda one: progress.advance(tasks[one.name]))
    reference = baseline_name(baselines[0]) if baselines else None
    print_tables(result, reference, console)
    console.print(legend(result), style="dim")
    return write_report(result, reference, out, **circumstances)


def _blame(
    models: list[str],
    sets: list[EvaluationSet],
    device: str,
    out: Path,
    console: Console,
    circumstances: Circumstances,
) -> list[Path]:
    with open_stages(models, device=device) as stages, progress_bar() as progress:
        tasks = {one.name: progress.add_task(one.name, total=one.frames) for one in sets}
        found = blame(stages, sets, on_frame=lambda one: progress.advance(tasks[one.name]))
    print_blame(found, console)
    return write_blame(found, out, **circumstances)


def _parse_size(text: str) -> Size:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (64 <= width <= 7680 and 64 <= height <= 7680):
        raise InputError(f"--size {text}: not WIDTHxHEIGHT with both from 64 to 7680, such as 1280x720")
    return width, height


if __name__ == "__main__":
    run(app, extra="train")
