"""A bundle for CPUs in the precision that is fastest on one like this: float32, bf16 or int8, measured for each role.

bf16 needs no other graph: OpenVINO computes in it where the CPU can. int8 is in the graph. A precision is taken only if
it is faster than what has been found before, and right: its error, in the engine that is to run it, within the bound.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from export.frames import Feed, feeds, read_frames
from export.networks import ExportedNetwork, open_export_source
from export.quantization import INT8_BOUND, quantize
from export.verify import MEAN_NARROW, Agreement, verify_engine
from realtime_matting.engines import Precision as Arithmetic
from realtime_matting.engines import open_engine
from realtime_matting.errors import EngineError, InputError
from realtime_matting.models import Bundle
from realtime_matting.models.bundle import Role
from realtime_matting.models.registry import find_bundle

CpuEngine = Literal["openvino", "onnxruntime"]
Wanted = Literal["auto", "fp32", "fp16", "bf16", "int8"]
CALIBRATION_FRAMES = 24
JUDGED_FRAMES = 3
RUNS = 15
BOUNDS = {"fp32": 1e-4, "bf16": MEAN_NARROW, "int8": INT8_BOUND}
METADATA = "rtmatte.precision"


@dataclass(frozen=True)
class Candidate:
    """One precision of one role in one engine; ``milliseconds`` is the median of a frame."""

    role: Role
    precision: str
    model: onnx.ModelProto
    milliseconds: float
    agreement: Agreement

    @property
    def is_right(self) -> bool:
        """Whether the mean error is within the bound of the precision."""
        return self.agreement.mean <= BOUNDS[self.precision]

    def __str__(self) -> str:
        verdict = "" if self.is_right else f", more than {BOUNDS[self.precision]:g}"
        return (
            f"{self.role:<8} {self.precision:<5} {self.milliseconds:6.1f} ms a frame,"
            f" mean error {self.agreement.mean:.1e}{verdict}"
        )


def build_cpu_bundle(
    source: str | Path | None,
    folder: Path,
    engine: CpuEngine,
    wanted: Wanted,
    calibration: Path | None,
    *,
    say: Callable[[str], None],
    verify: bool = False,
) -> Bundle:
    """Write the bundle ``source`` again, each role in the precision that is best in ``engine`` on this machine.

    Args:
        wanted: ``auto`` compares all; int8 or fp32 takes that one.
        calibration: frames for int8; without, ``auto`` compares float precisions only.
        verify: fail where the precision that was asked for is not right, instead of saying so.

    Raises:
        InputError: a checkpoint, or a precision that makes no bundle.
        EngineError: with ``verify``, the error is above the bound.
    """
    if source is not None and (Path(source) / "checkpoint.json").is_file():
        raise InputError(
            f"{source}: is a checkpoint; make a bundle of it first: python -m export.onnx_model {source} FOLDER"
        )
    if wanted == "fp16":
        raise InputError(
            f"--fp16: {engine} computes in float32, bf16 or int8 on a CPU; leave it out to take the fastest"
        )
    if wanted == "bf16" and engine == "onnxruntime":
        raise InputError("--bf16: ONNX Runtime has no bf16 on a CPU; use --target openvino, or leave it out")
    if wanted == "int8" and calibration is None:
        raise InputError("--int8 needs frames like those it will see: --calibration FOLDER_OR_VIDEO")
    exported = open_export_source(source, unpooling="up-first")
    bundle = find_bundle(source if source is not None else exported.name)
    frames = read_frames(calibration, CALIBRATION_FRAMES if calibration else JUDGED_FRAMES)
    inputs = feeds(exported.networks, frames, {role: network.size for role, network in exported.networks.items()})
    chosen: dict[Role, Candidate] = {}
    for role, network in exported.networks.items():
        candidates = [c for c in _candidates(network, inputs[role], engine, wanted, calibration is not None)]
        for candidate in candidates:
            say(str(candidate))
        right = [candidate for candidate in candidates if candidate.is_right]
        if not right and verify:
            raise EngineError(f"{candidates[0]}: not good enough; leave the precision out to take the best that is")
        chosen[role] = min(right or candidates, key=lambda c: c.milliseconds)
        say(f"{role:<8} {chosen[role].precision} is taken")
    manifest = bundle.manifest.model_dump(
        mode="json", by_alias=True, exclude={"roles", "schema_version"}, exclude_none=True
    )
    specs = {
        role: spec.model_dump(mode="json", exclude={"file", "sha256"}, exclude_none=True) | _weights(chosen[role])
        for role, spec in bundle.roles.items()
    }
    networks = {role: _content(bundle, role, candidate) for role, candidate in chosen.items()}
    return Bundle.write(folder, {**manifest, "roles": specs}, networks)


def measure(
    network: ExportedNetwork,
    model: onnx.ModelProto,
    engine: CpuEngine,
    arithmetic: Arithmetic,
    inputs: list[Feed],
    name: str,
) -> Candidate:
    """Time and error of one graph in one engine.

    Raises:
        EngineError: the engine refuses the graph, or this CPU does not have the arithmetic.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        onnx.save(model, path)
        opened = open_engine(path, engine=engine, precision=arithmetic)
        agreement = verify_engine(network, opened, opened.name, name, inputs[:JUDGED_FRAMES])
        times = []
        for number in range(RUNS):
            start = time.perf_counter()
            opened(inputs[number % len(inputs)])
            times.append(time.perf_counter() - start)
        opened.close()
    return Candidate(network.role, name, model, 1000 * float(np.median(times)), agreement)


def _candidates(
    network: ExportedNetwork, inputs: list[Feed], engine: CpuEngine, wanted: Wanted, can_calibrate: bool
) -> list[Candidate]:
    found = []
    if wanted in ("auto", "fp32"):
        found.append(measure(network, network.model, engine, "f32", inputs, "fp32"))
    arithmetic: Arithmetic = "f32"
    if engine == "openvino" and wanted in ("auto", "bf16", "int8"):
        try:
            found.append(measure(network, network.model, engine, "bf16", inputs, "bf16"))
            arithmetic = "bf16"
        except EngineError:
            if wanted == "bf16":
                raise
    if wanted == "int8" or (wanted == "auto" and can_calibrate):
        model = quantize(network.model, inputs, unsigned=True).model
        int8 = measure(network, model, engine, arithmetic, inputs, "int8")
        found = [int8] if wanted == "int8" else [*found, int8]
    return found


def _content(bundle: Bundle, role: Role, candidate: Candidate) -> bytes:
    """The bundle's own file where the graph stays as it is; an int8 graph says so in its metadata."""
    if candidate.precision != "int8":
        return bundle.path(role).read_bytes()
    model = onnx.ModelProto()
    model.CopyFrom(candidate.model)
    model.metadata_props.add(key=METADATA, value="int8")
    content: bytes = model.SerializeToString()
    return content


def _weights(candidate: Candidate) -> dict[str, str]:
    return {"weights": "fp32"} if candidate.precision == "int8" else {}
