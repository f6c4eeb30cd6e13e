"""ONNX Runtime: on the CPU, and on GPUs and neural engines through its execution providers."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import onnxruntime as ort  # type: ignore[import-untyped]

from realtime_matting.engines.base import FloatArray, Precision
from realtime_matting.engines.checks import check_inputs, in_one_line
from realtime_matting.errors import EngineError

# Its errors come back as exceptions; printing them as well would break the one-line rule.
FATAL_ONLY = 4
WARNINGS = 2

ProviderName = Literal["cpu", "cuda", "directml", "coreml"]


@dataclass(frozen=True)
class Provider:
    """One execution provider.

    Attributes:
        label: for people.
        execution_provider: ONNX Runtime's name for it.
        package: what to install for it; the packages exclude each other.
        options: given to it.
        needs: what has to be there beside the package.
    """

    label: str
    execution_provider: str
    package: str
    needs: str
    options: Mapping[str, str] = field(default_factory=dict)


PROVIDERS: dict[ProviderName, Provider] = {
    "cpu": Provider("CPU", "CPUExecutionProvider", "onnxruntime", "a CPU"),
    "cuda": Provider(
        "CUDA",
        "CUDAExecutionProvider",
        "onnxruntime-gpu[cuda,cudnn]",
        "an NVIDIA driver, CUDA and cuDNN",
        {"device_id": "0"},
    ),
    "directml": Provider(
        "DirectML", "DmlExecutionProvider", "onnxruntime-directml", "Windows and a DirectX 12 GPU", {"device_id": "0"}
    ),
    "coreml": Provider(
        "CoreML", "CoreMLExecutionProvider", "onnxruntime", "macOS 12 or later", {"ModelFormat": "MLProgram"}
    ),
}


class OnnxRuntimeEngine:
    """One network; any input size runs at once, without compiling.

    Args:
        onnx_path: the network; its inputs may have dynamic height and width.
        threads: how many threads compute one operator on the CPU; None lets ONNX Runtime decide.
        precision: ``"f32"``: float32 throughout; None: the provider's own choice, which is float32 on the CPU, may be
            TF32 on an NVIDIA GPU, and float16 on Apple's neural engine.
        provider: what computes. Single operators it does not know run on the CPU all the same.

    Raises:
        EngineError: the file cannot be read, the provider cannot be used here, or ``precision`` is another one.
    """

    def __init__(
        self,
        onnx_path: Path,
        *,
        threads: int | None = None,
        precision: Precision | None = None,
        provider: ProviderName = "cpu",
    ) -> None:
        chosen = PROVIDERS[provider]
        if precision not in (None, "f32"):
            raise EngineError(
                f"ONNX Runtime computes in f32 on the {chosen.label}, not in {precision}; "
                f"use the {'openvino' if provider == 'cpu' else 'tensorrt'} engine"
            )
        _refuse_missing(chosen)
        self.name = f"ONNX Runtime {chosen.label}" + (" f32" if provider == "cpu" or precision else "")
        options = ort.SessionOptions()
        options.log_severity_level = FATAL_ONLY
        options.intra_op_num_threads = threads or 0
        provider_options = dict(chosen.options)
        complaint = ""
        if provider == "cuda":
            provider_options["use_tf32"] = "0" if precision == "f32" else "1"
            complaint = _preload_cuda()
        if provider == "coreml" and precision == "f32":
            provider_options["MLComputeUnits"] = "CPUOnly"  # the others compute in float16
        if provider == "directml":  # it works with neither of the two
            options.enable_mem_pattern = False
            options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        try:
            with _quiet():
                self._session = ort.InferenceSession(
                    onnx_path, options, providers=[(chosen.execution_provider, provider_options)]
                )
        except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
            raise EngineError(f"{onnx_path}: ONNX Runtime cannot read this network ({in_one_line(error)})") from error
        if chosen.execution_provider not in self._session.get_providers():
            # ONNX Runtime would go on with the CPU here, and not say so.
            raise EngineError(
                f"ONNX Runtime's {chosen.label} provider cannot be started{complaint and f' ({complaint})'}: it needs"
                f" {chosen.needs}; see rtmatte doctor, or use another engine"
            )
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

    def prepared(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Always: nothing is compiled for a shape."""
        return True

    def close(self) -> None:
        """Nothing to free before the engine itself goes."""


def _refuse_missing(provider: Provider) -> None:
    """Raise ``EngineError`` where the installed package was built without the provider."""
    built_in = ort.get_available_providers()
    if provider.execution_provider not in built_in:
        has = ", ".join(name.removesuffix("ExecutionProvider") for name in built_in)
        raise EngineError(
            f"the ONNX Runtime installed here has no {provider.label} provider (it has {has}); that needs "
            f"{provider.needs}: pip uninstall onnxruntime, then pip install '{provider.package}'"
        )


def _preload_cuda() -> str:
    """Load CUDA's and cuDNN's libraries from the packages of the extras, where those are installed.

    Returns the first complaint, which ONNX Runtime prints; the libraries may be found by other ways all the same.
    """
    printed = io.StringIO()
    with redirect_stdout(printed):
        ort.preload_dlls()
    return printed.getvalue().partition("\n")[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """A provider that cannot be started writes many lines to stderr through the process's own logger."""
    ort.set_default_logger_severity(FATAL_ONLY)
    try:
        yield
    finally:
        ort.set_default_logger_severity(WARNINGS)
