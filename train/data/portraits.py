"""Backgrounds with pictures of people in them: a person in a frame, on a poster or on a screen is part of the room.

A network that has only ever seen people who are to be kept also keeps the face on a poster. Here one to three flat
pictures (:mod:`train.data.portraits_prints`) are put into each background, so that everything in it is background::

    SCENE_SEEDNNNNNN.jpg    e.g. room_0012_7000017.jpg: picture 17 of seed 7, made from a view of the scene room_0012
    portraits.json          the settings

Only the number at the end of the source's name is replaced: training groups the views of a scene by the name without
it, so a picture is always on the same side of the split into training and held-out data as the scene it shows. Of
people there is no such care: give foregrounds that are trained with, never those of a validation set, or a network is
taught to leave out the very people it is measured on.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from realtime_matting.errors import InputError
from train.data.augment import Rng, chance
from train.data.folders import OutputFolder
from train.data.generators import generator
from train.data.portraits_prints import KINDS, Print, book
from train.data.records import (
    Foreground,
    Picture,
    alpha_beside,
    list_foregrounds,
    list_pictures,
    read_foreground,
    read_picture,
    shrink,
)
from train.data.work import default_workers, in_parallel

QUALITY = 92
HEIGHTS = (0.08, 0.45)  # of a flat picture, as a share of the room's
FINER = 2  # flat pictures are drawn, and put into the room, at so many times the resolution
Corners = NDArray[np.float32]


@dataclass(frozen=True)
class Plan:
    """One picture to be made: its file's name, the room, what may stand behind the people, and who hangs in it."""

    name: str
    number: int
    room: Path
    behind: Path
    people: tuple[Foreground, ...]


def plan(sources: Sequence[Sequence[Foreground]], rooms: Sequence[Path], *, seed: int, number: int) -> Plan:
    """What picture ``number`` of ``seed`` shows: it depends on these and the lists alone, never on how many there are.

    Args:
        sources: lists of foregrounds; each list is as likely as the others.
    """
    rng = generator(seed, number, 0)
    room, behind = (rooms[int(rng.integers(len(rooms)))] for _ in range(2))
    people = []
    for _ in range(int(rng.choice([1, 2, 3], p=[0.4, 0.35, 0.25]))):
        source = sources[int(rng.integers(len(sources)))]
        people.append(source[int(rng.integers(len(source)))])
    scene = re.sub(r"_\d+$", "", room.stem)
    return Plan(f"{scene}_{seed}{number:06d}.jpg", number, room, behind, tuple(people))


def turned(rng: Rng, width: float, height: float, *, leans: bool) -> Corners:
    """Corners of a rectangle that is mildly turned away and seen in perspective, around (0, 0).

    Returns float32 (4, 2): left top, right top, right bottom, left bottom; as tall as ``height`` overall.
    """
    yaw = np.radians(np.clip(rng.normal(0, 17), -42, 42))
    pitch = np.radians(rng.uniform(4, 18) if leans else rng.normal(0, 3))
    roll = np.radians(rng.normal(0, 1.0))
    corners = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]) * (width / 2, height / 2, 1)
    tilt = np.array([(1, 0, 0), (0, np.cos(pitch), -np.sin(pitch)), (0, np.sin(pitch), np.cos(pitch))])
    swing = np.array([(np.cos(yaw), 0, np.sin(yaw)), (0, 1, 0), (-np.sin(yaw), 0, np.cos(yaw))])
    spin = np.array([(np.cos(roll), -np.sin(roll), 0), (np.sin(roll), np.cos(roll), 0), (0, 0, 1)])
    x, y, z = (corners @ (spin @ swing @ tilt).T).T
    distance = max(width, height) * rng.uniform(2.5, 6)
    seen = np.stack([x, y], 1) * (distance / (distance - z))[:, None]
    return np.asarray(seen * (height / np.ptp(seen[:, 1])), np.float32)


def place_for(rng: Rng, room: Picture, corners: Corners, taken: Sequence[Corners], *, leans: bool) -> Corners | None:
    """Move ``corners`` to a random place of the room where nothing is yet; None if there is none.

    Of some places, mostly in the upper two thirds, the best is taken: for what hangs the most even one, which is
    likeliest to be a wall; for what ``leans`` the one with the clearest edge below it, as of a shelf or a table.
    """
    height, width = room.shape[:2]
    grey = cv2.cvtColor(room, cv2.COLOR_RGB2GRAY).astype(np.float32)
    half = np.ptp(corners, axis=0) / 2
    found: list[tuple[float, int, Corners]] = []
    for _ in range(24):
        low, high = (0.0, 0.62) if chance(rng, 0.6 if leans else 0.85) else (0.5, 0.95)
        inside = rng.uniform(-0.5, 0.0) if chance(rng, 0.12) else 0.1  # a few are cut by the picture's edge
        x = rng.uniform((1 + inside) * half[0], max(width - (1 + inside) * half[0], half[0]))
        y = max(rng.uniform(low, high) * height, (1 + inside) * half[1])
        moved = corners + np.array([x, min(y, height - 0.7 * half[1])], np.float32)
        (left, top), (right, bottom) = moved.min(0), moved.max(0)
        if any((moved.min(0) < t.max(0)).all() and (moved.max(0) > t.min(0)).all() for t in taken):
            continue
        columns = slice(max(0, int(left)), int(right) + 1)
        if leans:
            row = int(np.clip(bottom, 3, height - 4))
            score = -float(np.abs(grey[row + 3, columns] - grey[row - 3, columns]).mean())
        else:
            area = grey[max(0, int(top)) : int(bottom) + 1, columns]
            score = float(area.std() / (area.mean() + 20))
        found.append((score, len(found), moved))
        if len(found) == 8 and not leans:
            break
    return min(found)[2] if found else None


def hang(rng: Rng, room: Picture, thing: Print, corners: Corners) -> Picture:
    """The room with a flat thing at ``corners``, float32 (4, 2) in pixels: lit as the wall is, with a soft shadow.

    ``room``: uint8 (H, W, 3). Returns the same shape.
    """
    height, width = room.shape[:2]
    rows, columns = thing.rgba.shape[:2]
    # Corners are edges of pixels, cv2 counts from their middles.
    origin = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], np.float32) - np.float32(0.5)
    matrix = cv2.getPerspectiveTransform(origin, corners * np.float32(FINER) - np.float32(0.5))
    share = thing.rgba[..., 3:].astype(np.float32) / np.float32(255)
    covered = np.dstack([thing.rgba[..., :3] * share, share * 255]).astype(np.uint8)
    warped = cv2.warpPerspective(covered, matrix, (width * FINER, height * FINER), flags=cv2.INTER_LINEAR)
    layer = cv2.resize(warped, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    if chance(rng, 0.6):
        layer = cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.3, 0.9)).astype(np.float32)
    alpha = layer[..., 3:] / np.float32(255)
    size = float(np.ptp(corners[:, 1]))
    back = room.astype(np.float32)
    if thing.shines:
        gain = np.full(3, rng.uniform(0.7, 1.15), np.float32)
    else:
        # The wall's brightness stands for the light on it, though a dark wall may be lit well.
        luma = cv2.cvtColor(room, cv2.COLOR_RGB2GRAY).astype(np.float32)
        light = cv2.GaussianBlur(luma, (0, 0), 0.35 * size + 2)
        gain = np.clip((light[..., None] / 135) ** 0.65, 0.22, 1.2)
        cast = room.mean(axis=(0, 1)) / max(1.0, float(room.mean()))
        gain = gain * (0.65 + 0.35 * cast.astype(np.float32))
    shift = np.array([(1, 0, rng.normal(0, 0.02) * size), (0, 1, rng.uniform(0.0, 0.03) * size)], np.float32)
    shadow = cv2.warpAffine(alpha, shift, (width, height))
    shadow = cv2.GaussianBlur(shadow, (0, 0), rng.uniform(0.012, 0.05) * size + 0.5)
    back *= 1 - np.float32(rng.uniform(0.15, 0.5)) * shadow[..., None]
    return np.clip(layer[..., :3] * gain + (1 - alpha) * back + 0.5, 0, 255).astype(np.uint8)


def draw(plan: Plan, *, seed: int, max_side: int) -> Picture:
    """The room of ``plan`` with its pictures, uint8 (H, W, 3); its longer side is at most ``max_side``.

    Raises:
        InputError: a file cannot be used.
    """
    rng = generator(seed, plan.number, 1)
    room, behind = (shrink(read_picture(path), max_side) for path in (plan.room, plan.behind))
    people = [read_foreground(record, max_side) for record in plan.people]
    for record, rgba in zip(plan.people, people, strict=True):
        if not rgba[..., 3].any():
            raise InputError(f"{record.color}: its alpha is 0 everywhere; take it out, or see the check command")
    taken: list[Corners] = []
    for first in range(len(people)):
        kind = KINDS[int(rng.choice(len(KINDS), p=[0.4, 0.25, 0.23, 0.12]))]
        low, high = (HEIGHTS[0], HEIGHTS[1] / 2) if kind is book else HEIGHTS
        tall = room.shape[0] * float(low * (high / low) ** rng.uniform() ** 0.6)
        thing = kind(rng, people[first:] + people[:first], behind, max(24, round(tall * FINER)))
        corners = turned(rng, tall * thing.rgba.shape[1] / thing.rgba.shape[0], tall, leans=thing.leans)
        placed = place_for(rng, room, corners, taken, leans=thing.leans)
        if placed is not None:
            room = hang(rng, room, thing, placed)
            taken.append(placed)
    return room


def make(folder: OutputFolder, seed: int, max_side: int, one: Plan) -> int:
    """Write one picture if it is not there yet; returns how many were written. Raises as :func:`draw`."""
    if (folder.path / one.name).is_file():
        return 0
    picture = cv2.cvtColor(draw(one, seed=seed, max_side=max_side), cv2.COLOR_RGB2BGR)
    folder.write(one.name, cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
    return 1


def portraits(
    foregrounds: Annotated[
        list[Path], typer.Option(help="folder or list file of people to show; again for more; none of a validation set")
    ],
    backgrounds: Annotated[list[Path], typer.Option(help="folder or list file of rooms; again for more")],
    out: Annotated[Path, typer.Option(help="folder to write; the same command again goes on where it was stopped")],
    match: Annotated[str | None, typer.Option(help="only backgrounds whose file name this expression finds")] = None,
    count: Annotated[int, typer.Option(min=1, help="pictures in all; may be raised later in the same folder")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="of everything drawn")] = 1,
    max_side: Annotated[int, typer.Option(min=64, help="shrink pictures to this longer side first")] = 960,
    workers: Annotated[int | None, typer.Option(min=1, help="threads (default: one a core)")] = None,
) -> None:
    """Make backgrounds in which people hang on the wall, stand on a shelf or speak from a screen, and are not meant."""
    try:
        wanted = re.compile(match or "")
    except re.error as error:
        raise InputError(f"--match {match}: is no regular expression ({error})") from error
    sources = [list_foregrounds(source) for source in foregrounds]
    for given, source in zip(foregrounds, sources, strict=True):
        if not source:
            raise InputError(f"{given}: holds alphas without their pictures; copy the pictures there too")
    listed = [path for source in backgrounds for path in list_pictures(source) if wanted.search(path.name)]
    rooms = [path for path in listed if not path.stem.endswith("_alpha")]
    if not rooms:
        raise InputError(f"{backgrounds[0]}: no file name matches {match!r}; correct --match")
    for path in rooms:
        if alpha_beside(path):
            raise InputError(f"{path}: has an alpha beside it, so it is no background; give another folder")
    settings = {
        "seed": seed,
        "max-side": max_side,
        "foregrounds": [_digest([record.color.name for record in source]) for source in sources],
        "backgrounds": _digest([path.name for path in rooms]),
    }
    plans = [plan(sources, rooms, seed=seed, number=number) for number in range(count)]
    with OutputFolder(out, "portraits", settings) as folder:
        work = partial(make, folder, seed, max_side)
        written = sum(in_parallel(work, plans, workers=workers or default_workers(), title="pictures"))
    kept = f" ({count - written} of them were there)" if written < count else ""
    scenes = len({one.name.rsplit("_", 1)[0] for one in plans})
    typer.echo(f"{out}: {count} pictures of {scenes} scenes{kept}")


def _digest(names: list[str]) -> str:
    text = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{len(names)} pictures ({text})"
