"""The two TensorRTs: the full one, for the GPU in the machine, and TensorRT for RTX, which builds without a GPU.

Both have the same API; ``tensorrt`` 10 and 11 and ``tensorrt_rtx`` are driven by the same code in
:mod:`export.tensorrt_builder`. They differ in where they build: ``tensorrt`` tries kernels on the GPU it builds for,
and needs a driver; ``tensorrt_rtx`` compiles ahead of time, for all of its GPUs (Turing to Blackwell, but not Hopper)
or for one.
"""

import ctypes
import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from realtime_matting.errors import EngineError, InputError

Flavour = Literal["tensorrt", "tensorrt_rtx"]
EXTRAS: dict[Flavour, str] = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx"}
OLDEST = (10, 0)
# CUDA version a driver must know: that of the CUDA the packages of the extras are built with.
OLDEST_CUDA = (12, 0)
PORTABLE = "portable"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Device:
    """The GPU an engine is for: ``capability`` like "8.9", or "portable"."""

    name: str
    capability: str


def load_flavour(wanted: Literal["auto"] | Flavour, driver: Callable[[], tuple[int, int] | None] | None = None) -> Any:
    """The Python module of a TensorRT that can build here; ``auto`` prefers the full one where there is a GPU for it.

    Args:
        driver: tells the CUDA version of the driver, None without one; by default the machine's own is asked.

    Raises:
        EngineError: none is installed, or none can build on this machine; the line says why for each.
    """
    refused = []
    for flavour in EXTRAS if wanted == "auto" else (wanted,):
        try:
            module = _import(flavour)
            if flavour == "tensorrt":
                _check_driver((driver or cuda_of_driver)())
            return module
        except EngineError as error:
            refused.append(str(error))
    raise EngineError("; ".join(refused))


def flavour_of(module: Any) -> Flavour:
    """Which of the two a module is."""
    return "tensorrt_rtx" if module.__name__ == "tensorrt_rtx" else "tensorrt"


def cuda_of_driver() -> tuple[int, int] | None:
    """(major, minor) of the newest CUDA the installed NVIDIA driver knows; None without a driver or a GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    version = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return None
    return version.value // 1000, version.value % 1000 // 10


def device_here() -> Device | None:
    """The first GPU of the machine, None without one."""
    if cuda_of_driver() is None:
        return None
    driver = ctypes.CDLL("libcuda.so.1")
    device, name = ctypes.c_int(0), ctypes.create_string_buffer(128)
    if driver.cuDeviceGet(ctypes.byref(device), 0) != 0:
        return None
    driver.cuDeviceGetName(name, len(name), device)
    numbers = []
    for attribute in (75, 76):  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
        value = ctypes.c_int(0)
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        numbers.append(str(value.value))
    return Device(name.value.decode(errors="replace"), ".".join(numbers))


def target_device(module: Any, capability: str | None, here: Device | None) -> Device:
    """The GPU to build for.

    Args:
        capability: "8.9", ``portable``, or None: the GPU of the machine for the full TensorRT, portable for RTX.
        here: see :func:`device_here`.

    Raises:
        InputError: the flavour cannot build for that capability.
        EngineError: there is no GPU, and the flavour builds for the one that is there.
    """
    if flavour_of(module) == "tensorrt":
        if capability is not None and (here is None or capability != here.capability):
            have = f"compute capability {here.capability}" if here else "none"
            raise InputError(
                f"--capability {capability}: TensorRT builds for the GPU of this machine ({have});"
                " build there, or use --flavour tensorrt-rtx"
            )
        if here is None:
            raise EngineError("there is no NVIDIA GPU here; use --flavour tensorrt-rtx")
        return here
    if capability is None or capability == PORTABLE:
        return Device("any GPU of TensorRT for RTX", PORTABLE)
    known = {name.removeprefix("SM"): name for name in module.ComputeCapability.__members__ if name.startswith("SM")}
    if capability.replace(".", "") not in known:
        offered = ", ".join(f"{number[:-1]}.{number[-1]}" for number in sorted(known, key=int))
        raise InputError(f"--capability {capability}: TensorRT for RTX builds for {offered}, or portable")
    number = capability.replace(".", "")
    spelt = f"{number[:-1]}.{number[-1]}"
    return Device(f"compute capability {spelt}", spelt)


def _import(flavour: Flavour) -> Any:
    try:
        module = importlib.import_module(flavour)
    except ImportError as error:
        what = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be loaded ({error})"
        raise EngineError(f"{flavour} {what}: pip install 'rtmatte[{EXTRAS[flavour]}]'") from error
    if not hasattr(module, "__version__"):  # an empty namespace: type stubs are installed, the library is not
        raise EngineError(f"{flavour} is not installed: pip install 'rtmatte[{EXTRAS[flavour]}]'")
    version = tuple(int(part) for part in module.__version__.split(".")[:2])
    if flavour == "tensorrt" and version < OLDEST:
        raise EngineError(f"tensorrt {module.__version__} is too old: pip install --upgrade 'rtmatte[tensorrt]'")
    return module


def _check_driver(cuda: tuple[int, int] | None) -> None:
    if cuda is None:
        raise EngineError(
            "tensorrt builds on the GPU it builds for, and there is no NVIDIA driver here:"
            " build on that machine, or use --flavour tensorrt-rtx"
        )
    if cuda < OLDEST_CUDA:
        have, need = (".".join(map(str, version)) for version in (cuda, OLDEST_CUDA))
        raise EngineError(
            f"the NVIDIA driver is too old: it knows CUDA {have}, tensorrt needs {need}; update the driver"
        )
