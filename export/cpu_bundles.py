"""A bundle for CPUs in the precision that is fastest on one like this: float32, bf16 or int8, measured for each role.

bf16 needs no other graph: OpenVINO computes in it where the CPU can. int8 is in the graph. A precision is taken only if
it is faster than what has been found before, and right: its error, in the engine that is to run it, within the bound.
All candidates of a role run in turn, frame by frame, so that what else the machine does slows them alike. What was
taken is in the manifest, for people, and in each graph's metadata, for the engine.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from export.frames import Feed, feeds, read_frames
from export.networks import ExportedNetwork, open_export_source
from export.quantization import INT8_BOUND, quantize
from export.verify import MEAN_NARROW, Agreement, verify_engine
from realtime_matting.engines import Engine, open_engine
from realtime_matting.engines import Precision as Arithmetic
from realtime_matting.engines.base import INT8_KEY, PRECISION_KEY
from realtime_matting.errors import EngineError, InputError
from realtime_matting.models import Bundle
from realtime_matting.models.bundle import GraphPrecision, Role
from realtime_matting.models.registry import find_bundle

CpuEngine = Literal["openvino", "onnxruntime"]
Wanted = Literal["auto", "fp32", "fp16", "bf16", "int8"]
CALIBRATION_FRAMES = 24
JUDGED_FRAMES = 3
RUNS = 15
BOUNDS: dict[GraphPrecision, float] = {"fp32": 1e-4, "bf16": MEAN_NARROW, "int8": INT8_BOUND}


@dataclass(frozen=True)
class Candidate:
    """One precision of one role in one engine; ``milliseconds`` is the median of a frame."""

    role: Role
    precision: GraphPrecision
    model: onnx.ModelProto
    milliseconds: float
    agreement: Agreement

    @property
    def is_right(self) -> bool:
        """Whether the mean error, as it reaches the alpha, is within the bound of the precision."""
        return self.agreement.counted <= BOUNDS[self.precision]

    def __str__(self) -> str:
        verdict = "" if self.is_right else f", more than {BOUNDS[self.precision]:g}"
        return (
            f"{self.role:<8} {self.precision:<5} {self.milliseconds:6.1f} ms a frame,"
            f" mean error {self.agreement.counted:.1e}{verdict}"
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
        candidates = measure(network, engine, wanted, inputs[role], can_calibrate=calibration is not None)
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
        role: spec.model_dump(mode="json", exclude={"file", "sha256"}, exclude_none=True) | _told(chosen[role])
        for role, spec in bundle.roles.items()
    }
    networks = {role: _content(bundle, role, candidate) for role, candidate in chosen.items()}
    written = Bundle.write(folder, {**manifest, "roles": specs}, networks)
    told = " + ".join(f"{role} {spec.precision}" for role, spec in written.roles.items())
    say(f"{folder}: {told}, {sum(map(len, networks.values())) / 1e6:.1f} MB")
    return written


def measure(
    network: ExportedNetwork, engine: CpuEngine, wanted: Wanted, inputs: list[Feed], *, can_calibrate: bool
) -> list[Candidate]:
    """Time and error of every precision that is ``wanted`` and that ``engine`` has on this machine.

    Raises:
        EngineError: the engine refuses the graph, or this CPU does not have the one precision that was asked for.
    """
    prepared: list[tuple[GraphPrecision, onnx.ModelProto, Engine]] = []
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))

        def prepare(precision: GraphPrecision, model: onnx.ModelProto, arithmetic: Arithmetic) -> None:
            path = folder / f"{precision}.onnx"
            onnx.save(model, path)
            ready = open_engine(path, engine=engine, precision=arithmetic)
            opened.callback(ready.close)
            prepared.append((precision, model, ready))

        arithmetic: Arithmetic = "f32"
        if wanted in ("auto", "fp32"):
            prepare("fp32", network.model, "f32")
        if engine == "openvino" and wanted in ("auto", "bf16", "int8"):
            try:
                prepare("bf16", network.model, "bf16")
                arithmetic = "bf16"
            except EngineError:
                if wanted == "bf16":
                    raise
        if wanted == "int8" or (wanted == "auto" and can_calibrate):
            prepare("int8", quantize(network.model, inputs, unsigned=True).model, arithmetic)
        if wanted == "int8":  # bf16 was opened to see whether this CPU has it
            prepared = [one for one in prepared if one[0] == "int8"]
        agreements = [
            verify_engine(network, ready, ready.name, precision, inputs[:JUDGED_FRAMES])
            for precision, _, ready in prepared
        ]
        times = np.empty((RUNS, len(prepared)))
        for number in range(RUNS):
            for column, (_, _, ready) in enumerate(prepared):
                start = time.perf_counter()
                ready(inputs[number % len(inputs)])
                times[number, column] = time.perf_counter() - start
    return [
        Candidate(network.role, precision, model, 1000 * float(milliseconds), agreement)
        for (precision, model, _), milliseconds, agreement in zip(
            prepared, np.median(times, axis=0), agreements, strict=True
        )
    ]


def _content(bundle: Bundle, role: Role, candidate: Candidate) -> bytes:
    """The graph, the bundle's own where it stays as it is, with its precision, and no other hint, in its metadata."""
    model = onnx.ModelProto()
    if candidate.precision == "int8":
        model.CopyFrom(candidate.model)
    else:
        model = onnx.load(bundle.path(role))
    others = [entry for entry in model.metadata_props if entry.key not in (PRECISION_KEY, INT8_KEY)]
    del model.metadata_props[:]
    model.metadata_props.extend(others)
    model.metadata_props.add(key=PRECISION_KEY, value=candidate.precision)
    content: bytes = model.SerializeToString()
    return content


def _told(candidate: Candidate) -> dict[str, Any]:
    """The entries of the manifest that change; int8 weights are stored as the int8 graph has them."""
    weights = {"weights": "fp32"} if candidate.precision == "int8" else {}
    return {"precision": candidate.precision, **weights}
