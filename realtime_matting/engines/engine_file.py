"""TensorRT engine files: ``NAME.engine``, what is known of it in ``NAME.engine.json``, and the folder they are kept in.

An engine fits one version of one flavour of TensorRT, one kind of GPU and one network; the description says which, so
that a file that does not fit is told apart before TensorRT is even loaded.
"""

import functools
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator

from realtime_matting.caches import cache_folder
from realtime_matting.errors import EngineError

Flavour = Literal["tensorrt", "tensorrt_rtx"]
FLAVOURS: tuple[Flavour, ...] = ("tensorrt", "tensorrt_rtx")
FLAVOUR_NAMES: dict[Flavour, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT for RTX"}
EXTRAS: dict[Flavour, str] = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx"}
EnginePrecision = Literal["fp32", "fp16", "bf16", "int8"]
PORTABLE = "portable"

Shape = tuple[PositiveInt, ...]


class _Record(BaseModel):
    # Keys that a later version adds are left alone: an engine is refused for what it is, not for a longer description.
    model_config = ConfigDict(extra="ignore", frozen=True)


class BuiltFor(_Record):
    """The GPU an engine was built for.

    Attributes:
        name: for people.
        capability: "8.9", or "portable" for an engine that suits every GPU its flavour supports.
    """

    name: str
    capability: str

    @field_validator("capability")
    @classmethod
    def _one_spelling(cls, value: str) -> str:
        if value == PORTABLE:
            return value
        found = re.fullmatch(r"(?:sm_?)?(\d+)\.?(\d)", value, re.IGNORECASE)
        if found is None:
            raise ValueError(f"{value!r} is neither a capability such as 8.9 nor {PORTABLE}")
        return f"{found[1]}.{found[2]}"


class ShapeRange(_Record):
    """The shapes of one input that an engine takes, and the one it was tuned for."""

    min: Shape
    opt: Shape
    max: Shape


class EngineRecord(_Record):
    """The content of ``NAME.engine.json``.

    Attributes:
        flavour: the module that built the engine and runs it.
        version: of that module, in full.
        precision: of the arithmetic.
        role: of the network in its bundle.
        bundle_sha256: of the bundle's model.toml.
        onnx_sha256: of the bundle's ONNX file for the role, as model.toml has it.
        device: the GPU it was built for.
        profiles: the shapes each input may have.
        mean, std: how the inputs are normalised; stride: what H and W must be multiples of.
        created: when it was built.
    """

    flavour: Flavour
    version: Annotated[str, Field(min_length=1)]
    precision: EnginePrecision
    role: str
    bundle_sha256: str
    onnx_sha256: str
    device: BuiltFor
    profiles: dict[str, ShapeRange]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    stride: PositiveInt
    created: datetime


@dataclass(frozen=True)
class EngineFile:
    """An engine on disk with its description."""

    path: Path
    record: EngineRecord

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the description beside ``path``; the engine itself is not looked at.

        Raises:
            EngineError: either file is missing, or the description is not one.
        """
        if not path.is_file():
            raise EngineError(f"{path}: no such engine; build it with python -m export.build_engine")
        beside = record_path(path)
        try:
            record = EngineRecord.model_validate_json(beside.read_bytes())
        except OSError as error:
            raise EngineError(
                f"{beside}: cannot be read ({error.strerror}), and says what the engine was built for; build it again"
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"]) or "content"
            raise EngineError(f"{beside}: {where}: {' '.join(first['msg'].split())}; build the engine again") from error
        return cls(path, record)

    def why_not(self, version: str, capability: tuple[int, int]) -> str | None:
        """Why TensorRT ``version`` on a GPU of that ``capability`` cannot run the engine; None if it can."""
        built = self.record.version
        if _release(built) != _release(version):
            return f"was built by {FLAVOUR_NAMES[self.record.flavour]} {built}, and {version} is installed"
        here = f"{capability[0]}.{capability[1]}"
        if self.record.device.capability not in (PORTABLE, here):
            return (
                f"was built for {self.record.device.name} (compute capability {self.record.device.capability}),"
                f" and this GPU has {here}"
            )
        return None


def record_path(engine: Path) -> Path:
    """Where the description of an engine is."""
    return engine.with_name(engine.name + ".json")


def engine_cache() -> Path:
    """Where engines are kept: ``engines`` in rtmatte's cache."""
    return cache_folder() / "engines"


def list_engines(folders: Iterable[Path]) -> tuple[list[EngineFile], list[str]]:
    """All engines in and below ``folders``, the newest first; and a line for each that cannot be read."""
    found: dict[Path, EngineFile] = {}
    broken: dict[Path, str] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.engine")):
            try:
                found[path.resolve()] = EngineFile.read(path)
            except EngineError as error:
                broken[path.resolve()] = str(error)
    by_age = sorted(found.values(), key=lambda file: file.record.created.timestamp(), reverse=True)
    return by_age, list(broken.values())


def engines_of(onnx_path: Path, precision: EnginePrecision | None = None) -> list[EngineFile]:
    """The engines built from an ONNX file, in its own folder and in the cache, the newest first."""
    if not any(any(folder.rglob("*.engine")) for folder in (onnx_path.parent, engine_cache())):
        return []  # the usual case on a machine without a GPU; spares the checksum
    sha256 = _sha256(onnx_path, onnx_path.stat().st_mtime_ns)
    found, _ = list_engines((onnx_path.parent, engine_cache()))
    return [
        file
        for file in found
        if file.record.onnx_sha256 == sha256 and (precision is None or file.record.precision == precision)
    ]


@functools.lru_cache(maxsize=16)
def _sha256(path: Path, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _release(version: str) -> tuple[str, ...]:
    """What must be the same for an engine to load: 10.13.2.6 and 10.13.2.9 are one release."""
    return tuple(version.split("+")[0].split(".")[:3])
