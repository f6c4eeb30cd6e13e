"""The results as tables (terminal, Markdown), as JSON, and as a sheet of the worst pictures."""

import json
import math
import os
import platform
import re
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from realtime_matting.errors import OutputError
from train.evaluation.framing import Picture
from train.evaluation.measure import CLEAN, DECISIVE, EDGE_WIDTH, TRIMAP_RADIUS, Case, Evaluation, Scale, SetResult
from train.evaluation.sheets import grey, row, stack
from train.evaluation.tables import UNKNOWN_COLUMNS, UNKNOWN_LEGEND

# key, heading, decimals
PEOPLE_COLUMNS = (
    ("mad", "MAD", 2),
    ("mse", "MSE", 2),
    ("grad", "Grad", 2),
    ("conn", "Conn", 2),
    ("edge_mad", "edge MAD", 1),
    ("iou", "IoU", 4),
    ("dtssd", "dtSSD", 2),
)
NOBODY_COLUMNS = (
    ("share", "alpha > 0.5, %", 3),
    ("mean_alpha", "mean alpha·1e3", 2),
    ("clean", f"mean alpha < {1e3 * CLEAN:g}e-3, % of pictures", 1),
)
# Of these more is better, so that a ratio would mislead.
HIGHER_IS_BETTER = ("iou", "clean")
WHOLE_LEGEND = (
    "Whole image, RVM's scale: MAD and edge MAD mean|d|·1e3, MSE mean d²·1e3, Grad and Conn Σ/1000 (they grow with "
    f"the picture's area), dtSSD ·1e2. Edge MAD: ±{EDGE_WIDTH} px of the outline at 720 lines, scaled with the height. "
    "Means over pictures; in sequences over frames, then over clips. Lower is better, for IoU and the share of "
    "pictures higher. "
)
COMPOSITES_LEGEND = (
    "Ratios (÷) are to the first baseline: below 1 is better. Composites: seeded, cover-fitted backgrounds, the same "
    "blur (σ 0.4 to 1 px at 720 lines, also on the truth) and noise (1 to 5 of 255) on person and background; equal "
    "digests mean equal pictures."
)
LIBRARIES = ("numpy", "opencv-python-headless", "openvino", "onnxruntime", "mediapipe", "torch", "rtmatte")
GREEN = (0, 177, 64)

Rows = list[tuple[str, list[str]]]


def legend(evaluation: Evaluation) -> str:
    """What the figures are, and who was given a trimap."""
    if evaluation.scale == "whole":
        return WHOLE_LEGEND + COMPOSITES_LEGEND
    given = ", ".join(evaluation.given) or "no model"
    helped = (
        f"Trimaps are the data's own, or made from the true alpha with erosion and dilation of {TRIMAP_RADIUS} px at "
        f"720 lines; given to {given}; the others made their alpha without, and are only measured where it is unknown. "
    )
    return f"{UNKNOWN_LEGEND} {helped}Means over pictures and clips; lower is better. {COMPOSITES_LEGEND}"


def rows(evaluation: Evaluation, result: SetResult, baseline: str | None) -> tuple[list[str], Rows]:
    """Headings, and rows of formatted numbers: each predictor, followed by its ratio to ``baseline``."""
    means = {name: result.means(name) for name in result.clips}
    measured = PEOPLE_COLUMNS if result.people else NOBODY_COLUMNS
    wanted = UNKNOWN_COLUMNS if evaluation.scale == "unknown" else measured
    columns = [column for column in wanted if any(column[0] in values for values in means.values())]
    table = []
    for name, values in means.items():
        label = f"{name} (given the trimap)" if name in evaluation.given else name
        table.append((label, [_number(values[key], decimals) for key, _, decimals in columns]))
        if baseline is not None and name != baseline:
            ratios = [
                math.nan if key in HIGHER_IS_BETTER else _ratio(values[key], means[baseline][key])
                for key, _, _ in columns
            ]
            table.append((f"÷ {baseline}", [_number(ratio, 2) for ratio in ratios]))
    return [heading for _, heading, _ in columns], table


def title(evaluation: Evaluation, result: SetResult) -> str:
    """One line on what was measured."""
    region = ", unknown region" if evaluation.scale == "unknown" else ""
    clips = len(next(iter(result.clips.values())))
    amount = f"{clips} pictures" if clips == result.frames else f"{clips} sequences, {result.frames} frames"
    return f"{result.name} ({amount}, digest {result.digest}){region}"


def print_tables(evaluation: Evaluation, baseline: str | None, console: Console) -> None:
    """One table a set."""
    for result in evaluation.sets:
        headings, table = rows(evaluation, result, baseline)
        drawn = Table(title=title(evaluation, result), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        drawn.add_column("", no_wrap=True)
        for heading in headings:
            drawn.add_column(heading, justify="right")
        for name, numbers in table:
            drawn.add_row(name, *numbers)
        console.print(drawn)


def circumstances(command: str) -> dict[str, Any]:
    """What a report says of how it came about: command, date, machine, and versions of libraries."""
    return {
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        "versions": _versions(),
    }


def write_report(
    evaluation: Evaluation, baseline: str | None, out: Path, *, command: str, settings: dict[str, Any]
) -> list[Path]:
    """Write evaluation.md, evaluation.json and worst_NAME.png of each predictor; returns their paths.

    Args:
        command: as it was typed.
        settings: what the pictures depend on, for the JSON.

    Raises:
        OutputError: a file cannot be written.
    """
    about = circumstances(command)
    files = {
        out / "evaluation.md": _markdown(evaluation, baseline, about).encode(),
        out / "evaluation.json": _json(evaluation, baseline, {**about, "settings": settings}).encode(),
    }
    for name, cases in evaluation.worst.items():
        if worst := cases.sorted():
            _, png = cv2.imencode(".png", cv2.cvtColor(sheet(worst, evaluation.scale), cv2.COLOR_RGB2BGR))
            files[out / f"worst_{file_name(name)}.png"] = png.tobytes()
    return write_files(files)


def file_name(name: str) -> str:
    """The name of a model or a kind as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_")


def write_files(files: dict[Path, bytes]) -> list[Path]:
    """Write all; returns their paths.

    Raises:
        OutputError: one cannot be written.
    """
    try:
        for path, content in files.items():
            path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); check space and permissions") from error
    return list(files)


def sheet(cases: list[Case], scale: Scale, height: int = 180) -> Picture:
    """A row for each case: input, prediction, truth, and the input on green by the predicted alpha; uint8 RGB."""
    drawn = []
    for case in cases:
        alpha = case.alpha[..., None].astype(np.float32) / 255
        on_green = (alpha * case.image + (1 - alpha) * np.array(GREEN, np.float32)).astype(np.uint8)
        cells = [case.image, grey(case.alpha), grey(case.truth), on_green]
        drawn.append(row(cells, f"{DECISIVE[scale].upper()} {case.error:.1f}  {case.label}", height))
    return stack(drawn)


def _markdown(evaluation: Evaluation, baseline: str | None, about: dict[str, Any]) -> str:
    lines = ["# Evaluation", "", f"    {about['command']}", "", f"{about['date']}; {about['machine']}; "]
    lines[-1] += ", ".join(f"{name} {version}" for name, version in about["versions"].items()) + "."
    lines += ["", legend(evaluation), ""]
    for result in evaluation.sets:
        headings, table = rows(evaluation, result, baseline)
        lines += [
            f"## {title(evaluation, result)}",
            "",
            f"| | {' | '.join(headings)} |",
            "|---|" + "--:|" * len(headings),
        ]
        lines += [f"| {name} | {' | '.join(numbers)} |" for name, numbers in table]
        lines.append("")
    return "\n".join(lines)


def _json(evaluation: Evaluation, baseline: str | None, about: dict[str, Any]) -> str:
    sets = {
        result.name: {
            "frames": result.frames,
            "digest": result.digest,
            "means": {name: _defined(result.means(name)) for name in result.clips},
            "clips": {
                name: {clip: _defined(values) for clip, values in clips.items()} for name, clips in result.clips.items()
            },
        }
        for result in evaluation.sets
    }
    return (
        json.dumps(
            {**about, "scale": evaluation.scale, "given_trimap": evaluation.given, "baseline": baseline, "sets": sets},
            indent=1,
            allow_nan=False,
        )
        + "\n"
    )


def _defined(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: null where a metric is undefined."""
    return {key: None if math.isnan(value) else round(value, 6) for key, value in values.items()}


def _ratio(value: float, reference: float) -> float:
    return value / reference if reference else math.nan


def _number(value: float, decimals: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{decimals}f}"


def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        listing = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        listing = ""
    named = re.search(r"^model name\s*:\s*(.+)$", listing, re.MULTILINE)
    return named.group(1) if named else platform.processor() or platform.machine()
