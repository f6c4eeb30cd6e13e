"""Which engines can run on this machine, found out by running them, and why the others cannot."""

import base64
import ctypes
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from realtime_matting.engines import PREFERRED, open_engine
from realtime_matting.engines.base import EngineName
from realtime_matting.engines.checks import in_one_line
from realtime_matting.engines.cuda import Cuda, in_mib
from realtime_matting.engines.engine_file import EXTRAS, FLAVOUR_NAMES, FLAVOURS, Flavour, engine_cache, list_engines
from realtime_matting.engines.tensorrt_runtime import TensorRt, load_tensorrt
from realtime_matting.errors import MattingError, MissingExtraError

# ONNX, IR 8, opset 13: alpha = Relu(rgb), float32 (1, 3, h, w).
TINY_NETWORK = base64.b64decode(
    "CAgSADpbChIKA3JnYhIFYWxwaGEiBFJlbHUSAWdaHwoDcmdiEhgKFggBEhIKAggBCgIIAwoDEgFoCgMSAXdiIQoFYWxwaGESGAoWCAESEgoCCAEK"
    "AggDCgMSAWgKAxIBd0IECgAQDQ=="
)
INSTALL_DRIVER = "install the NVIDIA driver: https://www.nvidia.com/drivers"
INSTALL: dict[str, str] = {
    "tensorrt": "pip install 'rtmatte[tensorrt]'",
    "openvino": "pip install openvino",
    "onnxruntime": "pip install 'rtmatte[onnxruntime]'",
    "onnxruntime-cuda": "pip uninstall onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'",
    "onnxruntime-directml": "pip uninstall onnxruntime && pip install onnxruntime-directml",
    "onnxruntime-coreml": "pip install --upgrade onnxruntime",
}
# Systems, as sys.platform has them, of the engines that there are not for all.
SYSTEMS: dict[str, dict[str, str]] = {
    "onnxruntime-directml": {"win32": "Windows"},
    "onnxruntime-coreml": {"darwin": "macOS"},
    "onnxruntime-cuda": {"linux": "Linux", "win32": "Windows"},
    "tensorrt": {"linux": "Linux", "win32": "Windows"},
}


@dataclass(frozen=True)
class Availability:
    """Whether something can be used here.

    Attributes:
        name: of the engine, or the thing.
        usable: it was tried, and works.
        detail: what it is, or why it cannot be used.
        fix: the command, or step, that would change that; empty where it is usable or nothing would.
    """

    name: str
    usable: bool
    detail: str
    fix: str = ""


def check_engines() -> list[Availability]:
    """Every engine but "auto", the one that "auto" prefers first. Takes a second or two: each is really run."""
    names = sorted(
        (name for name in get_args(EngineName) if name != "auto"),
        key=lambda name: PREFERRED.index(name) if name in PREFERRED else len(PREFERRED),
    )
    return [_check_engine(name) for name in names]


def _check_engine(name: EngineName) -> Availability:
    systems = SYSTEMS.get(name, {sys.platform: ""})
    if sys.platform not in systems:
        return Availability(name, False, f"there is none for this system, only for {' and '.join(systems.values())}")
    if name in ("tensorrt", "onnxruntime-cuda") and not driver_is_installed():
        return Availability(name, False, "there is no NVIDIA driver", INSTALL_DRIVER)
    try:
        return _check_tensorrt() if name == "tensorrt" else _check_by_running(name)
    except Exception as error:  # a package that is broken may raise anything, and is what the check is to find
        return Availability(name, False, f"{type(error).__name__}: {in_one_line(error)}", INSTALL[name])


def _check_by_running(name: EngineName) -> Availability:
    rgb = np.linspace(-1, 1, 3 * 8 * 8, dtype=np.float32).reshape(1, 3, 8, 8)
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "tiny.onnx"
        network.write_bytes(TINY_NETWORK)
        try:
            engine = open_engine(network, engine=name)
            alpha = engine({"rgb": rgb})["alpha"]
        except MattingError as error:
            return Availability(name, False, str(error), INSTALL[name])
        right = np.allclose(alpha, np.maximum(rgb, 0), atol=0.01)  # bf16 has 8 bits
        engine.close()
    if not right:
        return Availability(name, False, f"{engine.name} computes wrong numbers", INSTALL[name])
    return Availability(name, True, engine.name)


def driver_is_installed() -> bool:
    """Whether the library of the NVIDIA driver is there; that it works is another matter."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _check_tensorrt() -> Availability:
    """Driver, GPU, runtime, and the engines in the cache: the first that is missing is told."""
    name = "tensorrt"
    try:
        cuda = Cuda()
    except MissingExtraError:
        return Availability(name, False, "cuda-python is not installed", INSTALL[name])
    except MattingError as error:
        return Availability(name, False, str(error), INSTALL_DRIVER)
    loaded: dict[Flavour, TensorRt] = {}
    refusals: list[str] = []
    for flavour in FLAVOURS:
        try:
            loaded[flavour] = load_tensorrt(flavour)
        except MissingExtraError:
            continue
        except MattingError as error:
            refusals.append(str(error))
    if not loaded:
        why = "; ".join(refusals) or f"neither {' nor '.join(FLAVOUR_NAMES.values())} is installed"
        return Availability(name, False, why, INSTALL[name])
    _, total = cuda.free_and_total_memory()
    here = (
        f"{' and '.join(trt.label for trt in loaded.values())}, {cuda.name} with {in_mib(total)},"
        f" CUDA {cuda.driver_version[0]}.{cuda.driver_version[1]}"
    )
    engines, unreadable = list_engines([engine_cache()])
    unfit = list(unreadable)
    fitting = 0
    for file in engines:
        trt = loaded.get(file.record.flavour)
        if trt is None:
            unfit.append(
                f"{file.path} needs {FLAVOUR_NAMES[file.record.flavour]}:"
                f" pip install 'rtmatte[{EXTRAS[file.record.flavour]}]'"
            )
            continue
        why_not = file.why_not(trt.version, cuda.capability)
        if why_not is None:
            fitting += 1
        else:
            unfit.append(f"{file.path} {why_not}")
    told = f"; not usable: {'; '.join(unfit)}" if unfit else ""
    if not fitting:
        return Availability(
            name, False, f"{here}; no engine was built for it{told}", "python -m export.build_engine --fp16"
        )
    return Availability(name, True, f"{here}; {fitting} engine{'s' * (fitting > 1)} in {engine_cache()}{told}")
