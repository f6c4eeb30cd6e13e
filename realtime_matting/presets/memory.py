"""What was measured on this machine is remembered in the user's cache folder, so that it is measured once."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from realtime_matting import __version__
from realtime_matting.caches import cache_folder
from realtime_matting.defaults import PRESETS
from realtime_matting.machine import core_count, processor_name
from realtime_matting.presets.preset import load_presets


@dataclass(frozen=True)
class Answer:
    """What was found out.

    Attributes:
        preset: the best one that keeps the pace of 30 frames per second; the lightest where none does.
        milliseconds: of a live frame, by preset, for those that were measured.
    """

    preset: str
    milliseconds: Mapping[str, float]


def answers_path() -> Path:
    """Where the answers are: ``~/.cache/rtmatte/presets.json`` on Linux."""
    return cache_folder() / "presets.json"


def machine_key(engine: str, threads: int | None) -> str:
    """What an answer depends on: version, processor, cores, engine, and what the presets are."""
    presets = "; ".join(f"{name}: {preset}" for name, preset in load_presets().items())
    return (
        f"rtmatte {__version__}; {processor_name()}, {core_count()} cores; "
        f"engine {engine}, threads {threads or 'auto'}; {presets}"
    )


def recall(key: str) -> Answer | None:
    """The answer for a key; None where there is none, or none that can be read."""
    entry = _read().get(key)
    if not isinstance(entry, dict):
        return None
    preset, milliseconds = entry.get("preset"), entry.get("milliseconds")
    if preset not in PRESETS or not isinstance(milliseconds, dict):
        return None
    if not all(isinstance(value, int | float) for value in milliseconds.values()):
        return None
    return Answer(preset, milliseconds)


def remember(key: str, answer: Answer) -> Path:
    """Write an answer down, and forget those of other versions.

    Raises:
        OSError: the file cannot be written.
    """
    path = answers_path()
    version = key.partition(";")[0]
    entries = {old: entry for old, entry in _read().items() if old.partition(";")[0] == version}
    entries[key] = asdict(answer)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_text(json.dumps(entries, indent=2), encoding="utf-8")
    new.replace(path)  # whole or not at all, for another run may be reading it
    return path


def _read() -> dict[str, object]:
    try:
        entries = json.loads(answers_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}
