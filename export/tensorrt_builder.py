"""One way to build an engine with TensorRT 10, TensorRT 11 and TensorRT for RTX.

The network is always strongly typed: precision is in the ONNX graph (:mod:`export.precision`), for TensorRT 11 has no
precision flags any more. Only names that all three have are used.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from export.flavours import PORTABLE, Device, flavour_of
from realtime_matting.engines.tensorrt_runtime import load_tensorrt
from realtime_matting.errors import EngineError

if TYPE_CHECKING:
    # For the types of 10.x, where tensorrt-stubs are found; at run time the module is passed in.
    import tensorrt as trt  # type: ignore[import-not-found, import-untyped, unused-ignore]

# What TensorRT says when something outside the network is wrong, and what to do about it.
CAUSES = (
    ("cuda driver version is insufficient", "the NVIDIA driver is too old for this TensorRT; update the driver"),
    ("cuda initialization failure with error: 35", "the NVIDIA driver is too old for this TensorRT; update the driver"),
    ("cuda initialization failure", "CUDA cannot be started; check the driver with nvidia-smi"),
    ("no cuda-capable device", "there is no NVIDIA GPU here; use --flavour tensorrt-rtx"),
    ("unsupported sm", "this GPU is not one that this TensorRT builds for; use the other --flavour"),
    ("out of memory", "out of GPU memory; close other programs, or give a smaller --workspace or --shape"),
    ("outofmemory", "out of GPU memory; close other programs, or give a smaller --workspace or --shape"),
    ("no space left", "no space left for temporary files; free some or set TMPDIR"),
)


@dataclass(frozen=True)
class BuildOptions:
    """``workspace`` in bytes, None for TensorRT's own limit; ``timing_cache`` is what an earlier build returned."""

    device: Device
    workspace: int | None = None
    timing_cache: bytes | None = None


@dataclass(frozen=True)
class Built:
    """A serialized engine, the number of layers of the parsed network, and the timing cache for the next build."""

    blob: bytes
    layers: int
    timing_cache: bytes


def build(
    module: Any,
    onnx: bytes,
    shapes: dict[str, dict[str, list[int]]],
    options: BuildOptions,
    progress: Callable[[str, int, int], None] | None = None,
) -> Built:
    """Build one engine; Ctrl-C stops it at the next step of TensorRT.

    Args:
        module: see :func:`export.flavours.load_flavour`.
        shapes: input → min, opt, max.
        progress: is told (phase, steps done, steps in all).

    Raises:
        EngineError: the graph does not parse, or TensorRT cannot build it; one line with TensorRT's own reason.
        KeyboardInterrupt: it was interrupted.
    """
    loaded = load_tensorrt(flavour_of(module))  # TensorRT takes one logger a process: the runtime's, which is ours
    loaded.errors.take()
    with _no_native_objects_left() as keep:
        try:
            builder: trt.Builder = keep(module.Builder(loaded.logger))
        except (RuntimeError, TypeError) as error:  # a null pointer from C++, as one or the other
            raise EngineError(f"{flavour_of(module)} cannot start: {_why(loaded.errors.take(), str(error))}") from error
        strongly_typed = 1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network: trt.INetworkDefinition = keep(builder.create_network(strongly_typed))
        parser: trt.OnnxParser = keep(module.OnnxParser(network, loaded.logger))
        if not parser.parse(onnx):
            said = [parser.get_error(i).desc() for i in range(parser.num_errors)]
            raise EngineError(f"{flavour_of(module)} cannot read the graph: {_why(said, 'it gives no reason')}")
        config: trt.IBuilderConfig = keep(builder.create_builder_config())
        if options.workspace is not None:
            config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, options.workspace)
        if flavour_of(module) == "tensorrt":  # TensorRT for RTX times nothing while it builds
            cache: trt.ITimingCache = keep(config.create_timing_cache(options.timing_cache or b""))
            config.set_timing_cache(cache, ignore_mismatch=True)
        _set_capability(module, config, options.device)
        profile: trt.IOptimizationProfile = builder.create_optimization_profile()
        for number in range(network.num_inputs):
            name = network.get_input(number).name
            if name not in shapes:
                raise EngineError(f"the graph has an input {name!r} that no role of a bundle has")
            profile.set_shape(name, *(module.Dims(shapes[name][key]) for key in ("min", "opt", "max")))
        config.add_optimization_profile(profile)
        layers = network.num_layers
        with _interruptible() as interrupted:
            monitor = _monitor(module, progress or (lambda *_: None), interrupted)
            config.progress_monitor = monitor
            memory: Any = keep(builder.build_serialized_network(network, config))
        if interrupted.is_set():
            raise KeyboardInterrupt
        if memory is None:
            raise EngineError(
                f"{flavour_of(module)} cannot build the engine: {_why(loaded.errors.take(), 'it gives no reason')}"
            )
        timing = config.get_timing_cache() if flavour_of(module) == "tensorrt" else None
        return Built(bytes(memory), layers, bytes(timing.serialize()) if timing is not None else b"")


def _set_capability(module: Any, config: Any, device: Device) -> None:
    """TensorRT for RTX builds for one architecture when told which, otherwise for all of its own."""
    if flavour_of(module) == "tensorrt_rtx" and device.capability != PORTABLE:
        config.num_compute_capabilities = 1
        name = "SM" + device.capability.replace(".", "")
        if not config.set_compute_capability(getattr(module.ComputeCapability, name), 0):
            raise EngineError(f"TensorRT for RTX does not build for compute capability {device.capability}")


def _monitor(module: Any, progress: Callable[[str, int, int], None], interrupted: threading.Event) -> Any:
    class Monitor(module.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.steps[phase] = steps
            progress(phase, 0, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            progress(phase, step + 1, self.steps.get(phase, step + 1))
            return not interrupted.is_set()

        def phase_finish(self, phase: str) -> None:
            progress(phase, self.steps.get(phase, 1), self.steps.get(phase, 1))

    return Monitor()


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Ctrl-C sets the event instead of raising, which C++ code that calls Python could not pass on."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def stop(number: int, frame: FrameType | None) -> None:
        interrupted.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _no_native_objects_left() -> Iterator[Callable[[Any], Any]]:
    """Keeps TensorRT's objects until the end, then drops them last first: a parser must not outlive its network."""
    kept: list[Any] = []

    def keep(thing: Any) -> Any:
        kept.append(thing)
        return thing

    try:
        yield keep
    finally:
        while kept:
            kept.pop()


def _why(said: list[str], otherwise: str) -> str:
    """The reason in one line: a known cause, or the last thing TensorRT said."""
    text = " ".join(" ".join(said).split())
    for pattern, cause in CAUSES:
        if pattern in text.lower():
            return cause
    last = " ".join((said[-1] if said else otherwise).split())
    return last if len(last) <= 200 else last[:199] + "…"
