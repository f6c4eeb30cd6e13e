"""A fixed set of composites, as Deep Image Matting's Composition-1k: the same pictures for every run and every model.

The folder holds, for foreground NAME and its I-th background, five files of one name and one size::

    merged/NAME_I.png    the composite α·F + (1 − α)·B
    alpha/NAME_I.png     α, grey
    fg/NAME_I.png        F, straight colour
    bg/NAME_I.png        B, the background scaled to cover the foreground
    trimaps/NAME_I.png   0, 128 (unknown), 255
    names.txt            a line for each: NAME_I.png, the foreground's file, the background's file; tabs between
    composite.json       the settings

alpha and fg are stored once for each foreground (hard links). Everything is scaled first and composited afterwards
(Xu et al. 2017, section 3.1, composite at the foreground's size; compositing first would blur the truth).
"""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from realtime_matting.compositing.cover import cover
from realtime_matting.errors import InputError
from train.data.folders import OutputFolder, unique_names
from train.data.records import (
    Foreground,
    Picture,
    alpha_beside,
    list_foregrounds,
    list_pictures,
    read_foreground,
    read_picture,
)
from train.data.trimaps import trimap_from_alpha
from train.data.work import default_workers, in_parallel

PARTS = ("alpha", "fg", "bg", "trimaps", "merged")


@dataclass(frozen=True)
class Plan:
    """What depends on the seed: for one foreground its backgrounds and the trimaps' two radii in pixels."""

    name: str
    foreground: Foreground
    backgrounds: tuple[Path, ...]
    radii: tuple[tuple[float, float], ...]

    @property
    def files(self) -> list[str]:
        """NAME_I.png, one for each background."""
        return [f"{self.name}_{number}.png" for number in range(len(self.backgrounds))]


def plan(
    foregrounds: list[Foreground],
    backgrounds: list[Path],
    *,
    count: int,
    seed: int,
    erosion: tuple[float, float],
    dilation: tuple[float, float],
) -> list[Plan]:
    """Draw backgrounds and trimap radii; those of a foreground depend on the seed and its own name alone.

    Args:
        count: backgrounds for each foreground; none twice for one foreground, unless there are too few.
        erosion, dilation: ranges of the trimap's radii in pixels, drawn independently of each other.
    """
    plans = []
    for name, foreground in zip(unique_names([f.color for f in foregrounds]), foregrounds, strict=True):
        key = hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest()
        rng = np.random.default_rng(list(key))
        chosen: list[int] = []
        while len(chosen) < count:
            chosen.extend(rng.permutation(len(backgrounds))[: count - len(chosen)].tolist())
        radii = tuple((float(rng.uniform(*erosion)), float(rng.uniform(*dilation))) for _ in chosen)
        plans.append(Plan(name, foreground, tuple(backgrounds[i] for i in chosen), radii))
    return plans


def merge(color: Picture, alpha: Picture, background: Picture) -> Picture:
    """Round(α·F + (1 − α)·B) in whole numbers; uint8 (H, W, 3), (H, W) and (H, W, 3) of one size."""
    weight = alpha[..., None].astype(np.uint32)
    mixed = weight * color + (255 - weight) * background
    return ((mixed + 127) // 255).astype(np.uint8)


def make(folder: OutputFolder, max_side: int | None, one: Plan) -> int:
    """Write all composites of one foreground that are not there yet; returns how many were written.

    Raises:
        InputError: the foreground or a background cannot be used.
        OutputError: a file cannot be written.
    """
    missing = [i for i, file in enumerate(one.files) if not all((folder.path / p / file).is_file() for p in PARTS)]
    if not missing:
        return 0
    rgba = read_foreground(one.foreground, max_side)
    color, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    if not alpha.any():
        raise InputError(f"{one.foreground.color}: its alpha is 0 everywhere; take it out, or see the check command")
    height, width = alpha.shape
    true_alpha: NDArray[np.float32] = alpha.astype(np.float32) / np.float32(255)
    first = one.files[missing[0]]
    folder.write_png(f"alpha/{first}", alpha)
    folder.write_png(f"fg/{first}", color)
    for i in missing:
        file = one.files[i]
        behind = cover(read_picture(one.backgrounds[i]), height, width)
        if file != first:
            folder.repeat(f"alpha/{first}", f"alpha/{file}")
            folder.repeat(f"fg/{first}", f"fg/{file}")
        folder.write_png(f"bg/{file}", behind)
        folder.write_png(f"trimaps/{file}", trimap_from_alpha(true_alpha, *one.radii[i]))
        folder.write_png(f"merged/{file}", merge(color, alpha, behind))
    return len(missing)


def composite(
    foregrounds: Annotated[Path, typer.Argument(help="folder or list file: RGBA, or NAME.jpg with NAME_alpha.png")],
    backgrounds: Annotated[Path, typer.Argument(help="folder or list file of pictures without people")],
    out: Annotated[Path, typer.Option(help="folder to write; the same command again goes on where it was stopped")],
    count: Annotated[
        int, typer.Option(min=1, help="backgrounds for each foreground (the paper: 100 to train, 20 to test)")
    ] = 20,
    seed: Annotated[int, typer.Option(help="of the choice of backgrounds and of the trimaps")] = 1,
    erosion: Annotated[tuple[float, float], typer.Option(help="trimap: foreground eaten away, pixels, range")] = (
        1,
        20,
    ),
    dilation: Annotated[tuple[float, float], typer.Option(help="trimap: growth outwards, pixels, range")] = (1, 20),
    max_side: Annotated[
        int | None, typer.Option(min=16, help="shrink foregrounds to this longer side first (default: full size)")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="threads (default: one a core)")] = None,
) -> None:
    """Write a fixed composition set: N composites of each foreground, with alpha, colours and trimaps."""
    for option, (low, high) in (("--erosion", erosion), ("--dilation", dilation)):
        if not 0 <= low <= high:
            raise InputError(f"{option} {low:g} {high:g}: give the smaller number first, both 0 or more")
    people, behind = list_foregrounds(foregrounds), list_pictures(backgrounds)
    behind = [path for path in behind if not path.stem.endswith("_alpha")]
    for path in behind:
        if alpha_beside(path):
            raise InputError(f"{path}: has an alpha beside it, so it is no background; give another folder")
    plans = plan(people, behind, count=count, seed=seed, erosion=erosion, dilation=dilation)
    settings = {
        "seed": seed,
        "count": count,
        "erosion": list(erosion),
        "dilation": list(dilation),
        "max-side": max_side,
        "foregrounds": _digest([one.name for one in plans]),
        "backgrounds": _digest([path.name for path in behind]),
    }
    with OutputFolder(out, "composite", settings) as folder:
        work = in_parallel(partial(make, folder, max_side), plans, workers=workers or default_workers(), title="people")
        written = sum(work)
        lines = [
            f"{file}\t{one.foreground.color}\t{background}\n"
            for one in plans
            for file, background in zip(one.files, one.backgrounds, strict=True)
        ]
        folder.write_text("names.txt", "".join(lines))
    total = len(lines)
    kept = f" ({total - written} of them were there)" if written < total else ""
    typer.echo(f"{out}: {total} composites of {len(plans)} foregrounds{kept}")
    if count > len(behind):
        typer.echo(f"note: only {len(behind)} backgrounds, so each foreground has some of them more than once")


def _digest(names: list[str]) -> str:
    text = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{len(names)} pictures ({text})"
