"""Test one checkpoint on pictures, with or without trimaps, and measure it where the true alpha is known.

    python -m train.test runs/dim/stage1/best --rgb pictures --alpha alphas        # trimaps made from the true alphas
    python -m train.test runs/dim/stage1/best --rgb picture.png --trimap trimap.png
    python -m train.test runs/u2netp/fine/best --rgb pictures                      # nothing but pictures
    python -m train.test runs/dim/stage3/best --composition Composition-1k
    python -m train.test runs/dim/stage3/best --alphamatting alphamatting.com

Folders are matched by stem. What a network is given: a trimap, from ``--trimap``, a data set, or ``--alpha``, if it
takes one and ``--automatic`` does not keep it from it. Figures in the unknown region and figures on the whole image
are on scales of their own, and come in tables of their own. ``--out`` gets alpha/NAME.png (trimap/NAME.png if the
network made it), composite/NAME.png, sheet.png, and the figures in test.md and test.json.
"""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from realtime_matting.errors import InputError, OutputError
from train.cli import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    checkpoint: Annotated[Path, typer.Argument(help="folder with checkpoint.json")],
    rgb: Annotated[Path | None, typer.Option(help="picture, or folder of pictures")] = None,
    trimap: Annotated[Path | None, typer.Option(help="trimap of the picture, or folder of trimaps")] = None,
    alpha: Annotated[Path | None, typer.Option(help="true alpha of the picture, or folder of alphas")] = None,
    composition: Annotated[Path | None, typer.Option(help="root of Composition-1k: merged, trimaps, alpha")] = None,
    alphamatting: Annotated[Path | None, typer.Option(help="root of the alphamatting.com training set")] = None,
    highres: Annotated[bool, typer.Option("--highres", help="of alphamatting.com's two sizes the large one")] = False,
    automatic: Annotated[bool, typer.Option("--automatic", help="trimaps say where to measure and no more")] = False,
    method: Annotated[str, typer.Option(help="whole, crop (tiles), or resize (squeezed)")] = "whole",
    max_size: Annotated[
        int | None, typer.Option(help="longer side at most, for whole; default: what the network is meant for")
    ] = None,
    size: Annotated[int, typer.Option(help="pixels a side, for crop and resize")] = 320,
    overlap: Annotated[
        int | None, typer.Option(help="pixels that tiles share, for crop; default: a fifth of the size")
    ] = None,
    erosion: Annotated[
        str, typer.Option(metavar="N|LOW-HIGH", help="pixels off the sure foreground, in trimaps made from alphas")
    ] = "10",
    dilation: Annotated[str, typer.Option(metavar="N|LOW-HIGH", help="pixels into the background, likewise")] = "10",
    seed: Annotated[int, typer.Option(min=0, help="of what is drawn from LOW-HIGH, for each picture by its name")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many pictures")] = None,
    bg: Annotated[str, typer.Option(help="behind composites: #RRGGBB, a picture, or checkerboard")] = "checkerboard",
    out: Annotated[
        Path | None, typer.Option(help="folder for pictures and figures (default: figures are shown)")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
) -> None:
    """Run a checkpoint over pictures; save what it makes of them, and measure it where the true alpha is known."""
    from train.data.alphamatting import alphamatting_triples
    from train.data.triples import composition_triples, match_triples
    from train.evaluation.report import circumstances
    from train.evaluation.trial import Radii, run_trial
    from train.inference import open_checkpoint

    if sum(one is not None for one in (rgb, composition, alphamatting)) != 1:
        raise InputError("say what to test on: one of --rgb, --composition and --alphamatting")
    if rgb is None and (trimap or alpha):
        raise InputError("--trimap and --alpha go with --rgb; a data set brings its own")
    if highres and alphamatting is None:
        raise InputError("--highres goes with --alphamatting")
    radii = Radii(_range("--erosion", erosion), _range("--dilation", dilation), seed)
    if composition is not None:
        triples = composition_triples(composition)
    elif alphamatting is not None:
        triples = alphamatting_triples(alphamatting, "highres" if highres else None)
    else:
        assert rgb is not None
        triples = match_triples(rgb, trimaps=trimap, alphas=alpha)
    predictor = open_checkpoint(
        checkpoint,
        device=device,
        method=method,  # type: ignore[arg-type]  # it says itself which there are
        max_side=max_size,
        size=size,
        overlap=overlap,
    )
    if predictor.needs_trimap and automatic:
        raise InputError(f"{checkpoint}: needs a trimap, so --automatic is not for it")
    if trimap is not None and not predictor.takes_trimap and not automatic:
        raise InputError(
            f"{checkpoint}: takes no trimap; leave --trimap out, or add --automatic to measure where it is unknown"
        )
    console = Console()
    console.print(predictor.describe(), highlight=False, soft_wrap=True)
    trial = run_trial(predictor, triples[:limit], radii, automatic=automatic, behind=bg, out=out)
    for table in trial.tables:
        console.print(table.title, style="bold", highlight=False)
        console.print(table.drawn())
        console.print(table.legend, style="dim", highlight=False)
    if out is None:
        return
    about = circumstances(shlex.join(["python", "-m", "train.test", *sys.argv[1:]]))
    report = {**about, "checkpoint": predictor.describe(), **{one.key: one.as_json() for one in trial.tables}}
    text = [f"# Test of {checkpoint}", "", f"    {about['command']}", "", f"{predictor.describe()}.", ""]
    try:
        (out / "test.md").write_text("\n".join([*text, *(one.markdown() for one in trial.tables)]), encoding="utf-8")
        (out / "test.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: cannot be written to ({error.strerror}); choose another folder") from error
    console.print(f"{out}: {trial.pictures} pictures", highlight=False, soft_wrap=True)


def _range(option: str, text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    if not low.isdecimal() or (dash and not high.isdecimal()) or int(low) > int(high or low):
        raise InputError(f"{option} {text}: not a number of pixels, such as 10, nor a range, such as 5-20")
    return int(low), int(high or low)


if __name__ == "__main__":
    run(app, extra="train")
