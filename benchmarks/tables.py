"""Figures of a benchmark as a table on the terminal, and as Markdown or JSON in a file."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from realtime_matting.errors import InputError, OutputError

Row = Mapping[str, object]


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's and how many of its cores this process may use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {torch.get_num_threads()} threads"


def text_of(value: object) -> str:
    """Numbers with three digits that matter."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def markdown(rows: Sequence[Row]) -> str:
    """A table with the keys of the first row as its head, padded so that it reads well on a terminal too."""
    head = list(rows[0])
    cells = [head, *([text_of(row[key]) for key in head] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def check_out(out: Path | None) -> None:
    """Raise InputError before a long measurement if its figures could not be written to ``out``."""
    if out is not None and out.suffix not in (".json", ".md"):
        raise InputError(f"--out {out}: write a .json or a .md file")


def publish(facts: Row, rows: Sequence[Row], out: Path | None) -> None:
    """Print facts and table, and write them to ``out`` (.json or .md) if given."""
    table = markdown(rows)
    told = "\n".join(f"{name}: {text_of(value)}" for name, value in facts.items())
    print(f"{told}\n\n{table}", flush=True)
    if out is None:
        return
    facts_list = "\n".join(f"- {name}: {text_of(value)}" for name, value in facts.items())
    text = json.dumps({"facts": facts, "rows": rows}, indent=2) if out.suffix == ".json" else f"{facts_list}\n\n{table}"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")
    except OSError as error:
        raise OutputError(f"{out}: could not be written ({error.strerror}); choose another --out") from error
