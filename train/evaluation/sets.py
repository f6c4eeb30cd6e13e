"""The sets of evaluation pictures: what is in the validation folder, as clips of one or more frames.

The validation folder holds ``openpeople/``, ``real/``, ``rendered/stills/``, ``dancer/`` (pictures ``NAME.jpg`` with
``NAME_alpha.png``, straight colour) and ``rendered/clips.jsonl`` that lists the folders ``rendered/clip_*``.

==============  =============================================================  ==========================
set             pictures                                                       size
==============  =============================================================  ==========================
openpeople      2 composites of each still                                     the asked size (1280×720)
real            3 composites of each still                                     the asked size
stills          2 composites of each still of ``rendered/stills``              the asked size
dancer          the sequence over a still and over a moving background         their own
clips           each clip over one background, every second one moving         their own
pairs           2 composites of each still of the first three sets that has    the asked size
                its place anywhere, with another one beside; every second
                one behind a table
nobody          each background alone                                          the asked size
a folder        2 composites of each picture with alpha in it                  the asked size
==============  =============================================================  ==========================

A folder in the layout of Composition-1k or of alphamatting.com is taken as it is, with its own trimaps.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from realtime_matting.errors import InputError
from train.data.alphamatting import alphamatting_triples, is_alphamatting
from train.data.records import Foreground, list_foregrounds, list_pictures, read_foreground
from train.data.triples import Triple, composition_triples, is_composition
from train.evaluation.framing import (
    Camera,
    Sample,
    Size,
    behind_table,
    frame_beside,
    frame_person,
    generator,
    stands_free,
    view,
)


@dataclass(frozen=True)
class Clip:
    """Frames that follow each other, or a single one; ``sample(index)`` makes one, from any thread.

    ``person``: file of the (first) picture of the person in it; None where nobody is, or where it came ready made.
    """

    name: str
    frames: int
    sample: Callable[[int], Sample]
    person: Path | None = None


@dataclass(frozen=True)
class EvaluationSet:
    """Clips whose results are averaged. ``people``: False where nobody is in the pictures."""

    name: str
    people: bool
    clips: tuple[Clip, ...]

    @property
    def frames(self) -> int:
        """Number of frames in all clips."""
        return sum(clip.frames for clip in self.clips)


def load_sets(
    names: list[str], data: Path, backgrounds: Path, *, size: Size = (1280, 720), limit: int | None = None
) -> list[EvaluationSet]:
    """List the pictures of the sets ``names``; nothing is decoded yet but the people of ``pairs``.

    Args:
        names: some of `SET_NAMES`, and folders.
        data: the validation folder.
        backgrounds: folder of pictures without people.
        size: (width, height) of composites of stills.
        limit: at most so many composites in a set of stills, and so many frames (at least 2) of a sequence.

    Raises:
        InputError: an unknown set, or a folder or file that is missing or empty.
    """
    for name in names:
        if name not in _LOADERS and not Path(name).is_dir():
            raise InputError(f"{name}: no such set; there are {', '.join(SET_NAMES)}, or give a folder")
    if not data.is_dir() and any(name in _LOADERS for name in names):
        raise InputError(f"{data}: no such folder; give the validation folder with --data")
    sets = []
    for name in names:
        if name not in _LOADERS and (is_composition(Path(name)) or is_alphamatting(Path(name))):
            sets.append(_ready(Path(name), limit))
            continue
        behind = list_pictures(backgrounds)
        if name in _LOADERS:
            sets.append(_LOADERS[name](name, data, behind, size, limit))
        else:
            # Named after the folder alone, so that the pictures do not depend on where it is.
            sets.append(_composites(Path(name).resolve().name, Path(name), 2, False, behind, size, limit))
    called = [one.name for one in sets]
    if twice := [name for name in called if called.count(name) > 1]:
        raise InputError(f"{twice[0]}: two sets have this name; rename one of the folders")
    return sets


def _ready(folder: Path, limit: int | None) -> EvaluationSet:
    """Pictures that are composites already, or photographs."""
    triples = composition_triples(folder) if is_composition(folder) else alphamatting_triples(folder)
    clips = [Clip(triple.name, 1, partial(_ready_sample, triple)) for triple in triples]
    return EvaluationSet(folder.resolve().name, True, tuple(_evenly(clips, limit)))


def _ready_sample(triple: Triple, index: int) -> Sample:
    rgb, trimap, alpha = triple.read()
    assert alpha is not None  # both layouts have one for every picture
    return Sample(rgb, alpha, trimap)


def _stills(
    folder: str,
    composites: int,
    full_frame: bool,
    name: str,
    data: Path,
    behind: list[Path],
    size: Size,
    limit: int | None,
) -> EvaluationSet:
    return _composites(name, data / folder, composites, full_frame, behind, size, limit)


def _composites(
    name: str, folder: Path, composites: int, full_frame: bool, behind: list[Path], size: Size, limit: int | None
) -> EvaluationSet:
    clips = []
    for foreground in list_foregrounds(folder):
        rng = generator(name, foreground.color.name)
        chosen = rng.choice(len(behind), composites, replace=len(behind) < composites)
        for number, index in enumerate(chosen):
            key = (name, foreground.color.name, number)
            make = partial(_still, foreground, behind[index], size, full_frame, key)
            label = f"{foreground.color.stem} over {behind[index].stem}"
            clips.append(Clip(label, 1, make, foreground.color))
    return EvaluationSet(name, True, tuple(_evenly(clips, limit)))


def _still(
    foreground: Foreground, background: Path, size: Size, full_frame: bool, key: tuple[str | int, ...], index: int
) -> Sample:
    rng = generator(*key, index)
    color, alpha = frame_person(rng, read_foreground(foreground), size, full_frame=full_frame)
    return Camera.draw(rng, size[1]).shoot(rng, color, alpha, view(background, size))


def _pairs(name: str, data: Path, behind: list[Path], size: Size, limit: int | None) -> EvaluationSet:
    folders = (data / "openpeople", data / "real", data / "rendered" / "stills")
    stills = [still for folder in folders for still in list_foregrounds(folder)]
    free = [still for still in stills if stands_free(read_foreground(still))]
    if len(free) < 2:
        raise InputError(f"{data}: no two people who are cut at the bottom alone; get the validation data again")
    clips = []
    for still in free:
        others = [other for other in free if other is not still]
        rng = generator(name, still.color.name)
        for number in range(2):
            beside = others[rng.integers(len(others))]
            room, table = (behind[i] for i in rng.integers(len(behind), size=2))
            key = (name, still.color.name, number)
            make = partial(_pair, (still, beside), room, table if number else None, size, key)
            label = f"{still.color.stem} and {beside.color.stem} over {room.stem}"
            clips.append(Clip(label, 1, make, still.color))
    return EvaluationSet(name, True, tuple(_evenly(clips, limit)))


def _pair(
    people: tuple[Foreground, Foreground],
    background: Path,
    table: Path | None,
    size: Size,
    key: tuple[str | int, ...],
    index: int,
) -> Sample:
    rng = generator(*key, index)
    swapped = rng.random() < 0.5
    placed = [
        frame_beside(rng, read_foreground(person), size, right=bool(second) != swapped)
        for second, person in enumerate(people)
    ]
    far, near = (person.astype(np.float32) for person in placed)
    front = near[..., 3:] / 255
    union = front + far[..., 3:] / 255 * (1 - front)
    color = far[..., :3] + front / np.maximum(union, 1e-4) * (near[..., :3] - far[..., :3])
    color, alpha = (np.clip(x + 0.5, 0, 255).astype(np.uint8) for x in (color, union[..., 0] * 255))
    behind = view(background, size)
    if table is not None:
        alpha, behind = behind_table(rng, alpha, behind, view(table, size))
    return Camera.draw(rng, size[1]).shoot(rng, color, alpha, behind)


def _dancer(name: str, data: Path, behind: list[Path], size: Size, limit: int | None) -> EvaluationSet:
    frames = list_foregrounds(data / "dancer")
    clips = [_sequence(name, frames, behind, moving, limit) for moving in (False, True)]
    return EvaluationSet(name, True, tuple(clips))


def _clips(name: str, data: Path, behind: list[Path], size: Size, limit: int | None) -> EvaluationSet:
    listing = data / "rendered" / "clips.jsonl"
    try:
        entries = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
        listed = sorted((str(entry["name"]), str(entry["motion"])) for entry in entries)
    except OSError as error:
        raise InputError(f"{listing}: cannot be read ({error.strerror}); get the validation data again") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{listing}: not one JSON object with name and motion a line; get it again") from error
    clips = []
    for number, (folder, motion) in enumerate(listed):
        frames = list_foregrounds(data / "rendered" / folder)
        clips.append(_sequence(f"{folder} ({motion})", frames, behind, number % 2 == 1, limit))
    return EvaluationSet(name, True, tuple(clips))


def _sequence(name: str, frames: list[Foreground], behind: list[Path], moving: bool, limit: int | None) -> Clip:
    count = len(frames) if limit is None else min(len(frames), max(2, limit))
    label = f"{name} over {'a moving' if moving else 'a still'} background"
    rng = generator(label)
    background = behind[rng.integers(len(behind))]
    if len(frames) < 2:
        raise InputError(
            f"{frames[0].color.parent}: a sequence needs two frames or more; get the validation data again"
        )
    return Clip(label, count, partial(_sequence_frame, frames, background, moving, label), frames[0].color)


def _sequence_frame(frames: list[Foreground], background: Path, moving: bool, label: str, index: int) -> Sample:
    rgba = read_foreground(frames[index])
    size = rgba.shape[1], rgba.shape[0]
    rng = generator(label, "camera")
    camera = Camera.draw(rng, size[1])
    if moving:
        # A camera carried along: to and fro within 6 s at 30 frames a second, a faster small nod on top.
        phase = rng.uniform(0, 2 * np.pi) + index * 2 * np.pi / 180
        behind = view(background, size, zoom=1.25, shift=(float(np.sin(phase)), float(0.6 * np.sin(2.3 * phase))))
    else:
        behind = view(background, size)
    return camera.shoot(generator(label, "noise", index), rgba[..., :3], rgba[..., 3], behind)


def _nobody(name: str, data: Path, behind: list[Path], size: Size, limit: int | None) -> EvaluationSet:
    clips = [Clip(path.stem, 1, partial(_empty, path, size, name)) for path in behind]
    return EvaluationSet(name, False, tuple(_evenly(clips, limit)))


def _empty(background: Path, size: Size, name: str, index: int) -> Sample:
    rng = generator(name, background.name, index)
    behind = view(background, size)
    return Camera.draw(rng, size[1]).shoot(rng, behind, np.zeros(behind.shape[:2], np.uint8), behind)


def _evenly(clips: list[Clip], limit: int | None) -> list[Clip]:
    """At most ``limit`` of them, spread over the list so that few still show variety."""
    if limit is None or limit >= len(clips):
        return clips
    return [clips[index * len(clips) // limit] for index in range(limit)]


_LOADERS: dict[str, Callable[[str, Path, list[Path], Size, int | None], EvaluationSet]] = {
    "openpeople": partial(_stills, "openpeople", 2, False),
    "real": partial(_stills, "real", 3, False),
    "stills": partial(_stills, "rendered/stills", 2, True),
    "dancer": _dancer,
    "clips": _clips,
    "pairs": _pairs,
    "nobody": _nobody,
}
SET_NAMES = tuple(_LOADERS)
