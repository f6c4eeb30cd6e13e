"""``python -m train.data preview CONFIG out.png``: a sheet of what the network sees."""

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from realtime_matting.errors import OutputError
from train.cli import run
from train.data.teachers import teach
from train.data.trimaps import IGNORE
from train.phases import Phase

app = typer.Typer(help="Tools for training data.", no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(teach)

COLORS = np.zeros((256, 3), np.uint8)
COLORS[[1, 2, IGNORE]] = (128, 128, 128), (255, 255, 255), (200, 0, 200)


@app.command()
def preview(
    config: Annotated[Path, typer.Argument(help="training configuration (YAML)")],
    out: Annotated[Path, typer.Argument(help="picture to write, .png or .jpg")],
    phase: Annotated[Phase, typer.Option(help="whose samples to show")] = "t_net",
    count: Annotated[int, typer.Option(min=1, help="number of samples")] = 24,
    seed: Annotated[int, typer.Option(help="seed of the samples")] = 0,
) -> None:
    """Draw a sheet: each sample's picture beside its trimap (magenta: ignored) and its alpha."""
    from train.config import load_config
    from train.data.dataset import MattingSamples

    settings = load_config(config)
    samples = MattingSamples(settings.data, settings.sample_spec(phase), seed=seed, batch_size=4, length=count)
    cells = []
    for sample in samples:
        image = sample["image"].permute(1, 2, 0).numpy()
        trimap = COLORS[sample["trimap"].numpy()]
        alpha = np.repeat((sample["alpha"][0].numpy() * 255).astype(np.uint8)[..., None], 3, 2)
        row = np.hstack([image, trimap, alpha])
        scale = min(600 / row.shape[1], 170 / row.shape[0])
        cell = np.full((176, 606, 3), 40, np.uint8)
        small = cv2.resize(row, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cell[: small.shape[0], : small.shape[1]] = small
        cells.append(cell)
    while len(cells) % 3:
        cells.append(np.full_like(cells[0], 40))
    sheet = np.vstack([np.hstack(cells[i : i + 3]) for i in range(0, len(cells), 3)])
    out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise OutputError(f"{out}: could not be written; is it a picture's name, and is there room?")
    typer.echo(f"{out}: {count} samples of phase {phase}")


if __name__ == "__main__":
    run(app, extra="train")
