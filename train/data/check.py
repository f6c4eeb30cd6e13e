"""``python -m train.data check``: is the training data what it should be, before hours are spent on it."""

import json
import re
import shlex
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from realtime_matting.errors import InputError, OutputError
from train.data.faults import FAULTS, Finding
from train.data.inspection import Entry, Inspection, inspect
from train.data.records import list_entries
from train.data.twins import alike, clusters
from train.data.work import default_workers, in_parallel

KINDS = ("foregrounds", "mask pairs", "backgrounds")


def foreground_entries(source: Path) -> tuple[list[Entry], list[Finding]]:
    """Foregrounds of a folder or list, and alphas that belong to none."""
    listed = list_entries(source)
    colors = [path for path in listed if not path.stem.endswith("_alpha")]
    owned = {path.with_suffix("") for path in colors}
    alphas = [path for path in listed if path.stem.endswith("_alpha")]
    orphans = [path for path in alphas if path.with_name(path.stem.removesuffix("_alpha")) not in owned]
    return [Entry("foregrounds", path) for path in colors], [Finding("no colour", str(path)) for path in orphans]


def pair_entries(images: Path, masks: Path) -> tuple[list[Entry], list[Finding]]:
    """Mask pairs by stem, or line by line if both are lists; pictures without a mask."""
    left, right = list_entries(images), list_entries(masks)
    if images.is_file() and masks.is_file():
        findings = []
        if len(left) != len(right):
            findings.append(Finding("unequal lists", str(masks), f"{len(left)} pictures, {len(right)} masks"))
        return [Entry("mask pairs", i, m) for i, m in zip(left, right, strict=False)], findings
    by_stem = {path.stem: path for path in right}
    findings = [
        Finding("same name", str(by_stem[stem]), f"{count} masks are named {stem}")
        for stem, count in Counter(path.stem for path in right).items()
        if count > 1
    ]
    findings += [Finding("no mask", str(path)) for path in left if path.stem not in by_stem]
    return [Entry("mask pairs", path, by_stem[path.stem]) for path in left if path.stem in by_stem], findings


def background_entries(source: Path, match: str | None = None) -> list[Entry]:
    """Backgrounds of a folder or list."""
    return [Entry("backgrounds", p) for p in list_entries(source) if match is None or re.search(match, p.name)]


def configured_entries(config: Path) -> tuple[list[Entry], list[Finding]]:
    """Everything that the ``data`` section of a training configuration names."""
    from train.config import load_config

    data = load_config(config).data
    entries: list[Entry] = []
    findings: list[Finding] = []
    for foreground in data.foregrounds:
        more, problems = foreground_entries(foreground.path)
        entries, findings = entries + more, findings + problems
    for masks in data.masks:
        more, problems = pair_entries(masks.images, masks.masks)
        entries, findings = entries + more, findings + problems
    for background in data.backgrounds:
        entries += background_entries(background.path, background.match)
    return entries, findings


def twin_findings(checked: list[Inspection], others: list[Inspection]) -> list[Finding]:
    """Pictures that are there twice within one kind, and pictures of the other set."""
    found = []
    for kind in KINDS:
        seen = [(str(one.entry.path), one.print) for one in checked if one.print and one.entry.kind == kind]
        first: dict[str, tuple[str, Any]] = {}
        for path, mark in seen:
            if mark.digest in first:
                found.append(Finding("duplicate", path, f"is the same as {first[mark.digest][0]}"))
            else:
                first[mark.digest] = path, mark
        unique = list(first.values())
        for members in clusters([mark for _, mark in unique]):
            leader, *rest = [unique[i][0] for i in members]
            more = f" and {len(rest) - 2} more" if len(rest) > 2 else ""
            found.append(Finding("looks alike", leader, f"{', '.join(rest[:2])}{more}"))
    ours, theirs = ([one for one in group if one.print] for group in (checked, others))
    same = {one.print.digest: str(one.entry.path) for one in theirs if one.print}
    for one in ours:
        if one.print and one.print.digest in same:
            found.append(Finding("leak", str(one.entry.path), f"is the same as {same[one.print.digest]}"))
    if ours and theirs:
        known = {finding.file for finding in found if finding.fault == "leak"}
        near: dict[str, list[str]] = defaultdict(list)
        for i, j in alike([one.print for one in ours if one.print], [one.print for one in theirs if one.print]):
            near[str(ours[i].entry.path)].append(str(theirs[j].entry.path))
        found += [Finding("leak?", file, f"looks like {paths[0]}") for file, paths in near.items() if file not in known]
    return found


def check(
    foregrounds: Annotated[
        list[Path] | None, typer.Option(help="folder or list file: RGBA, or NAME.jpg with NAME_alpha.png; repeatable")
    ] = None,
    images: Annotated[list[Path] | None, typer.Option(help="pictures that have masks; repeatable")] = None,
    masks: Annotated[list[Path] | None, typer.Option(help="their masks, one for each --images")] = None,
    backgrounds: Annotated[list[Path] | None, typer.Option(help="pictures without people; repeatable")] = None,
    config: Annotated[Path | None, typer.Option(help="training configuration: check all data that it names")] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="folder or list that must share no picture (validation); repeatable")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder for check.md and check.json, with every finding")] = None,
    show: Annotated[int, typer.Option(min=0, help="print at most so many findings of a kind")] = 3,
    workers: Annotated[int | None, typer.Option(min=1, help="threads (default: one a core)")] = None,
) -> None:
    """Look for broken, mismatched, mislabelled and repeated pictures. Exits with 1 if there are errors."""
    if len(images or []) != len(masks or []):
        raise InputError(f"--images is given {len(images or [])} times, --masks {len(masks or [])} times; give both")
    entries, findings = configured_entries(config) if config else ([], [])
    for source in foregrounds or []:
        more, problems = foreground_entries(source)
        entries, findings = entries + more, findings + problems
    for pictures, their_masks in zip(images or [], masks or [], strict=True):
        more, problems = pair_entries(pictures, their_masks)
        entries, findings = entries + more, findings + problems
    for source in backgrounds or []:
        entries += background_entries(source)
    # A configuration may name one folder several times, with other weights.
    entries = list(dict.fromkeys(entries))
    if not entries:
        raise InputError("nothing to check; give --foregrounds, --images and --masks, --backgrounds or --config")
    other = [
        Entry("other set", path)
        for source in against or []
        for path in list_entries(source)
        if not path.stem.endswith("_alpha")
    ]
    inspected = list(in_parallel(inspect, entries + other, workers=workers or default_workers(), title="pictures"))
    checked, others = inspected[: len(entries)], inspected[len(entries) :]
    findings += [finding for one in checked for finding in one.findings]
    findings += twin_findings(checked, others)

    console = Console(soft_wrap=True)
    _print(console, checked, findings, show)
    if out:
        _write(out, checked, findings, console)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def summary(checked: list[Inspection], findings: list[Finding]) -> list[tuple[str, str, str, str]]:
    """Kind, number of entries, readable ones, sizes (smallest / median / largest); a row for each kind present."""
    rows = []
    for kind in KINDS:
        all_of_kind = [one for one in checked if one.entry.kind == kind]
        sizes = sorted((one.size for one in all_of_kind if one.size), key=lambda size: size[0] * size[1])
        if all_of_kind:
            chosen = (sizes[0], sizes[len(sizes) // 2], sizes[-1]) if sizes else ()
            text = " / ".join(f"{width}×{height}" for width, height in chosen)
            rows.append((kind, str(len(all_of_kind)), str(len(sizes)), text))
    return rows


def _grouped(findings: list[Finding]) -> list[tuple[str, list[Finding]]]:
    """Findings by kind, errors first."""
    order = list(FAULTS)
    groups: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.fault].append(finding)
    return sorted(groups.items(), key=lambda item: (FAULTS[item[0]].severity, order.index(item[0])))


def _verdict(findings: list[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(f"{counts[s]} {s}{'s' * (counts[s] != 1)}" for s in ("error", "warning"))


def _print(console: Console, checked: list[Inspection], findings: list[Finding], show: int) -> None:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("", "entries", "readable", "smallest / median / largest"):
        table.add_column(heading, justify="left" if heading in ("", "smallest / median / largest") else "right")
    for row in summary(checked, findings):
        table.add_row(*row)
    console.print(table)
    for fault, group in _grouped(findings):
        style = "bold red" if FAULTS[fault].severity == "error" else "yellow"
        console.print(f"{FAULTS[fault].severity}: {fault} ({len(group)})", style=style, end="")
        console.print(f" – {FAULTS[fault].advice}", highlight=False)
        for finding in group[:show]:
            detail = f": {finding.detail}" if finding.detail else ""
            console.print(f"  {finding.file}{detail}", highlight=False, markup=False)
        if len(group) > show:
            console.print(f"  … and {len(group) - show} more", highlight=False)
    console.print(_verdict(findings), highlight=False)


def _write(out: Path, checked: list[Inspection], findings: list[Finding], console: Console) -> None:
    about = {
        "command": shlex.join(["python", "-m", "train.data", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    lines = ["# Check of training data", "", f"`{about['command']}`, {about['date']}: {_verdict(findings)}.", ""]
    lines += ["| | entries | readable | smallest / median / largest |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in summary(checked, findings)]
    for fault, group in _grouped(findings):
        lines += ["", f"## {FAULTS[fault].severity}: {fault} ({len(group)})", "", f"{FAULTS[fault].advice}.", ""]
        lines += [f"- `{f.file}`{': ' + f.detail if f.detail else ''}" for f in group]
    kinds = {
        kind: {"entries": int(n), "readable": int(readable)} for kind, n, readable, _ in summary(checked, findings)
    }
    content = {
        **about,
        "kinds": kinds,
        "findings": [
            {
                "severity": f.severity,
                "fault": f.fault,
                "file": f.file,
                "detail": f.detail,
                "advice": FAULTS[f.fault].advice,
            }
            for _, group in _grouped(findings)
            for f in group
        ],
    }
    texts = {"check.md": "\n".join(lines) + "\n", "check.json": json.dumps(content, indent=1) + "\n"}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8", errors="surrogateescape")
            console.print(f"wrote {out / name}", highlight=False)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); choose another folder with --out") from error
