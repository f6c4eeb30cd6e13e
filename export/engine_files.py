"""Engines on disk: NAME.engine beside NAME.engine.json, which says what it was built from, by what and for what.

An engine runs only where the same flavour and version of TensorRT runs it, on the GPU it was built for, and it is right
only for the network it was built from. All that is in the description, and an engine is used again only when all of it
is as asked.
"""

import datetime
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from export.flavours import Device, Flavour
from realtime_matting.engines.engine_file import record_path
from realtime_matting.errors import OutputError
from realtime_matting.models.bundle import Role

# How a difference is told: description key → words.
WORDS = {
    "bundle_sha256": "made from another version of the model",
    "onnx_sha256": "made from another network",
    "graph_sha256": "made from another conversion of the network",
    "flavour": "made by another TensorRT",
    "version": "made by another version",
    "precision": "of another precision",
    "role": "of another role",
    "device": "made for another GPU",
    "profiles": "made for other sizes",
    "mean": "made for another normalisation",
    "std": "made for another normalisation",
    "stride": "made for another stride",
}


@dataclass(frozen=True)
class EngineDescription:
    """The content of NAME.engine.json, of which the runtime reads what
    :class:`realtime_matting.engines.engine_file.EngineRecord` has; the rest tells a stale engine.

    Attributes:
        bundle_sha256: of the bundle's model.toml, or of the checkpoint's weights.
        onnx_sha256: of the role's float32 ONNX file in the bundle (of the traced graph for a checkpoint).
        graph_sha256: of the graph TensorRT was given, after rewriting and conversion.
        profiles: input → min, opt, max as (N, C, H, W).
        engine_sha256: of the engine file; tells a damaged one.
        created: ISO 8601, UTC.
    """

    flavour: Flavour
    version: str
    precision: str
    role: Role
    bundle_sha256: str
    onnx_sha256: str
    graph_sha256: str
    device: Device
    profiles: dict[str, dict[str, list[int]]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stride: int
    engine_sha256: str = ""
    created: str = ""
    build_seconds: float = field(default=0.0)

    def identity(self) -> dict[str, Any]:
        """What must be as asked for an engine to be used again, as JSON has it."""
        content = json.loads(json.dumps(asdict(self)))
        return {key: content[key] for key in WORDS}


def why_not(engine: Path, wanted: EngineDescription) -> str | None:
    """Why the engine at that path cannot be used as ``wanted``; None when it can."""
    if not engine.is_file():
        return "there is none yet"
    try:
        found = json.loads(record_path(engine).read_text(encoding="utf-8"))
        assert isinstance(found, dict)
    except (OSError, ValueError, AssertionError):
        return "its description is missing or damaged"
    for key, value in wanted.identity().items():
        if found.get(key) != value:
            return f"it was {WORDS[key]}{_detail(key, found.get(key), value)}"
    if _digest(engine.read_bytes()) != found.get("engine_sha256"):
        return "the file is damaged"
    return None


def write_engine(path: Path, blob: bytes, description: EngineDescription) -> None:
    """Write engine and description, each at once or not at all; an interruption leaves no half engine.

    The old description goes first: between the two files, there is an engine that nobody takes for a good one.

    Raises:
        OutputError: no space, no permission.
    """
    made = asdict(description) | {
        "engine_sha256": _digest(blob),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        record_path(path).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be written ({error.strerror}); choose another --out") from error
    write_atomically(path, blob)
    write_atomically(record_path(path), (json.dumps(made, indent=1) + "\n").encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside ``path``, then rename.

    Raises:
        OutputError: it cannot be written; whatever was at ``path`` is untouched.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        why = error.strerror or "cannot be written"
        raise OutputError(
            f"{path}: {why} while writing {len(content) / 1e6:.1f} MB; free space or choose --out"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _detail(key: str, found: Any, wanted: Any) -> str:
    if key in ("version", "flavour", "precision", "role"):
        return f" ({found}, not {wanted})"
    if key == "device" and isinstance(found, dict):
        return f" ({found.get('name')}, not {wanted['name']})"
    return ""
