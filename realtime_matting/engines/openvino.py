"""OpenVINO on the CPU: the engine this project measures first.

A network with dynamic height and width runs much slower than one with fixed sizes, so each input size is compiled
once, and the last few sizes are kept; those of earlier runs are on disk.
"""

import functools
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import openvino as ov  # type: ignore[import-untyped]
import openvino.properties as props  # type: ignore[import-untyped]
import openvino.properties.hint as hints  # type: ignore[import-untyped]

from realtime_matting.engines.base import PRECISION_KEY, FloatArray, Precision
from realtime_matting.engines.checks import check_inputs, in_one_line
from realtime_matting.engines.openvino_blocks import compute_in_blocks
from realtime_matting.engines.openvino_cache import CompiledNetworks
from realtime_matting.engines.openvino_doubling import double_by_convolution
from realtime_matting.engines.openvino_rounding import int8_ranges, round_to_int8
from realtime_matting.errors import EngineError

Shapes = tuple[tuple[int, ...], ...]
# The matting network's picture, its part, tiles by ones, twos and fours, windows of three shapes, some slack.
SIZES_KEPT = 10
RESTS_AFTER = 120
"""Runs of a network after which a size that none of them had gives back the memory of what it computes with."""


@functools.cache
def _core() -> ov.Core:
    """The process's one Core: engines share its plugin and its worker threads."""
    # In a container without /sys, the library that looks for processor cores says so on stderr, and works all the same.
    os.environ.setdefault("HWLOC_HIDE_ERRORS", "2")
    return ov.Core()


class OpenVinoEngine:
    """One network on the CPU, compiled for low latency. Not safe to call from two threads at once.

    Args:
        onnx_path: the network; its inputs may have dynamic height and width.
        threads: how many threads compute; None lets OpenVINO decide.
        precision: of the arithmetic: ``"bf16"``, ``"f32"``, or None: f32 where the network's metadata asks for it,
            otherwise OpenVINO's choice (bf16 where the CPU has instructions for it), and int8 for the convolutions
            that the metadata name (see `openvino_rounding`). Inputs and outputs are float32 in any case.

    Raises:
        EngineError: the file cannot be read, or this CPU does not have the precision.
    """

    def __init__(self, onnx_path: Path, *, threads: int | None = None, precision: Precision | None = None) -> None:
        core = _core()
        told = f"precision {precision}, threads {threads}"
        if precision == "f16":
            raise EngineError("OpenVINO: computes in f32 or bf16 on the CPU, not in f16; use one of those")
        # Every processor with bf16 instructions has VNNI; OpenVINO does not tell of VNNI itself.
        has_bf16 = "BF16" in core.get_property("CPU", props.device.capabilities)
        if precision == "bf16" and not has_bf16:
            raise EngineError("OpenVINO: this CPU has no bf16 instructions; use precision f32 or leave it out")
        try:
            self._model = core.read_model(onnx_path)
        except RuntimeError as error:
            raise EngineError(f"{onnx_path}: OpenVINO cannot read this network ({in_one_line(error)})") from error
        asked = _asked_precision(self._model)
        in_int8 = asked == "int8"
        if precision is None:
            try:
                bits = 8 if has_bf16 else 7
                in_int8 = round_to_int8(self._model, int8_ranges(self._model), weight_bits=bits) > 0 or in_int8
            except ValueError as error:
                raise EngineError(f"{onnx_path}: its int8 ranges are damaged ({error}); export it again") from error
        if precision is None and asked == "fp32":
            precision = "f32"
        self._config = {
            hints.performance_mode: hints.PerformanceMode.LATENCY,
            props.inference_num_threads: threads or 0,
            # A thread bound to a core waits its turn there beside a busy program while another core is free: with one
            # such program on two cores that doubles what the slowest runs take, and gains nothing without it.
            hints.enable_cpu_pinning: False,
            hints.inference_precision: {"bf16": ov.Type.bf16, "f32": ov.Type.f32}.get(
                precision or "", core.get_property("CPU", hints.inference_precision)
            ),
        }
        short = {"bfloat16": "bf16", "float16": "f16", "float32": "f32"}
        used = self._config[hints.inference_precision].to_string()
        self.name = f"OpenVINO CPU {'int8 and ' if in_int8 else ''}{short.get(used, used)}"
        self._inputs = [port.get_any_name() for port in self._model.inputs]
        self._outputs = [port.get_any_name() for port in self._model.outputs]
        self._on_disk = CompiledNetworks(onnx_path, core, self._config, told)
        self._requests: OrderedDict[Shapes, ov.InferRequest] = OrderedDict()
        self._runs = 0
        self._last_run: dict[Shapes, int] = {}  # of sizes that hold memory
        self._lock = threading.Lock()  # of the requests
        self._preparing: threading.Thread | None = None
        self._prepares: Shapes | None = None  # what that thread compiles
        self._refused: set[Shapes] = set()

    def __call__(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run once; a size seen for the first time is compiled, or taken from an earlier run, which takes a moment.

        The arrays returned are OpenVINO's own memory: valid until the next call.
        """
        check_inputs(inputs, self._inputs, self.name)
        try:
            shapes = tuple(inputs[name].shape for name in self._inputs)
            result = self._request(shapes).infer(dict(inputs), share_inputs=True, share_outputs=True)
            self._rest(shapes)
        except RuntimeError as error:
            raise EngineError(f"{self.name}: failed while running ({in_one_line(error)})") from error
        return {name: result[i] for i, name in enumerate(self._outputs)}

    def _rest(self, used: Shapes) -> None:
        """Free what sizes compute with that were not ``used`` of late; they take it again when they are.

        What a network holds between its layers is most of its memory: of shm-quality's M-Net at 1024×576 in float32 104
        of 140 MiB. Giving it back takes 11 ms, and the first run after it 40 ms more than others.
        """
        self._runs += 1
        self._last_run[used] = self._runs
        resting = [shapes for shapes, run in self._last_run.items() if self._runs - run >= RESTS_AFTER]
        for shapes in resting:
            del self._last_run[shapes]
            with self._lock:
                request = self._requests.get(shapes)
            if request is not None:
                request.get_compiled_model().release_memory()

    def prepared(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether the network is compiled for these shapes; if not, a thread begins to, one shape at a time."""
        wanted = tuple(shapes[name] for name in self._inputs)
        with self._lock:
            if wanted in self._requests:
                return True
        idle = self._preparing is None or not self._preparing.is_alive()
        if idle and wanted not in self._refused:
            self._prepares = wanted
            self._preparing = threading.Thread(
                target=self._prepare, args=(wanted,), name="rtmatte compiler", daemon=True
            )
            self._preparing.start()
        return False

    def _prepare(self, shapes: Shapes) -> None:
        try:
            self._keep(shapes, self._compiled(shapes))
        except RuntimeError:
            # A call with these shapes would say why; without them everything goes on.
            self._refused.add(shapes)

    def _request(self, shapes: Shapes) -> ov.InferRequest:
        if self._preparing is not None and self._prepares == shapes:
            self._preparing.join()  # sooner there than compiled once more
        with self._lock:
            if shapes in self._requests:
                self._requests.move_to_end(shapes)
                return self._requests[shapes]
        return self._keep(shapes, self._compiled(shapes))

    def _compiled(self, shapes: Shapes) -> ov.InferRequest:
        compiled = self._on_disk.recall(shapes)
        if compiled is None:
            model = self._model.clone()
            model.reshape(dict(zip(self._inputs, shapes, strict=True)))
            compute_in_blocks(model)
            double_by_convolution(model)
            compiled = _core().compile_model(model, "CPU", self._config)
            self._on_disk.keep(shapes, compiled)
        return compiled.create_infer_request()

    def _keep(self, shapes: Shapes, request: ov.InferRequest) -> ov.InferRequest:
        with self._lock:
            self._requests[shapes] = request
            if len(self._requests) > SIZES_KEPT:
                self._requests.popitem(last=False)
        return request

    def close(self) -> None:
        """Free the compiled networks."""
        if self._preparing is not None:
            self._preparing.join()
        with self._lock:
            self._requests.clear()


def _asked_precision(model: ov.Model) -> str:
    """The precision in which the graph was measured best, by its ONNX metadata; empty where it says nothing."""
    place = ["framework", PRECISION_KEY]
    return str(model.get_rt_info(place).astype(str)) if model.has_rt_info(place) else ""
