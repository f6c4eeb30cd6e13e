"""ONNX Runtime on the CPU, from the optional extra ``onnxruntime``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import onnxruntime as ort  # type: ignore[import-untyped]

from realtime_matting.engines.base import FloatArray
from realtime_matting.engines.checks import check_inputs, in_one_line
from realtime_matting.errors import EngineError

# Its errors come back as exceptions; printing them as well would break the one-line rule.
FATAL_ONLY = 4


class OnnxRuntimeEngine:
    """One network on the CPU in float32. Any input size runs at once, without compiling.

    Args:
        onnx_path: the network; its inputs may have dynamic height and width.
        threads: how many threads compute one operator; None lets ONNX Runtime decide.
        precision: ``"f32"`` or None: this engine computes in float32 only.

    Raises:
        EngineError: the file cannot be read, or ``precision`` is another one.
    """

    def __init__(
        self, onnx_path: Path, *, threads: int | None = None, precision: Literal["f32", "bf16"] | None = None
    ) -> None:
        self.name = "ONNX Runtime CPU f32"
        if precision not in (None, "f32"):
            raise EngineError(f"ONNX Runtime computes in f32 on the CPU, not in {precision}; use the openvino engine")
        options = ort.SessionOptions()
        options.log_severity_level = FATAL_ONLY
        options.intra_op_num_threads = threads or 0
        try:
            self._session = ort.InferenceSession(onnx_path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
            raise EngineError(f"{onnx_path}: ONNX Runtime cannot read this network ({in_one_line(error)})") from error
        self._inputs = [port.name for port in self._session.get_inputs()]
        self._outputs = [port.name for port in self._session.get_outputs()]

    def __call__(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run once; the arrays returned are the caller's."""
        check_inputs(inputs, self._inputs, self.name)
        try:
            results = self._session.run(self._outputs, dict(inputs))
        except Exception as error:  # as above
            raise EngineError(f"{self.name}: failed while running ({in_one_line(error)})") from error
        return dict(zip(self._outputs, results, strict=True))

    def close(self) -> None:
        """Nothing to free before the engine itself goes."""
