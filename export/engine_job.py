"""Every engine of a model, one after the other: convert, build, keep, report."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import onnx
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from export.engine_files import EngineDescription, why_not, write_atomically, write_engine
from export.flavours import PORTABLE, Device, Flavour, device_here, flavour_of, load_flavour, target_device
from export.frames import Feed, feeds, read_frames
from export.networks import ExportedNetwork, ExportSource, open_export_source
from export.precision import Precision, nodes_by_type, strongly_typed
from export.profiles import Profile, parse_profile, per_role
from export.sensitivity import LayerError, PrecisionPlan, explain, make_plan
from export.tensorrt_builder import BuildOptions, Built, build
from export.verify import verify_engine, verify_graph
from realtime_matting.engines.engine_file import engine_cache
from realtime_matting.errors import EngineError, InputError, MattingError
from realtime_matting.models.bundle import Role

FRAMES = 3
CALIBRATION_FRAMES = 24
# Errors are measured at a size of about this many pixels on the longer side: enough for every kind of layer.
MEASURED_SIDE = 384


@dataclass(frozen=True)
class EngineJob:
    """What ``python -m export.build_engine`` was asked; the fields are its options."""

    source: str | Path | None = None
    precision: Precision = "fp16"
    int8: bool = False
    calibration: Path | None = None
    shapes: list[str] = field(default_factory=list)
    ranges: bool = False
    flavour: Literal["auto"] | Flavour = "auto"
    capability: str | None = None
    out: Path | None = None
    verify: bool = False
    explain: bool = False
    workspace: int | None = None
    timing_cache: Path | None = None
    rebuild: bool = False


@dataclass(frozen=True)
class EngineResult:
    """One row of the table. ``built`` is None where the engine was there already."""

    role: Role
    path: Path
    nodes: int
    unpooling: str
    types: dict[str, int]
    plan: PrecisionPlan
    profile: Profile
    seconds: float
    size: int
    built: Built | None


def build_engines(job: EngineJob, console: Console | None = None) -> list[EngineResult]:
    """Build what is not there yet and print a table.

    Raises:
        InputError: the model, a size or the calibration frames make no sense.
        EngineError: no TensorRT can build here, or it refuses the network.
        OutputError: the engine cannot be written.
    """
    console = console or Console(soft_wrap=True, highlight=False)
    if job.int8 and job.calibration is None:
        raise InputError("--int8 needs frames like those it will see: --calibration FOLDER_OR_VIDEO")
    return build_source(open_export_source(job.source, say=console.print), job, console)


def build_source(source: ExportSource, job: EngineJob, console: Console) -> list[EngineResult]:
    """The engines of networks that are opened already; otherwise as :func:`build_engines`."""
    profiles = profiles_of(job, source)
    module = load_flavour(job.flavour)
    if job.timing_cache is not None and flavour_of(module) == "tensorrt_rtx":
        raise InputError("--timing-cache: TensorRT for RTX times nothing while it builds; leave it out")
    device = target_device(module, job.capability, device_here())
    console.print(f"{source.name} for {device.name} with {flavour_of(module)} {module.__version__}")
    frames = read_frames(job.calibration, CALIBRATION_FRAMES if job.int8 else FRAMES)
    inputs = feeds(
        source.networks, frames, {role: measured_size(n, profiles[role]) for role, n in source.networks.items()}
    )
    results = []
    for role, network in source.networks.items():
        results.append(_build_role(job, source, network, profiles[role], inputs[role], module, device, console))
    console.print(_table(results))
    for result in results:
        console.print(result.path)
    return results


def profiles_of(job: EngineJob, source: ExportSource) -> dict[Role, Profile]:
    """The sizes of every role; the usual one where none is asked for."""
    texts = per_role(job.shapes, source.strides)
    profiles = {}
    for role, network in source.networks.items():
        text = texts.get(role, f"{network.size[0]}x{network.size[1]}")
        if job.ranges and role in texts and "," not in text:
            raise InputError(f"--dynamic {text}: give three sizes, MIN,OPT,MAX")
        if not job.ranges and "," in text:
            raise InputError(f"--shape {text}: gives one size; for a range use --dynamic")
        profiles[role] = parse_profile(text, role, network.stride)
    return profiles


def measured_size(network: ExportedNetwork, profile: Profile) -> tuple[int, int]:
    """The engine's best size, or about MEASURED_SIDE of it, in multiples of the stride."""
    scale = min(1.0, MEASURED_SIDE / max(profile.best))
    width, height = (max(1, round(side * scale / network.stride)) * network.stride for side in profile.best)
    return width, height


def engine_path(
    folder: Path, source: ExportSource, role: Role, precision: str, profile: Profile, flavour: Flavour, device: Device
) -> Path:
    """FOLDER/MODEL-ROLE-PRECISION-SIZES-FLAVOUR.engine; of TensorRT for RTX with the one GPU it is for, if it is."""
    one_gpu = flavour == "tensorrt_rtx" and device.capability != PORTABLE
    made_by = f"{flavour}-sm{device.capability.replace('.', '')}" if one_gpu else flavour
    return folder / f"{source.name}-{role}-{precision}-{str(profile).replace(',', '_')}-{made_by}.engine"


def _build_role(
    job: EngineJob,
    source: ExportSource,
    network: ExportedNetwork,
    profile: Profile,
    inputs: list[Feed],
    module: Any,
    device: Device,
    console: Console,
) -> EngineResult:
    plan, graph, checked = convert(network, job.precision, inputs, int8=job.int8, say=console.print)
    precision = "int8" if job.int8 else job.precision
    told = f"int8, the rest {job.precision}" if job.int8 else precision
    console.print(f"{network.role}: {told}, {plan}")
    if job.explain:
        console.print(_layers(explain(network.model, job.precision, inputs[:1], plan.keep)))
    content = graph.SerializeToString()
    flavour = flavour_of(module)
    wanted = EngineDescription(
        flavour=flavour,
        version=module.__version__,
        precision=precision,
        role=network.role,
        bundle_sha256=source.sha256,
        onnx_sha256=network.sha256,
        graph_sha256=hashlib.sha256(content).hexdigest(),
        device=device,
        profiles=profile.shapes(network.role),
        mean=network.mean,
        std=network.std,
        stride=network.stride,
    )
    path = engine_path(job.out or engine_cache(), source, network.role, precision, profile, flavour, device)
    reason = "--rebuild was given" if job.rebuild else why_not(path, wanted)
    built, seconds = None, 0.0
    if reason:
        console.print(f"{network.role}: building {path.name}: {reason}")
        start = time.perf_counter()
        built = _build(job, module, content, wanted, device, console)
        seconds = time.perf_counter() - start
        write_engine(path, built.blob, wanted)
        if job.timing_cache is not None and built.timing_cache:
            write_atomically(job.timing_cache, built.timing_cache)
    if job.verify:
        _verify(job, network, checked, path, profile, inputs, console)
    return EngineResult(
        network.role,
        path,
        len(graph.graph.node),
        network.unpooling,
        nodes_by_type(graph),
        plan,
        profile,
        seconds,
        path.stat().st_size,
        built,
    )


def convert(
    network: ExportedNetwork,
    precision: Precision,
    inputs: list[Feed],
    *,
    int8: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[PrecisionPlan, onnx.ModelProto, tuple[onnx.ModelProto, Precision]]:
    """What stays in float32, the graph TensorRT is given, and a graph with its precision to check on a CPU."""
    plan = make_plan(network.model, precision, inputs[:FRAMES])
    model = network.model
    if int8:
        from export.quantization import quantize

        done = quantize(model, inputs)
        say(f"{network.role}: {done}")
        model = done.model
        # A CPU's own int8 in fp16 is not TensorRT's: there, the rounding to int8 is checked with the rest in float32.
        return plan, strongly_typed(model, precision, plan.keep), (model, "fp32")
    graph = strongly_typed(model, precision, plan.keep)
    return plan, graph, (graph, precision)


def _build(
    job: EngineJob, module: Any, content: bytes, wanted: EngineDescription, device: Device, console: Console
) -> Built:
    cache = job.timing_cache.read_bytes() if job.timing_cache and job.timing_cache.is_file() else None
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(f"{wanted.role}: building", total=None)

        def progress(phase: str, done: int, steps: int) -> None:
            shown.update(task, description=f"{wanted.role}: {phase} {done}/{steps}")

        options = BuildOptions(device, job.workspace, cache)
        return build(module, content, wanted.profiles, options, progress)


def _verify(
    job: EngineJob,
    network: ExportedNetwork,
    checked: tuple[onnx.ModelProto, Precision],
    path: Path,
    profile: Profile,
    inputs: list[Feed],
    console: Console,
) -> None:
    precision = "int8" if job.int8 else job.precision
    bad = []
    for agreement in verify_graph(network, *checked, inputs[:FRAMES], label=precision):
        console.print(f"{network.role}: the graph in {agreement}")
        if not agreement.is_good:
            bad.append(str(agreement))
    here = device_here()
    if here is None:
        console.print(f"{network.role}: the engine itself was not run: there is no NVIDIA driver here")
    else:
        try:
            from realtime_matting.engines.tensorrt import TensorRtEngine

            engine = TensorRtEngine(path)
            fitting = [feed for feed in inputs[:FRAMES] if feed["rgb"].shape[:1:-1] == profile.best] or inputs[:1]
            agreement = verify_engine(network, engine, engine.name, precision, fitting)
            console.print(f"{network.role}: {agreement}")
            if not agreement.is_good:
                bad.append(str(agreement))
        except MattingError as error:
            console.print(f"{network.role}: the engine itself was not run: {error}")
    if bad:
        raise EngineError(
            f"the {network.role} engine does not give what the model gives: {bad[0]}; try --bf16 or --fp32"
        )


def _table(results: list[EngineResult]) -> Table:
    heads = ("role", "sizes", "nodes", "layers", "unpooling", "precision", "build s", "MiB")
    table = Table(*(Column(head, overflow="fold") for head in heads))
    for r in results:
        types = ", ".join(f"{count} {name}" for name, count in sorted(r.types.items()))
        kept = f" ({', '.join(r.plan.kinds)})" if r.plan.kinds else ""
        layers, seconds = (str(r.built.layers), f"{r.seconds:.1f}") if r.built else ("", "kept")
        cells = (r.role, str(r.profile).replace(",", " "), str(r.nodes), layers, r.unpooling, types + kept, seconds)
        table.add_row(*cells, f"{r.size / 2**20:.1f}")
    return table


def _layers(report: list[LayerError]) -> Table:
    table = Table("layer", "operator", "kind", "largest value", "relative error", "stays fp32")
    for layer in report:
        table.add_row(
            layer.node,
            layer.operator,
            layer.kind,
            f"{layer.largest:.3g}",
            f"{layer.error:.1e}",
            "yes" if layer.kept else "",
        )
    return table
