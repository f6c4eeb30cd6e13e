"""Training foregrounds from raw photos: a teacher's matte, and the person's own colours.

A teacher (a model bundle) mattes each photo, or mattes that are there already are taken; the colours of the person
without the old background come from multi-level foreground estimation (Germer, Uelwer, Conrad, Harmeling, Fast
Multi-Level Foreground Estimation, ICPR 2020, arXiv 2006.14970; by PyMatting). The results are straight RGBA pictures
whose colour continues beyond the edge, cropped to the person::

    NAME.png           a foreground
    foregrounds.txt    list file of all of them
    photos.jsonl       a line for each photo: what was made of it (box, cut sides, shares), or why nothing was
    synthesize.json    the settings
"""

import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from realtime_matting.defaults import DEFAULT_MODEL
from realtime_matting.errors import InputError
from realtime_matting.matting.matter import Matter
from realtime_matting.sources.images import read_picture as read_photo
from train.data.cutout import Alpha, Estimate, Estimator, Limits, Unsuitable, cut_out, estimator
from train.data.folders import OutputFolder, unique_names
from train.data.records import PICTURES, Picture, list_pictures, read_picture, shrink
from train.data.work import default_workers, in_parallel

LOG, LIST = "photos.jsonl", "foregrounds.txt"
PhotoAndMatte = tuple[Picture, Alpha]


@dataclass(frozen=True)
class Entry:
    """What became of one photo: a line of the log.

    ``skipped``: why there is no foreground, else empty; ``broken``: because a file could not be used. The others are
    those of :class:`train.data.cutout.CutOut`.
    """

    photo: str
    name: str
    skipped: str = ""
    broken: bool = False
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    cut: str = ""
    person: float = 0.0
    soft: float = 0.0


def teacher_mattes(matter: Matter, max_side: int, photo: Path) -> PhotoAndMatte:
    """A photo, and the teacher's matte of it."""
    picture = shrink(read_photo(photo), max_side)
    matter.reset()
    return picture, matter(picture).alpha


def given_mattes(mattes: dict[str, Path], max_side: int, photo: Path) -> PhotoAndMatte:
    """A photo, and the matte of its name.

    Raises:
        Unsuitable: there is none.
        InputError: it cannot be decoded, or is not of the photo's size.
    """
    path = mattes.get(photo.stem) or mattes.get(f"{photo.stem}_alpha")
    if path is None:
        raise Unsuitable("no matte of this name")
    picture, alpha = read_photo(photo), read_picture(path, cv2.IMREAD_GRAYSCALE)
    if alpha.shape != picture.shape[:2]:
        sizes = f"{alpha.shape[1]}×{alpha.shape[0]}, but its photo {picture.shape[1]}×{picture.shape[0]}"
        raise InputError(f"{path} is {sizes}; both must have one size")
    return shrink(picture, max_side), shrink(alpha, max_side).astype(np.float32) / np.float32(255)


def make(
    folder: OutputFolder,
    names: dict[Path, str],
    matted: Callable[[Path], PhotoAndMatte],
    limits: Limits,
    estimate: Estimate,
    photo: Path,
) -> Entry:
    """Write the foreground of one photo."""
    name = names[photo]
    try:
        cut = cut_out(*matted(photo), limits, estimate)
    except Unsuitable as reason:
        return Entry(str(photo), name, skipped=str(reason))
    except InputError as error:
        return Entry(str(photo), name, skipped=str(error), broken=True)
    folder.write_png(f"{name}.png", cut.rgba)
    return Entry(str(photo), name, box=cut.box, cut=cut.cut, person=cut.person, soft=cut.soft)


def logged(folder: OutputFolder) -> dict[str, Entry]:
    """What earlier runs did, by name. Photos that could not be read, and foregrounds that are gone, do not count."""
    log = folder.path / LOG
    done = {}
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else []:
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError):
            continue  # the line that was being written when an earlier run was killed
        if (entry.skipped and not entry.broken) or (folder.path / f"{entry.name}.png").is_file():
            done[entry.name] = entry
    return done


def synthesize(
    photos: Annotated[Path, typer.Argument(help="folder or list file of photos with people in them")],
    out: Annotated[Path, typer.Option(help="folder to write; the same command again goes on where it was stopped")],
    teacher: Annotated[
        str, typer.Option(help="model that mattes the photos: a built-in name or a bundle's folder")
    ] = DEFAULT_MODEL,
    alpha: Annotated[
        Path | None, typer.Option(help="folder of mattes NAME.png or NAME_alpha.png, taken in place of a teacher")
    ] = None,
    colors: Annotated[
        Estimator,
        typer.Option(help="multilevel (needs the extra synthesize), or blur-fusion, which the runtime uses"),
    ] = "multilevel",
    max_side: Annotated[int, typer.Option(min=64, help="shrink photos to this longer side first")] = 2048,
    min_person: Annotated[float, typer.Option(min=0, max=1, help="skip photos of which the person covers less")] = 0.02,
    min_side: Annotated[int, typer.Option(min=16, help="skip people whose crop is narrower, in pixels")] = 128,
    max_soft: Annotated[
        float, typer.Option(min=0, help="skip mattes with more half-transparent pixels, as a share of the person's")
    ] = 0.5,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="room around the person, share of its longer side")
    ] = 0.04,
    workers: Annotated[int | None, typer.Option(min=1, help="threads (default: one a core)")] = None,
) -> None:
    """Make training foregrounds (RGBA) from photos: a teacher's matte, and multi-level foreground estimation.

    Photos without a person, with a small one, or with an uncertain matte are skipped and counted. Exits with 2 if a
    file could not be read.
    """
    listed = [path for path in list_pictures(photos) if not path.stem.endswith("_alpha")]
    names = dict(zip(listed, unique_names(listed), strict=True))
    limits = Limits(min_person, min_side, max_soft, margin)
    estimate = estimator(colors)
    with ExitStack() as stack:
        if alpha is None:
            matter = stack.enter_context(Matter(teacher, foreground=False))
            source = f"{matter.bundle.manifest.name} {matter.bundle.manifest.version}"
            lock = threading.Lock()

            def matted(photo: Path) -> PhotoAndMatte:
                with lock:  # a teacher is for one thread at a time
                    return teacher_mattes(matter, max_side, photo)
        else:
            if not alpha.is_dir():
                raise InputError(f"{alpha}: no such folder of mattes; check --alpha")
            by_stem = {p.stem: p for p in sorted(alpha.rglob("*")) if p.suffix.lower() in PICTURES}
            source, matted = f"mattes of {alpha}", partial(given_mattes, by_stem, max_side)
        settings = {
            "teacher": source, "colors": colors, "max-side": max_side, "min-person": min_person,
            "min-side": min_side, "max-soft": max_soft, "margin": margin,
        }  # fmt: skip
        folder = stack.enter_context(OutputFolder(out, "synthesize", settings))
        done = logged(folder)
        before = len(done)
        # Written afresh, since an earlier run may have been killed in the middle of a line.
        folder.write_text(LOG, "".join(map(_line, done.values())))
        log = stack.enter_context((out / LOG).open("a", encoding="utf-8"))
        work = partial(make, folder, names, matted, limits, estimate)
        fresh = [path for path in listed if names[path] not in done]
        for entry in in_parallel(work, fresh, workers=workers or default_workers(), title="photos"):
            log.write(_line(entry))
            log.flush()
            done[entry.name] = entry
        entries = [done[names[path]] for path in listed]
        folder.write_text(LIST, "".join(f"{entry.name}.png\n" for entry in entries if not entry.skipped))
    _report(out, entries, before)


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry)) + "\n"


def _report(out: Path, entries: list[Entry], before: int) -> None:
    made = [entry for entry in entries if not entry.skipped]
    broken = [entry for entry in entries if entry.broken]
    kept = f" ({before} photos were done before)" if before else ""
    typer.echo(f"{out}: {len(made)} foregrounds of {len(entries)} photos{kept}; list: {out / LIST}")
    for reason, count in Counter(e.skipped for e in entries if e.skipped and not e.broken).most_common():
        typer.echo(f"  skipped, {reason}: {count}")
    for letter, side in zip("LTRB", ("left", "top", "right", "bottom"), strict=True):
        if count := sum(letter in entry.cut for entry in made):
            typer.echo(f"  cut off at the {side}: {count}")
    for entry in broken:
        typer.echo(f"  not usable: {entry.skipped}")
    if broken:
        raise typer.Exit(2)
