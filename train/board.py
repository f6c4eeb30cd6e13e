"""What can be watched while a run goes on: losses.csv, validation.csv, and TensorBoard's scalars and picture grids."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from train.record import Curve

SHOWN = 4
"""Samples in a grid."""


class Board:
    """Writes into ``out``; of the first process only."""

    def __init__(self, out: Path, first_step: int) -> None:
        self.curve = Curve(out / "losses.csv", first_step)
        self.checks = Curve(out / "validation.csv", first_step)
        # What a killed run wrote after its last checkpoint is purged.
        self.writer = SummaryWriter(str(out / "tensorboard"), purge_step=first_step + 1 if first_step else None)

    def losses(self, rows: list[dict[str, float]], samples_per_second: float) -> None:
        """One row a step."""
        self.curve.add(rows)
        for row in rows:
            step = int(row["step"])
            for name, value in row.items():
                if name in ("step", "seconds"):
                    continue
                self.writer.add_scalar(name if name == "learning_rate" else f"train/{name}", value, step)
        if rows and samples_per_second:
            self.writer.add_scalar("samples_per_second", samples_per_second, int(rows[-1]["step"]))

    def validation(self, figures: dict[str, float], pictures: dict[str, Tensor], step: int) -> None:
        """Figures, and one grid: a row a sample, a column a picture in the order given."""
        self.checks.add([{"step": step, **figures}])
        for name, value in figures.items():
            self.writer.add_scalar(f"validation/{name}", value, step)
        if pictures:
            title = ", ".join(pictures)
            self.writer.add_image(f"validation: {title}", grid(pictures), step)
        self.writer.flush()

    def close(self) -> None:
        """Complete the files."""
        self.writer.close()


def grid(pictures: dict[str, Tensor]) -> Tensor:
    """Pictures (N, 1 or 3, h, w) in [0, 1] of any sizes → one (3, rows·H, columns·W) of the first one's size."""
    size = next(iter(pictures.values())).shape[-2:]
    columns = []
    for picture in pictures.values():
        shown = picture[:SHOWN].detach().float().clamp(0, 1)
        if shown.shape[-2:] != size:
            shown = F.interpolate(shown, size=size, mode="nearest")
        columns.append(shown.expand(-1, 3, -1, -1))
    rows = torch.cat(columns, dim=3)
    return torch.cat(list(rows), dim=1).cpu()
