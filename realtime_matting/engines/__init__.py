"""Engines run one network of a bundle; :func:`open_engine` picks one."""

import importlib.metadata
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from realtime_matting.engines.base import Engine, EngineName, FloatArray, Precision
from realtime_matting.errors import EngineError, InputError, MattingError, MissingExtraError

if TYPE_CHECKING:
    from realtime_matting.engines.engine_file import EnginePrecision
    from realtime_matting.engines.onnxruntime import ProviderName

__all__ = ["Engine", "EngineName", "FloatArray", "Precision", "open_engine"]

# The order "auto" tries them in: GPUs the user has set up, then OpenVINO, the fastest on every CPU measured so far.
# CoreML is not among them: it comes with every ONNX Runtime for macOS, and has not been measured against OpenVINO.
PREFERRED: tuple[EngineName, ...] = ("tensorrt", "onnxruntime-cuda", "onnxruntime-directml", "openvino", "onnxruntime")
# Packages that only those install who want the GPU; without them "auto" does not import ONNX Runtime to look.
GPU_PACKAGES: dict[EngineName, str] = {
    "onnxruntime-cuda": "onnxruntime-gpu",
    "onnxruntime-directml": "onnxruntime-directml",
}

CPU_ENGINES: tuple[EngineName, ...] = ("openvino", "onnxruntime")
ONNX_RUNTIME_PROVIDERS: "dict[EngineName, ProviderName]" = {
    "onnxruntime": "cpu",
    "onnxruntime-cuda": "cuda",
    "onnxruntime-directml": "directml",
    "onnxruntime-coreml": "coreml",
}
ENGINE_PRECISIONS: "dict[Precision, EnginePrecision]" = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}

log = logging.getLogger(__name__)


class _NothingBuilt(EngineError):
    """There is no engine file for a network: "auto" passes TensorRT by without a warning."""


class _Passed(Exception):
    """Why "auto" goes on to the next engine, and how loudly that is to be said."""

    def __init__(self, why: str, level: int) -> None:
        super().__init__(why)
        self.level = level


def open_engine(
    onnx_path: str | Path,
    *,
    engine: EngineName = "auto",
    threads: int | None = None,
    precision: Precision | None = None,
) -> Engine:
    """Open an ONNX network on this machine.

    Args:
        onnx_path: the file; or, for ``"tensorrt"`` and ``"auto"``, an engine file (``NAME.engine``).
        engine: which engine runs it. ``"tensorrt"`` looks for engines built from the file, beside it and in the
            cache, and takes the newest that fits the sizes of a call. ``"auto"`` takes the first that is set up here
            of TensorRT, ONNX Runtime on CUDA or DirectML, OpenVINO, and ONNX Runtime on the CPU. It logs which it took
            and why not those before: as a warning where something was set up and could not be used.
        threads: how many threads compute; None lets the engine decide. GPUs have no use for it.
        precision: of the arithmetic; None is the engine's own choice for this device.

    Raises:
        InputError: there is no such engine, or ``threads`` or ``precision`` make no sense.
        MissingExtraError: the engine asked for is not installed.
        EngineError: the file or the precision is refused, or "auto" finds no engine at all.
    """
    path = Path(onnx_path)
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}; give at least 1, or leave it out")
    if precision is not None and precision not in get_args(Precision):
        raise InputError(f"{precision}: no such precision; choose {_either(get_args(Precision))}, or leave it out")
    if engine not in get_args(EngineName):
        raise InputError(f"{engine}: no such engine; choose {_either(get_args(EngineName))}")
    if not path.is_file():
        raise EngineError(f"{path}: no such file; export the model again")
    if path.suffix == ".engine":
        if engine not in ("auto", "tensorrt"):
            raise InputError(f"{path}: is a TensorRT engine, which {engine} cannot run; use the engine tensorrt")
        engine = "tensorrt"
    if engine != "auto":
        opened = _opener(engine)(path, threads, precision)
        log.info("%s runs on %s", path.name, opened.name)
        return opened
    return _open_first(path, threads, precision)


def _open_first(path: Path, threads: int | None, precision: Precision | None) -> Engine:
    """The first engine of ``PREFERRED`` that is set up here; the log says which, and why not those before."""
    reasons: list[str] = []
    level = logging.INFO
    for name in PREFERRED:
        try:
            opened = _try(name, path, threads, precision)
        except _Passed as passed:
            reasons.append(f"{name}: {passed}")
            level = max(level, passed.level)
            continue
        why = f" ({'; '.join(reasons)})" if reasons else ""
        log.log(level, "%s runs on %s%s", path.name, opened.name, why)
        return opened
    raise EngineError(f"no engine can be used here: {'; '.join(reasons)}")


def _try(name: EngineName, path: Path, threads: int | None, precision: Precision | None) -> Engine:
    """Open with one engine for "auto".

    Raises:
        _Passed: it is not set up here, or is and cannot be used: the next one is to be tried.
        EngineError: a CPU engine refuses the file or the precision, which the next one would not mend.
    """
    package = GPU_PACKAGES.get(name)
    if package is not None and not _is_installed(package):
        raise _Passed(f"{package} is not installed", logging.INFO)
    try:
        opener = _opener(name)
        if name not in CPU_ENGINES:
            return opener(path, threads, precision)
    except _NothingBuilt as error:
        raise _Passed(str(error), logging.INFO) from error
    except MattingError as error:
        raise _Passed(str(error), logging.WARNING) from error
    return opener(path, threads, precision)


def _opener(name: EngineName) -> "Callable[[Path, int | None, Precision | None], Engine]":
    """What opens a file with this engine; imported here, for each takes a moment, and only one is used.

    Raises:
        MissingExtraError: it is not installed.
        EngineError: it cannot be imported.
    """
    if name == "tensorrt":
        return lambda path, threads, precision: _open_built(path, precision)
    if name == "openvino":
        try:
            from realtime_matting.engines.openvino import OpenVinoEngine
        except ImportError as error:
            raise EngineError(f"OpenVINO cannot be imported ({error}); pip install openvino") from error
        return lambda path, threads, precision: OpenVinoEngine(path, threads=threads, precision=precision)
    try:
        from realtime_matting.engines.onnxruntime import OnnxRuntimeEngine
    except ImportError as error:
        raise MissingExtraError("the ONNX Runtime engine", "onnxruntime") from error
    provider = ONNX_RUNTIME_PROVIDERS[name]
    return lambda path, threads, precision: OnnxRuntimeEngine(
        path, threads=threads, precision=precision, provider=provider
    )


def _open_built(path: Path, precision: Precision | None) -> Engine:
    """The engines built from an ONNX file, the newest first; or the engine file itself.

    Raises:
        MissingExtraError, EngineError: why the newest does not run here, where none does.
    """
    from realtime_matting.engines.built import BuiltEngines
    from realtime_matting.engines.engine_file import engines_of
    from realtime_matting.engines.tensorrt import TensorRtEngine

    if path.suffix == ".engine":
        return TensorRtEngine(path)
    built = engines_of(path, None if precision is None else ENGINE_PRECISIONS[precision])
    if not built:
        wanted = f" in {precision}" if precision else ""
        raise _NothingBuilt(
            f"no TensorRT engine was built from {path.name}{wanted} on this machine; python -m export.build_engine"
        )
    return BuiltEngines(built)


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
