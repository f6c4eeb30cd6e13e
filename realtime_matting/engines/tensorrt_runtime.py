"""Loads TensorRT or TensorRT for RTX, and what it says when it cannot load an engine.

Both flavours have one interface under two module names. The types are those of the published stubs of TensorRT 10;
only names that are still there in 11 are used.
"""

import functools
import importlib
import importlib.metadata
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from realtime_matting.engines.cuda import in_mib
from realtime_matting.engines.engine_file import EXTRAS, FLAVOUR_NAMES, EngineFile, Flavour
from realtime_matting.errors import EngineError, MissingExtraError

if TYPE_CHECKING:
    import tensorrt as trt  # type: ignore[import-not-found, import-untyped, unused-ignore]

OUT_OF_MEMORY = "out of memory"
# What TensorRT writes when it refuses, what that means, and what to do: the first that fits is told.
EXPLANATIONS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("cudaerror 35", "cudaerror 100", "driver version is insufficient", "no cuda-capable device"),
        "there is no NVIDIA driver, or it is too old",
        "install or update the NVIDIA driver",
    ),
    (
        ("out of memory", "outofmemory", "cudaerror 2:", "failed_allocation"),
        OUT_OF_MEMORY,
        "close other programs, or build the engine for smaller frames",
    ),
    (
        ("compute capability", "incompatible device", "different gpu model", "unsupported_cc"),
        "it was built for another kind of GPU",
        "build it again on this machine",
    ),
    (
        ("version tag", "serialization version", "magictag", "expecting library version", "version mismatch"),
        "it was built by another version of TensorRT, or is damaged",
        "build it again",
    ),
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """Why TensorRT refused: ``what`` for people, ``fix`` for what to do (empty where that is not known)."""

    what: str
    fix: str


class LastErrors:
    """The last errors of TensorRT, which reports them to a logger and not to the caller."""

    def __init__(self) -> None:
        self._messages: deque[str] = deque(maxlen=8)

    def add(self, message: str) -> None:
        """Remember one message."""
        self._messages.append(" ".join(message.split()))

    def take(self) -> list[str]:
        """The messages since the last call, the oldest first."""
        messages = list(self._messages)
        self._messages.clear()
        return messages


def explain(messages: list[str], limit: int = 200) -> Problem:
    """What TensorRT's messages mean."""
    text = " ".join(messages).lower()
    for signs, what, fix in EXPLANATIONS:
        if any(sign in text for sign in signs):
            return Problem(what, fix)
    said = messages[0] if messages else "it does not say why"
    return Problem(said if len(said) <= limit else said[: limit - 1] + "…", "")


@dataclass(frozen=True)
class TensorRt:
    """One flavour, loaded: its module, its version, and the one logger and runtime of the process."""

    flavour: Flavour
    module: Any
    version: str
    logger: "trt.ILogger"
    runtime: "trt.Runtime"
    errors: LastErrors

    @property
    def label(self) -> str:
        """For people: "TensorRT 10.13.2"."""
        return f"{FLAVOUR_NAMES[self.flavour]} {'.'.join(self.version.split('.')[:3])}"

    def deserialize(self, file: EngineFile) -> "trt.ICudaEngine":
        """Load an engine.

        Raises:
            EngineError: the file cannot be read, or TensorRT refuses it.
        """
        try:
            content = file.path.read_bytes()
        except OSError as error:
            raise EngineError(f"{file.path}: cannot be read ({error.strerror}); check permissions") from error
        self.errors.take()
        # TensorRT answers None, against its declared type, where it refuses.
        engine: trt.ICudaEngine | None = self.runtime.deserialize_cuda_engine(content)
        if engine is None:
            problem = explain(self.errors.take())
            if problem.what == OUT_OF_MEMORY:
                problem = Problem(f"{OUT_OF_MEMORY}: its weights alone take {in_mib(len(content))}", problem.fix)
            raise EngineError(
                f"{file.path}: {self.label} cannot load this engine ({problem.what}); {problem.fix or 'build it again'}"
            )
        return engine


def installed_version(flavour: Flavour) -> str | None:
    """The version of a flavour's package, without importing it; None where it is not installed."""
    for package in (flavour, f"{flavour}_cu13", f"{flavour}_cu12", f"{flavour}-bindings"):
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


@functools.cache
def load_tensorrt(flavour: Flavour) -> TensorRt:
    """Import a flavour and make its runtime; both are kept, for TensorRT wants one logger in a process.

    Raises:
        MissingExtraError: it is not installed.
        EngineError: it is installed and cannot be loaded.
    """
    try:
        module = importlib.import_module(flavour)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == flavour:
            raise MissingExtraError(f"an engine built by {FLAVOUR_NAMES[flavour]}", EXTRAS[flavour]) from error
        raise _cannot_load(flavour, error) from error
    except (OSError, RuntimeError) as error:  # a shared library that is missing or does not fit
        raise _cannot_load(flavour, error) from error
    if not hasattr(module, "Runtime"):  # type stubs alone leave an empty package of the same name
        raise MissingExtraError(f"an engine built by {FLAVOUR_NAMES[flavour]}", EXTRAS[flavour])
    errors = LastErrors()
    logger = _logger(module, errors)
    try:
        runtime = module.Runtime(logger)
    except (RuntimeError, TypeError):  # a null pointer from C++, as one or the other
        runtime = None
    if runtime is None:
        problem = explain(errors.take())
        told = f"; {problem.fix}" if problem.fix else ""
        raise EngineError(f"{FLAVOUR_NAMES[flavour]}: no runtime can be made ({problem.what}){told}")
    return TensorRt(flavour, module, str(module.__version__), logger, runtime, errors)


def _cannot_load(flavour: Flavour, error: Exception) -> EngineError:
    why = " ".join(str(error).split())
    return EngineError(
        f"{FLAVOUR_NAMES[flavour]} is installed and cannot be loaded ({why}); "
        f"pip install --force-reinstall 'rtmatte[{EXTRAS[flavour]}]'"
    )


def _logger(module: Any, errors: LastErrors) -> "trt.ILogger":
    severity = module.ILogger.Severity

    class Logger(module.ILogger):  # type: ignore[misc]  # the base is known only when the flavour is
        """Messages of runtime and builder in this package's log: errors are raised, and the chatter is left out."""

        def __init__(self) -> None:
            super().__init__()

        def log(self, level: Any, message: str) -> None:
            if level in (severity.INTERNAL_ERROR, severity.ERROR):
                errors.add(message)
                log.debug("%s", message)
            elif level == severity.WARNING:
                log.info("%s", " ".join(message.split()))
            elif level == severity.INFO:
                log.debug("%s", message)

    logger: trt.ILogger = Logger()
    return logger
