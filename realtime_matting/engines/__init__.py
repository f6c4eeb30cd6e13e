"""Engines run one network of a bundle; :func:`open_engine` picks one."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from realtime_matting.engines.base import Engine, FloatArray
from realtime_matting.errors import EngineError, InputError, MissingExtraError

if TYPE_CHECKING:
    from realtime_matting.engines.onnxruntime import OnnxRuntimeEngine
    from realtime_matting.engines.openvino import OpenVinoEngine

__all__ = ["Engine", "EngineName", "FloatArray", "Precision", "open_engine"]

EngineName = Literal["auto", "openvino", "onnxruntime"]
Precision = Literal["f32", "bf16"]
# The order "auto" tries them in: OpenVINO is the faster one on every CPU measured so far.
PREFERRED: tuple[EngineName, ...] = ("openvino", "onnxruntime")

log = logging.getLogger(__name__)


def open_engine(
    onnx_path: str | Path,
    *,
    engine: EngineName = "auto",
    threads: int | None = None,
    precision: Precision | None = None,
) -> Engine:
    """Open an ONNX network on this machine.

    Args:
        onnx_path: the file.
        engine: which engine runs it; ``"auto"`` takes OpenVINO, or ONNX Runtime where OpenVINO cannot be imported,
            and logs which it took, as a warning with the reason if it is not the first.
        threads: how many threads compute; None lets the engine decide.
        precision: of the arithmetic; None is the engine's own choice for this CPU.

    Raises:
        InputError: there is no such engine, or ``threads`` or ``precision`` make no sense.
        MissingExtraError: the engine asked for is not installed.
        EngineError: the file or the precision is refused, or "auto" finds no engine at all.
    """
    path = Path(onnx_path)
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}; give at least 1, or leave it out")
    if precision not in (None, "f32", "bf16"):
        raise InputError(f"{precision}: no such precision; choose f32 or bf16, or leave it out")
    if engine != "auto" and engine not in PREFERRED:
        raise InputError(f"{engine}: no such engine; choose auto, {' or '.join(PREFERRED)}")
    if not path.is_file():
        raise EngineError(f"{path}: no such file; export the model again")
    missing = []
    for name in PREFERRED if engine == "auto" else (engine,):
        try:
            engine_class = _engine_class(name)
        except (EngineError, MissingExtraError) as error:
            if engine != "auto":
                raise
            missing.append(str(error))
            continue
        opened = engine_class(path, threads=threads, precision=precision)
        why = f"; {'; '.join(missing)}" if missing else ""
        log.log(logging.WARNING if missing else logging.INFO, "%s runs on %s%s", path.name, opened.name, why)
        return opened
    raise EngineError(f"no engine can be used here: {'; '.join(missing)}")


def _engine_class(name: EngineName) -> "type[OpenVinoEngine] | type[OnnxRuntimeEngine]":
    # Imported here: each takes a moment to import, and only one is used.
    if name == "openvino":
        try:
            from realtime_matting.engines.openvino import OpenVinoEngine
        except ImportError as error:
            raise EngineError(f"OpenVINO cannot be imported ({error}); pip install openvino") from error
        return OpenVinoEngine
    try:
        from realtime_matting.engines.onnxruntime import OnnxRuntimeEngine
    except ImportError as error:
        raise MissingExtraError("the ONNX Runtime engine", "onnxruntime") from error
    return OnnxRuntimeEngine
