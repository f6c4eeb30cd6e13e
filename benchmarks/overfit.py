"""Overfit one picture of hair: can a network keep thin strands at all, and which upsampling does so soonest?

    python benchmarks/overfit.py [--foreground FILE] [--steps 800] [--widths 16,32,48,64,64] [--out FOLDER]

Light M-Net of Semantic Human Matting, and Deep Image Matting's encoder-decoder (stage 1) with each of its upsamplings,
all from random weights, with the same picture, trimap, steps and rate. Prints a table of MAD over the whole image in
1e-3; FOLDER gets it as overfit.md and overfit.json, with overfit.png to look at. Without --foreground the picture is
drawn: a head with strands thinner than a pixel up to two wide.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor, nn

from realtime_matting import metrics
from realtime_matting.errors import InputError, OutputError
from train.cli import run
from train.data.records import Foreground, alpha_beside, read_foreground
from train.data.trimaps import classes, trimap_from_alpha
from train.evaluation.sheets import grey, row, stack, write_picture
from train.losses import prediction_loss
from train.meter import Batch
from train.networks.dim import DIM, UPSAMPLINGS
from train.networks.mnet import LIGHT_DEPTHS, LIGHT_WIDTHS, MNet
from train.networks.shm import fuse, normalize
from train.recipes.dim import stage_losses, trimap_channel

Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]
EROSION, DILATION = 4, 8  # pixels
BAR = 10.0
SHEET_HEIGHT = 240

app = typer.Typer(pretty_exceptions_enable=False)


@dataclass
class Result:
    """One network's figures: MAD over the whole image in 1e-3, at the start, at half of the steps and at the end."""

    network: str
    parameters: int
    mad_start: float
    mad_half: float
    mad: float
    seconds: float


def draw_hair(side: int) -> Picture:
    """Straight RGBA, uint8 (side, side, 4): a head and 260 strands, drawn four times as large and shrunk."""
    generator = np.random.default_rng(5)
    large = 4 * side
    alpha = np.zeros((large, large), np.uint8)
    center, radius = np.array((0.5, 0.62)) * large, 0.24 * large
    cv2.circle(alpha, (int(center[0]), int(center[1])), int(radius), 255, -1, cv2.LINE_AA)
    along = np.linspace(0, 1, 24)[:, None]
    for _ in range(260):
        angle = generator.uniform(0.85, 2.15) * np.pi
        direction = np.array((np.cos(angle), np.sin(angle)))
        bend = np.array((-direction[1], direction[0])) * generator.normal(0, 0.12 * large)
        length = generator.uniform(0.1, 0.3) * large
        points = center + direction * radius * 0.9 + along * direction * length + along**2 * bend
        thickness = int(generator.integers(1, 8))  # quarters of a pixel
        cv2.polylines(alpha, [np.rint(points).astype(np.int32)], False, 255, thickness, cv2.LINE_AA)
    small = cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA)
    shade = cv2.resize(generator.normal(0, 18, (side // 4, side // 4)), (side, side), interpolation=cv2.INTER_CUBIC)
    color = np.clip(np.array((95, 66, 48)) + shade[..., None], 0, 255)
    return np.dstack([color, small]).astype(np.uint8)


def noise_background(side: int) -> Picture:
    """uint8 RGB (side, side, 3): patches of colour with finer structure on them."""
    generator = np.random.default_rng(6)
    total: NDArray[np.float64] = np.full((side, side, 3), 128.0)
    for cells, strength in ((5, 60), (side // 4, 25)):
        total += cv2.resize(
            generator.normal(0, strength, (cells, cells, 3)), (side, side), interpolation=cv2.INTER_CUBIC
        )
    return np.asarray(np.clip(total, 0, 255), np.uint8)


def square(rgba: Picture, side: int) -> Picture:
    """The middle of the upper part, where hair is, as a square of ``side`` pixels."""
    shorter = min(rgba.shape[:2])
    left = (rgba.shape[1] - shorter) // 2
    part = rgba[:shorter, left : left + shorter]
    method = cv2.INTER_AREA if shorter >= side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (side, side), interpolation=method), np.uint8)


def sample(rgba: Picture) -> Batch:
    """A batch of one: the picture before noise, its alpha, and a trimap made of it."""
    alpha = rgba[..., 3].astype(np.float32) / np.float32(255)
    planes = [
        torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (rgba[..., :3], noise_background(len(rgba)))
    ]
    truth = torch.from_numpy(alpha)[None, None]
    trimap = torch.from_numpy(classes(trimap_from_alpha(alpha, EROSION, DILATION)).astype(np.int64))[None]
    if not (trimap == 1).any():
        raise InputError("the foreground has no soft edge in the square that was cut; give another --foreground")
    foreground, background = planes
    image = truth * foreground + (1 - truth) * background
    return {"image": image, "alpha": truth, "foreground": foreground, "background": background, "trimap": trimap}


def m_net(batch: Batch) -> tuple[nn.Module, Callable[[], Tensor], Callable[[Tensor], Tensor]]:
    """Light M-Net, what it makes of the picture, and its loss."""
    network = MNet(LIGHT_WIDTHS, LIGHT_DEPTHS, decoder_kernel=3, skips=True)
    known = nn.functional.one_hot(batch["trimap"], 3).permute(0, 3, 1, 2).float()
    rgb = normalize(batch["image"], network.mean, network.std)

    def loss(alpha: Tensor) -> Tensor:
        return prediction_loss(alpha, batch["alpha"], batch["foreground"], batch["background"])

    return network, lambda: fuse(known, network(rgb, known)), loss


def dim(
    batch: Batch, upsampling: str, widths: tuple[int, ...], *, batch_norm: bool
) -> tuple[nn.Module, Callable[[], Tensor], Callable[[Tensor], Tensor]]:
    """Deep Image Matting, its raw alpha (known regions set), and stage 1's loss."""
    network = DIM(upsampling=upsampling, widths=widths, batch_norm=batch_norm)  # type: ignore[arg-type]
    network.refinement.requires_grad_(False)
    rgb, trimap = normalize(batch["image"], network.mean, network.std), trimap_channel(batch["trimap"])
    known = nn.functional.one_hot(batch["trimap"], 3).permute(0, 3, 1, 2).float()

    def loss(alpha: Tensor) -> Tensor:
        return stage_losses(alpha, batch, 0.5)["total"]

    return network, lambda: fuse(known, network(rgb, trimap).raw), loss


def overfit(
    name: str,
    network: nn.Module,
    predict: Callable[[], Tensor],
    loss: Callable[[Tensor], Tensor],
    truth: Alpha,
    steps: int,
    rate: float,
) -> tuple[Result, Alpha]:
    """Train with Adam, the rate falling along half a cosine; figures and the alpha at the end."""
    learning = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learning, rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    # Training mode throughout, so that batch norm uses the picture's own statistics. The running ones hold an unbiased
    # variance, which with the few values that one picture leaves at stride 32 is several percent more.
    network.train()

    @torch.no_grad()
    def alpha_now() -> Alpha:
        alpha: Alpha = predict()[0, 0].numpy()
        return alpha

    measured = [metrics.mad(alpha_now(), truth)]
    started = time.perf_counter()
    for step in range(steps):
        if step == steps // 2:
            measured.append(metrics.mad(alpha_now(), truth))
        error = loss(predict())
        optimizer.zero_grad()
        torch.autograd.backward(error)
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        schedule.step()
    seconds = time.perf_counter() - started
    alpha = alpha_now()
    start, half = measured
    count = sum(p.numel() for p in learning)
    return Result(name, count, start, half, metrics.mad(alpha, truth), seconds), alpha


def table(results: list[Result], about: str) -> str:
    """Markdown."""
    lines = [
        about,
        "",
        "| network | parameters | MAD at the start | at half | at the end | seconds |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.network} | {r.parameters:,} | {r.mad_start:.1f} | {r.mad_half:.2f} | {r.mad:.2f} | {r.seconds:.0f} |"
        for r in results
    ]
    return "\n".join(lines)


@app.command()
def main(
    foreground: Annotated[Path | None, typer.Option(help="RGBA, or colour with NAME_alpha.png; default: drawn")] = None,
    side: Annotated[int, typer.Option(min=64, help="of the square picture, in pixels")] = 128,
    steps: Annotated[int, typer.Option(min=2)] = 800,
    widths: Annotated[str, typer.Option(help="channels of Deep Image Matting's five stages")] = "16,32,48,64,64",
    batch_norm: Annotated[
        bool, typer.Option(help="in Deep Image Matting; without it, random weights learn slowly")
    ] = True,
    learning_rate: Annotated[float, typer.Option(min=0)] = 3e-3,
    seed: int = 1,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    out: Annotated[Path | None, typer.Option(help="folder for overfit.md, overfit.json and overfit.png")] = None,
) -> None:
    """Overfit one picture of hair with the light M-Net and with Deep Image Matting's four upsamplings."""
    torch.set_num_threads(threads)
    if not all(width.isdigit() and int(width) for width in widths.split(",")) or widths.count(",") != 4:
        raise InputError(f"--widths {widths}: write five numbers, such as 16,32,48,64,64")
    channels = tuple(map(int, widths.split(",")))
    if foreground is None:
        rgba = draw_hair(side)
    else:
        rgba = square(read_foreground(Foreground(foreground, alpha_beside(foreground), foreground.name)), side)
    batch = sample(rgba)
    truth: Alpha = batch["alpha"][0, 0].numpy()
    unknown = 100 * (batch["trimap"] == 1).float().mean().item()
    about = (
        f"{foreground.name if foreground else 'drawn hair'}, {side}×{side}, {unknown:.0f} % unknown; {steps} steps of "
        f"Adam from {learning_rate:g}, {threads} thread(s), Deep Image Matting's widths {widths}, "
        f"{'with' if batch_norm else 'without'} batch norm. MAD: mean|d|·1e3, whole image, known regions set."
    )
    builders: dict[str, Callable[[], tuple[nn.Module, Callable[[], Tensor], Callable[[Tensor], Tensor]]]] = {
        "M-Net, unpooling": lambda: m_net(batch)
    }
    for kind in UPSAMPLINGS:
        builders[f"DIM, {kind}"] = lambda upsampling=kind: dim(batch, upsampling, channels, batch_norm=batch_norm)  # type: ignore[misc]
    results, cells, names = [], [grey(truth)], []
    for name, build in builders.items():
        torch.manual_seed(seed)
        network, predict, loss = build()
        result, alpha = overfit(name, network, predict, loss, truth, steps, learning_rate)
        results.append(result)
        cells.append(grey(np.ascontiguousarray(alpha)))
        names.append(f"{name} {result.mad:.1f}")
        typer.echo(f"{name}: MAD {result.mad_start:.1f} → {result.mad:.2f} in {result.seconds:.0f} s", err=True)
    text = table(results, about)
    typer.echo(text)
    failed = [r.network for r in results if r.network.endswith("unpooling") and r.mad >= BAR]
    typer.echo(f"Bar, MAD below {BAR:g} with unpooling: {'missed by ' + ', '.join(failed) if failed else 'reached'}")
    if out:
        image = (batch["image"][0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        trimap = (batch["trimap"][0].numpy() * 127.5).astype(np.uint8)
        pictures = row([image, grey(trimap)], "picture", SHEET_HEIGHT, ("trimap",))
        write_picture(out / "overfit.png", stack([pictures, *_rows(cells, ["truth", *names])]))
        try:
            (out / "overfit.md").write_text(text + "\n")
            (out / "overfit.json").write_text(
                json.dumps({"about": about, "rows": [asdict(r) for r in results]}, indent=1)
            )
        except OSError as error:
            raise OutputError(f"{out}: cannot be written ({error.strerror}); check space and permissions") from error
    if failed:
        raise typer.Exit(1)


def _rows(cells: list[Picture], names: list[str]) -> list[Picture]:
    """Three cells a line."""
    return [
        row(cells[at : at + 3], names[at], SHEET_HEIGHT, tuple(names[at + 1 : at + 3]))
        for at in range(0, len(cells), 3)
    ]


if __name__ == "__main__":
    run(app, extra="train")
