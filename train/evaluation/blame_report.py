"""The split error as tables (terminal, Markdown), as JSON, and as a sheet of the worst pictures of each kind."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from train.evaluation.blame import COLOURS, Blame, BlamedCase, Values, mean
from train.evaluation.framing import Picture
from train.evaluation.kinds import RULES
from train.evaluation.report import circumstances, file_name, write_files
from train.evaluation.sheets import grey, row, stack

# key, heading, whether it is a part of the error and so has a share of it
Columns = tuple[tuple[str, str, bool], ...]
TWO_STAGES: Columns = (
    ("mad", "MAD", False),
    ("known_wrong", "a", True),
    ("soft_lost", "b", True),
    ("band", "c", True),
    ("upsampling", "d", True),
    ("band_away", "away", True),
    ("t_net", "T", True),
    ("joint", "joint", True),
    ("m_net", "M", True),
    ("unknown", "band", False),
    ("unknown_perfect", "edge", False),
)
ONE_STAGE: Columns = (
    ("mad", "MAD", False),
    ("outside", "outside", True),
    ("inside", "inside", True),
    ("upsampling", "d", True),
    ("unknown_perfect", "edge", False),
)
TWO_STAGES_LEGEND = (
    "MAD, mean|d|·1e3 of the whole image, = a + b + c + d. a: called known by the trimap, but wrong, and not soft in "
    "truth; b: soft in truth (alpha from 0.02 to 0.98), called known; c: error in the unknown band; d: what the truth "
    "itself loses when it is reduced to the network's size and enlarged again. Away: the part of c outside of the "
    "perfect trimap's band, where all is sure. And MAD = T + joint + M + d. M: what remains of a + b + c with a "
    "perfect trimap (of the truth, at the T-Net's resolution, as in training); T: what remains with a perfect M-Net "
    "(the reduced truth, fused with the predicted trimap); joint: what goes away with either. Second lines: share of "
    "the MAD."
)
ONE_STAGE_LEGEND = (
    "MAD, mean|d|·1e3 of the whole image, = outside + inside + d. d: what the truth itself loses when it is reduced to "
    "the network's size and enlarged again; the rest lies inside the unknown band that a trimap of the truth has "
    "around the edge, or outside. Second lines: share of the MAD."
)
BANDS_LEGEND = "Band, edge: share of the image in the band of the model's trimap, and in that of the perfect one, in %."
KINDS_LEGEND = "A picture may be of several kinds, or of none; n: frames, by kind of all sets together."
Average = tuple[int, Values]
"""Number of frames, and their means."""
PARTS = {
    "known_wrong": "a known, but wrong",
    "soft_lost": "b soft, but known",
    "band_inside": "c band, at the edge",
    "band_away": "c band, away from it",
    "outside": "away from the edge",
    "inside": "at the edge",
    "upsampling": "d upsampling",
}


def layout(result: Blame) -> tuple[Columns, str]:
    """Columns, those of the bands last, and legend that fit the model."""
    return (TWO_STAGES, TWO_STAGES_LEGEND) if result.fills_trimaps else (ONE_STAGE, ONE_STAGE_LEGEND)


def rows(result: Blame, averages: dict[str, Average], decimals: int) -> list[list[str]]:
    """Two rows for each of ``averages``: name, frames and values; then the parts' share of the MAD."""
    columns, _ = layout(result)
    table = []
    for name, (frames, values) in averages.items():
        table.append([name, f"{frames}", *(f"{values[key]:.{decimals}f}" for key, _, _ in columns)])
        shares = [
            f"{100 * values[key] / values['mad']:.0f}%" if part and values["mad"] else "" for key, _, part in columns
        ]
        table.append(["", "", *shares])
    return table


def tables(result: Blame) -> Iterator[tuple[str, dict[str, Average]]]:
    """Title and averages of each table: by set, and by kind in the order of the rules."""
    frames = {name: sum(len(values) for values in clips.values()) for name, clips in result.sets.items()}
    yield "by set", {name: (frames[name], result.of_set(name)) for name in result.sets}
    kinds = [kind for kind in RULES if kind in result.kinds]
    yield "by kind of picture", {kind: (len(result.kinds[kind]), mean(result.kinds[kind])) for kind in kinds}


def print_blame(results: list[Blame], console: Console) -> None:
    """Two tables a model, and what the columns are; how large the bands are is in the files, for want of room."""
    for result in results:
        columns, legend = layout(result)
        shown = [heading for key, heading, part in columns if part or key == "mad"]
        for title, averages in tables(result):
            drawn = Table(title=f"{result.name} {title}", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
            drawn.add_column("", no_wrap=True)
            for heading in ("n", *shown):
                drawn.add_column(heading, justify="right", no_wrap=True)
            for one in rows(result, averages, 1):
                drawn.add_row(*one[: 2 + len(shown)])
            console.print(drawn)
        console.print(legend, style="dim")
        console.print(KINDS_LEGEND, style="dim")


def write_blame(results: list[Blame], out: Path, *, command: str, settings: dict[str, Any]) -> list[Path]:
    """Write blame.md, blame.json and blame_MODEL_KIND.png; returns their paths.

    Args:
        command: as it was typed.
        settings: what the pictures depend on, for the JSON.

    Raises:
        OutputError: a file cannot be written.
    """
    about = circumstances(command)
    files = {
        out / "blame.md": _markdown(results, about).encode(),
        out / "blame.json": _json(results, {**about, "settings": settings}).encode(),
    }
    for result in results:
        for kind, cases in result.worst.items():
            _, png = cv2.imencode(".png", cv2.cvtColor(sheet(result, cases), cv2.COLOR_RGB2BGR))
            files[out / f"blame_{file_name(result.name)}_{file_name(kind)}.png"] = png.tobytes()
    return write_files(files)


def sheet(result: Blame, cases: list[BlamedCase], height: int = 180) -> Picture:
    """A row for each case: picture, trimap, alpha, truth, and the error coloured by part; uint8 RGB."""
    parts = [part for part in PARTS if part in cases[0].values]
    what = f"picture, {'' if result.fills_trimaps else 'true '}trimap, alpha, truth, error:"
    key = np.full((24, 330 + 160 * len(parts), 3), 40, np.uint8)
    _write(key, what, 4, (255, 255, 255))
    for number, part in enumerate(parts):
        _write(key, PARTS[part], 330 + 160 * number, COLOURS[part])
    drawn = [key]
    for case in cases:
        cells = [case.image, grey(case.trimap), grey(case.alpha), grey(case.truth), case.errors]
        split = ", ".join(f"{heading} {case.values[name]:.1f}" for name, heading, _ in layout(result)[0])
        drawn.append(row(cells, f"{case.label}   {split}", height))
    return stack(drawn)


def _write(strip: Picture, text: str, left: int, colour: tuple[int, int, int]) -> None:
    cv2.putText(strip, text, (left, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def _markdown(results: list[Blame], about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    lines = ["# Where the error is made", "", f"    {about['command']}", "", f"{about['date']}; {about['machine']}; "]
    lines[-1] += f"{versions}."
    for result in results:
        columns, legend = layout(result)
        lines += ["", f"## {result.name}", "", f"{legend} {BANDS_LEGEND} {KINDS_LEGEND}"]
        headings = " | ".join(heading for _, heading, _ in columns)
        for title, averages in tables(result):
            lines += ["", f"### {title}", "", f"| | n | {headings} |", "|---|--:|" + "--:|" * len(columns)]
            lines += [f"| {' | '.join(one)} |" for one in rows(result, averages, 2)]
    lines += ["", "## Kinds", "", *(f"- **{kind}**: {rule}." for kind, rule in RULES.items()), ""]
    return "\n".join(lines)


def _json(results: list[Blame], about: dict[str, Any]) -> str:
    models = {
        result.name: {
            "split": "by region and stage" if result.fills_trimaps else "by region",
            "sets": {
                name: {
                    "mean": _rounded(result.of_set(name)),
                    "clips": {clip: _rounded(mean(frames)) for clip, frames in clips.items()},
                }
                for name, clips in result.sets.items()
            },
            "kinds": {
                kind: {"rule": RULES[kind], "frames": len(values), "mean": _rounded(mean(values))}
                for kind, values in result.kinds.items()
            },
        }
        for result in results
    }
    return json.dumps({**about, "models": models}, indent=1, allow_nan=False) + "\n"


def _rounded(values: Values) -> Values:
    return {key: round(value, 6) for key, value in values.items()}
