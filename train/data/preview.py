"""``python -m train.data preview``: a sheet of what the network sees."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from realtime_matting.errors import InputError, OutputError
from train.data.trimaps import IGNORE

Picture = NDArray[np.uint8]
COLUMNS = ("image", "trimap", "alpha", "foreground", "background")

TRIMAP_COLORS = np.zeros((256, 3), np.uint8)
TRIMAP_COLORS[[1, 2, IGNORE]] = (128, 128, 128), (255, 255, 255), (200, 0, 200)
WINDOW_COLOR = (255, 210, 0)
ROW_HEIGHT, SHEET_WIDTH, GAP, PAPER = 170, 1820, 6, 40


def row(sample: dict[str, Any], columns: list[str]) -> Picture:
    """The pictures of one sample side by side; uint8 RGB (H, W · columns, 3).

    Args:
        sample: of :class:`train.data.dataset.MattingSamples`.
        columns: some of ``COLUMNS``.
    """
    drawn = []
    for column in columns:
        value = sample[column].numpy()
        if column == "trimap":
            picture = TRIMAP_COLORS[value]
        elif column == "alpha":
            picture = np.repeat((value[0] * 255 + 0.5).astype(np.uint8)[..., None], 3, 2)
        else:
            picture = value.transpose(1, 2, 0).copy()
        if column == "image" and "window" in sample:
            top, left, side = (int(x) for x in sample["window"])
            cv2.rectangle(picture, (left, top), (left + side - 1, top + side - 1), WINDOW_COLOR, 2)
        drawn.append(picture)
    return np.hstack(drawn)


def sheet(rows: list[Picture]) -> Picture:
    """Samples scaled to one height (very wide ones lower), set side by side as long as there is room; uint8 RGB."""
    lines: list[list[Picture]] = [[]]
    room = SHEET_WIDTH
    for picture in rows:
        scale = min(ROW_HEIGHT / picture.shape[0], (SHEET_WIDTH / 2 - 2 * GAP) / picture.shape[1])
        filter_ = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=filter_), np.uint8)
        if small.shape[1] + GAP > room:
            lines.append([])
            room = SHEET_WIDTH
        lines[-1].append(small)
        room -= small.shape[1] + GAP
    paper = np.full((len(lines) * (ROW_HEIGHT + GAP) + GAP, SHEET_WIDTH + GAP, 3), PAPER, np.uint8)
    for number, line in enumerate(lines):
        top, left = GAP + number * (ROW_HEIGHT + GAP), GAP
        for small in line:
            paper[top : top + small.shape[0], left : left + small.shape[1]] = small
            left += small.shape[1] + GAP
    return paper


def preview(
    config: Annotated[Path, typer.Argument(help="training configuration (YAML)")],
    out: Annotated[Path, typer.Argument(help="picture to write, .png or .jpg")],
    phase: Annotated[str | None, typer.Option(help="whose samples to show (default: the first one configured)")] = None,
    count: Annotated[int, typer.Option(min=1, help="number of samples")] = 24,
    seed: Annotated[int, typer.Option(help="seed of the samples")] = 0,
    show: Annotated[
        str, typer.Option(help=f"comma-separated columns: {', '.join(COLUMNS)}", metavar="COLUMNS")
    ] = "image,trimap,alpha",
    set_: Annotated[list[str] | None, typer.Option("--set", help="override, e.g. data.masks_share=0")] = None,
) -> None:
    """Draw a sheet of samples: picture, trimap (magenta: ignored), alpha; a yellow frame is the M-Net's window.

    Where a phase goes from easy to hard, the sheet does so too: from solid backgrounds at the start to real ones.
    """
    columns = [column.strip() for column in show.split(",")]
    for column in columns:
        if column not in COLUMNS:
            raise InputError(f"--show {column}: no such column; there are {', '.join(COLUMNS)}")
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"{out}: not a picture's name; end it in .png or .jpg")
    from train.config import load_config
    from train.data.dataset import MattingSamples

    settings = load_config(config, set_)
    chosen = phase or next(iter(settings.phases))
    spec = settings.sample_spec(chosen)
    if settings.phase(chosen).easy_to_hard > 0:
        spec = dataclasses.replace(spec, easy_to_hard_steps=max(1, count - 1))
    # Batches of one, so that the sheet shows many sizes, and a step is a sample.
    samples = MattingSamples(settings.data, spec, seed=seed, batch_size=1, length=count)
    drawn = sheet([row(sample, columns) for sample in samples])
    content = cv2.imencode(out.suffix.lower(), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))[1].tobytes()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); check space and permissions") from error
    typer.echo(f"{out}: {count} samples of phase {chosen}")
