"""What a run leaves beside its checkpoints so that it can be told and repeated.

config.yaml     the configuration with every default and override in place
run.json        one entry for each start: command, seed, commit, machine, versions
losses.csv      every step's losses, learning rate and the seconds since the start
validation.csv  the figures of every validation
"""

import csv
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml

from train.config import TrainConfig

PACKAGES = ("rtmatte", "torch", "lightning-fabric", "numpy", "opencv-python-headless", "safetensors", "pydantic")


def record_run(out: Path, config: TrainConfig, device: torch.device, *, processes: int, first_step: int) -> None:
    """Write config.yaml, and add an entry to run.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    listing = out / "run.json"
    starts: list[dict[str, Any]] = json.loads(listing.read_text()) if listing.is_file() and first_step else []
    starts.append(
        {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "from_step": first_step,
            "command": sys.orig_argv,
            "seed": config.seed,
            "commit": _commit(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
            "processes": processes,
            "threads": torch.get_num_threads(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cuda": torch.version.cuda,
            "packages": _versions(),
        }
    )
    listing.write_text(json.dumps(starts, indent=1) + "\n")


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """Commit of the code that runs, with "+" if files were changed since; None outside a repository."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(
            ["git", "-C", str(here), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


class Curve:
    """A CSV file of rows that begin with a step; those after ``first_step`` are dropped when a run is resumed there."""

    def __init__(self, path: Path, first_step: int) -> None:
        self.path = path
        kept: list[list[str]] = []
        if first_step and path.is_file():
            with path.open(newline="") as file:
                rows = list(csv.reader(file))
            # A killed process may have left half a line at the end.
            kept = [r for i, r in enumerate(rows) if len(r) == len(rows[0]) and (i == 0 or int(r[0]) <= first_step)]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(kept)
        self._headed = bool(kept)

    def add(self, rows: list[dict[str, float]]) -> None:
        """Append rows of equal keys, the first being the step."""
        if not rows:
            return
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            if not self._headed:
                writer.writeheader()
                self._headed = True
            writer.writerows({k: v if k == "step" else f"{v:.8g}" for k, v in row.items()} for row in rows)
