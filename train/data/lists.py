"""List files: one path a line, as the training configuration reads them; making them from folders, and proving them.

A split puts whole groups (people, scenes) on one side, never some pictures of a person on each.
"""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from realtime_matting.errors import InputError, OutputError
from train.data.records import PICTURES, list_entries, list_foregrounds, list_mask_pairs, list_pictures

app = typer.Typer(help="Make list files from folders, and verify them.", no_args_is_help=True)

Item = TypeVar("Item")

Out = Annotated[Path, typer.Option(help="list file to write")]
Relative = Annotated[bool, typer.Option("--relative", help="paths relative to the list's folder (default: full paths)")]
Holdout = Annotated[float, typer.Option(min=0, max=0.9, help="share of pictures for a second list, NAME_holdout.txt")]
Group = Annotated[
    str | None,
    typer.Option(help="regular expression on the file name; what it finds names the person or scene, kept together"),
]
Seed = Annotated[int, typer.Option(help="of the split")]
Match = Annotated[str | None, typer.Option(help="keep only file names in which this regular expression is found")]


@app.command()
def foregrounds(
    folders: Annotated[list[Path], typer.Argument(help="folders with RGBA pictures or NAME.jpg + NAME_alpha.png")],
    out: Out,
    relative: Relative = False,
    match: Match = None,
    holdout: Holdout = 0.0,
    group: Group = None,
    seed: Seed = 1,
) -> None:
    """List foregrounds; alphas (NAME_alpha.png) are found by name and not listed."""
    found = [f.color for folder in folders for f in list_foregrounds(folder)]
    _write_split(matching(found, match), [out], lambda p: (p,), relative, holdout, group, seed)


@app.command()
def backgrounds(
    folders: Annotated[list[Path], typer.Argument(help="folders of pictures without people")],
    out: Out,
    relative: Relative = False,
    match: Match = None,
    holdout: Holdout = 0.0,
    group: Group = None,
    seed: Seed = 1,
) -> None:
    """List backgrounds."""
    found = [path for folder in folders for path in list_pictures(folder)]
    _write_split(matching(found, match), [out], lambda p: (p,), relative, holdout, group, seed)


@app.command()
def pairs(
    images: Annotated[Path, typer.Argument(help="folder of pictures")],
    masks: Annotated[Path, typer.Argument(help="folder of masks with the same names")],
    out: Annotated[tuple[Path, Path], typer.Option(help="the two list files to write: images, masks")],
    relative: Relative = False,
    holdout: Holdout = 0.0,
    group: Group = None,
    seed: Seed = 1,
) -> None:
    """List pictures and their masks, matched by name; line N of one list belongs to line N of the other."""
    found = list_mask_pairs(images, masks)
    _write_split(found, list(out), lambda pair: (pair.image, pair.mask), relative, holdout, group, seed)


@app.command()
def verify(
    lists: Annotated[list[Path], typer.Argument(help="list files")],
    masks: Annotated[
        list[Path] | None, typer.Option(help="list of masks, one for each list, in the same order; may be repeated")
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="list file or folder that must share nothing with the lists; repeatable")
    ] = None,
    group: Group = None,
) -> None:
    """Find missing files, repeated lines, lists of unequal length, and what training and validation share.

    Exits with 1 if anything is wrong. Pictures are not opened; `check` does that.
    """
    if masks and len(masks) != len(lists):
        raise InputError(f"--masks is given {len(masks)} times for {len(lists)} lists; give one for each list")
    problems = [problem for source in [*lists, *(masks or [])] for problem in list_problems(source)]
    for images_list, masks_list in zip(lists, masks or [], strict=False):
        problems += pair_problems(images_list, masks_list)
    for one in lists:
        for other in against or []:
            problems += overlap_problems(one, other, group)
    for problem in problems:
        typer.echo(problem)
    entries = sum(len(list_entries(source)) for source in lists)
    found = _counted(len(problems), "problem") if problems else "no problems"
    typer.echo(f"{_counted(len(lists), 'list')}, {_counted(entries, 'line')}: {found}")
    if problems:
        raise typer.Exit(1)


def matching(paths: list[Path], expression: str | None) -> list[Path]:
    """Those in whose file name the regular expression is found.

    Raises:
        InputError: none, or not a regular expression.
    """
    pattern = compiled(expression)
    kept = [path for path in paths if pattern is None or pattern.search(path.name)]
    if not kept:
        raise InputError(f"--match {expression}: is in none of the {len(paths)} file names, such as {paths[0].name}")
    return kept


def compiled(expression: str | None) -> re.Pattern[str] | None:
    """The regular expression; InputError if it is none."""
    try:
        return None if expression is None else re.compile(expression)
    except re.error as error:
        raise InputError(f"{expression}: not a regular expression ({error})") from error


def group_of(path: Path, pattern: re.Pattern[str] | None) -> str:
    """Who or what is shown: what the expression finds in the file name, else the file stands for itself."""
    found = pattern.search(path.name) if pattern else None
    return found.group(0) if found else f"/{path}"


def split(items: Sequence[Item], names: Sequence[str], share: float, seed: int) -> tuple[list[Item], list[Item]]:
    """Whole groups into (kept, held out), in their order, until at least ``share`` of the items is held out.

    Groups are taken in the order of a hash of the seed and their name, so that the choice hardly moves when pictures
    are added. At least one group is held out and at least one kept.

    Args:
        names: the group of each item.

    Raises:
        InputError: all items are of one group.
    """
    sizes = Counter(names)
    if len(sizes) < 2:
        raise InputError(f"--holdout {share:g}: all pictures are of one group, {names[0]}; give another --group")
    order = sorted(sizes, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest())
    chosen: set[str] = set()
    taken = 0
    for name in order[:-1]:
        if chosen and taken >= share * len(items):
            break
        chosen.add(name)
        taken += sizes[name]
    kept = [item for item, name in zip(items, names, strict=True) if name not in chosen]
    held_out = [item for item, name in zip(items, names, strict=True) if name in chosen]
    return kept, held_out


def _write_split(
    items: list[Item],
    outs: list[Path],
    paths_of: Callable[[Item], tuple[Path, ...]],
    relative: bool,
    holdout: float,
    group: str | None,
    seed: int,
) -> None:
    pattern = compiled(group)
    names = [group_of(paths_of(item)[0], pattern) for item in items]
    if holdout == 0:
        parts = [("", items)]
    else:
        kept, held_out = split(items, names, holdout, seed)
        parts = [("", kept), ("_holdout", held_out)]
    for suffix, part in parts:
        columns = list(zip(*(paths_of(item) for item in part), strict=True))
        for out, column in zip(outs, columns, strict=True):
            target = out.with_name(f"{out.stem}{suffix}{out.suffix}")
            write_list(target, list(column), relative=relative)
            groups = len({group_of(paths_of(item)[0], pattern) for item in part})
            of = f" of {_counted(groups, 'group')}" if group else ""
            typer.echo(f"{target}: {_counted(len(column), 'picture')}{of}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def write_list(target: Path, paths: Sequence[Path], *, relative: bool) -> None:
    """Write a list file that ``list_pictures`` reads back to the same files.

    Raises:
        InputError: a file name that a line cannot hold.
        OutputError: the list cannot be written.
    """
    lines = []
    for path in paths:
        absolute = os.path.abspath(path)
        line = os.path.relpath(absolute, os.path.abspath(target.parent)) if relative else absolute
        line = f"./{line}" if line.startswith("#") else line
        if line != line.strip() or len(line.splitlines()) != 1:
            raise InputError(f"{path}: begins or ends with a space, or breaks the line; rename it to list it")
        lines.append(line + "\n")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.partial")
        unfinished.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")
        os.replace(unfinished, target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror}); check space and permissions") from error


def list_problems(source: Path) -> list[str]:
    """Missing files, files that are no pictures by their name, and repeated lines of one list; a line for each."""
    entries = list_entries(source)
    if not entries:
        return [f"{source}: is empty"]
    problems = [f"{source}: {path} does not exist" for path in entries if not path.is_file()]
    problems += [
        f"{source}: {path} is not named like a picture" for path in entries if path.suffix.lower() not in PICTURES
    ]
    counts = Counter(os.path.realpath(path) for path in entries)
    problems += [f"{source}: {path} is listed {count} times" for path, count in counts.items() if count > 1]
    return problems


def pair_problems(images: Path, masks: Path) -> list[str]:
    """Unequal numbers of lines, and lines whose names do not belong together."""
    left, right = list_entries(images), list_entries(masks)
    if len(left) != len(right):
        return [f"{images} has {len(left)} lines but {masks} {len(right)}; they go line by line"]
    stems = {path.stem for path in left}
    problems = []
    for number, (image, mask) in enumerate(zip(left, right, strict=True), 1):
        # Masks may be named by another scheme altogether; only one that is named like another picture is surely wrong.
        if image.stem != mask.stem and mask.stem in stems:
            problems.append(f"{masks}: line {number} is {mask.name}, but {images} has {image.name} there")
    return problems


def overlap_problems(one: Path, other: Path, group: str | None) -> list[str]:
    """Files, and with ``group`` people or scenes, that are in both."""
    pattern = compiled(group)
    left, right = list_entries(one), list_entries(other)
    there = {os.path.realpath(path) for path in right}
    problems = [f"{one}: {path} is in {other} as well" for path in left if os.path.realpath(path) in there]
    if pattern:
        shared: dict[str, int] = defaultdict(int)
        groups = {found.group(0) for path in right if (found := pattern.search(path.name))}
        for path in left:
            if (found := pattern.search(path.name)) and found.group(0) in groups:
                shared[found.group(0)] += 1
        problems += [f"{one}: group {name} ({count} pictures) is in {other} as well" for name, count in shared.items()]
    return problems
