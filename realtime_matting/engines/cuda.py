"""Memory, streams and graphs of one NVIDIA GPU, through the CUDA driver (``cuda-python``: wheels, no toolkit).

Only the driver's own interface is used, so no CUDA runtime library has to be found. Where the user has pycuda, it can
do the allocating: then memory comes from the pool that the rest of their program uses.
"""

import importlib
import logging
import weakref
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import EngineError, MissingExtraError

AllocatorName = Literal["cuda-python", "pycuda"]

OUT_OF_MEMORY = 2
# What the driver answers before it can be used at all, as CUresult values, and what to do about it.
NO_DRIVER = {
    34: "the NVIDIA driver's library is only a stub; install the NVIDIA driver",
    35: "the NVIDIA driver is older than CUDA needs; update the NVIDIA driver",
    100: "no NVIDIA GPU is visible; check nvidia-smi and CUDA_VISIBLE_DEVICES",
    101: "there is no GPU of that number; check nvidia-smi and CUDA_VISIBLE_DEVICES",
    803: "the NVIDIA driver's library and its kernel module differ in version; restart the machine",
    804: "this GPU needs a newer NVIDIA driver; update the NVIDIA driver",
}
MIB = 2**20

log = logging.getLogger(__name__)


class DeviceMemory:
    """``nbytes`` of GPU memory at address ``pointer``; freed with :meth:`free`, or with the object."""

    def __init__(self, pointer: int, nbytes: int, release: Callable[[], None]) -> None:
        self.pointer = pointer
        self.nbytes = nbytes
        self._finalize = weakref.finalize(self, release)
        self._finalize.atexit = False  # at the end of the process the driver frees everything, in its own order

    def free(self) -> None:
        """Give the memory back; calling it twice is harmless."""
        self._finalize()


class _PinnedOwner:
    """Keeps page-locked memory for as long as an array still looks at it."""

    def __init__(self, address: int, nbytes: int, release: Callable[[], None]) -> None:
        self.__array_interface__ = {"data": (address, False), "shape": (nbytes,), "typestr": "|u1", "version": 3}
        weakref.finalize(self, release).atexit = False


class Graph:
    """Work recorded from a stream; replaying it costs one call of the driver."""

    def __init__(self, cuda: "Cuda", executable: Any) -> None:
        self._cuda = cuda
        self._executable = executable
        self._finalize = weakref.finalize(self, cuda._quietly, "cuGraphExecDestroy", executable)
        self._finalize.atexit = False

    def launch(self, stream: int) -> None:
        """Queue the recorded work on ``stream``."""
        self._cuda._call("cuGraphLaunch", self._executable, self._cuda._stream(stream))

    def destroy(self) -> None:
        """Free the graph; calling it twice is harmless."""
        self._finalize()


class Cuda:
    """One GPU. All calls must come from one thread at a time; each makes the GPU's primary context current.

    Attributes:
        name: as the driver calls it, for example "NVIDIA GeForce RTX 4070".
        capability: of its arithmetic, for example (8, 9).
        driver_version: the newest CUDA the driver serves, for example (13, 0).

    Args:
        ordinal: number of the GPU, in the driver's order.
        allocator: what reserves memory.

    Raises:
        MissingExtraError: cuda-python, or the pycuda that was asked for, is not installed.
        EngineError: there is no driver, it is too old, or there is no such GPU.
    """

    def __init__(self, ordinal: int = 0, *, allocator: AllocatorName = "cuda-python") -> None:
        self._driver = _import_driver()
        try:
            self._call("cuInit", 0)
        except EngineError:
            raise
        except Exception as error:  # cuda-python raises classes of its own, which differ between its versions
            raise EngineError(
                "CUDA: no NVIDIA driver is installed (its library libcuda cannot be loaded); install the NVIDIA driver"
            ) from error
        self._device = self._call("cuDeviceGet", ordinal)
        self.capability = (self._attribute("COMPUTE_CAPABILITY_MAJOR"), self._attribute("COMPUTE_CAPABILITY_MINOR"))
        self.name = bytes(self._call("cuDeviceGetName", 128, self._device)).split(b"\0")[0].decode()
        version = int(self._call("cuDriverGetVersion"))
        self.driver_version = (version // 1000, version % 1000 // 10)
        # The primary context is the one that TensorRT and other libraries in the process use as well.
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)
        weakref.finalize(self, _release_context, self._driver, self._device).atexit = False
        self._pycuda = _Pycuda(ordinal) if allocator == "pycuda" else None
        self.make_current()

    def make_current(self) -> None:
        """Let this thread's calls, TensorRT's too, use this GPU."""
        self._call("cuCtxSetCurrent", self._context)

    def free_and_total_memory(self) -> tuple[int, int]:
        """Bytes of GPU memory free now, and in all."""
        free, total = self._call("cuMemGetInfo")
        return int(free), int(total)

    def allocate(self, nbytes: int, purpose: str) -> DeviceMemory:
        """Reserve GPU memory, aligned to 256 bytes as TensorRT wants it.

        Raises:
            EngineError: there is not so much; the text says how much was needed for ``purpose`` and is free.
        """
        nbytes = max(nbytes, 1)  # the driver refuses 0, and an engine may need none
        if self._pycuda is not None:
            try:
                pointer, release = self._pycuda.device(nbytes)
            except self._pycuda.memory_error as error:
                raise self._out_of_memory(nbytes, purpose) from error
            return DeviceMemory(pointer, nbytes, release)
        address = self._call("cuMemAlloc", nbytes, out_of_memory=(nbytes, purpose))
        return DeviceMemory(int(address), nbytes, lambda: self._quietly("cuMemFree", address))

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An uninitialised array in page-locked memory, which the GPU copies from and to without an extra copy.

        Raises:
            EngineError: there is not so much memory.
        """
        nbytes = max(1, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        if self._pycuda is not None:
            try:
                flat = self._pycuda.pinned(nbytes)
            except self._pycuda.memory_error as error:
                raise self._out_of_memory(nbytes, "page-locked memory") from error
        else:
            address = self._call("cuMemHostAlloc", nbytes, 0, out_of_memory=(nbytes, "page-locked memory"))
            flat = np.asarray(_PinnedOwner(int(address), nbytes, lambda: self._quietly("cuMemFreeHost", address)))
        used = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return flat[:used].view(dtype).reshape(shape)

    def new_stream(self) -> int:
        """A queue of work, as the handle that TensorRT and others take; it lives as long as this object."""
        flags = self._driver.CUstream_flags.CU_STREAM_NON_BLOCKING
        stream = self._call("cuStreamCreate", int(flags))
        weakref.finalize(self, _destroy_stream, self._driver, stream).atexit = False
        return int(stream)

    def copy_in(self, target: int, source: NDArray[Any], stream: int) -> None:
        """Queue a copy of a C-contiguous array to GPU address ``target``; keep the array until the stream is done."""
        self._call("cuMemcpyHtoDAsync", target, source.ctypes.data, source.nbytes, self._stream(stream))

    def copy_out(self, target: NDArray[Any], source: int, stream: int) -> None:
        """Queue a copy from GPU address ``source`` that fills a C-contiguous array."""
        self._call("cuMemcpyDtoHAsync", target.ctypes.data, source, target.nbytes, self._stream(stream))

    def synchronize(self, stream: int) -> None:
        """Wait until all work on ``stream`` is done.

        Raises:
            EngineError: some of that work failed.
        """
        self._call("cuStreamSynchronize", self._stream(stream))

    def synchronize_all(self) -> None:
        """Wait until all work on this GPU by this process is done, on whichever stream.

        Raises:
            EngineError: some of that work failed.
        """
        self._call("cuCtxSynchronize")

    def capture(self, stream: int, work: Callable[[], None]) -> Graph:
        """Record what ``work`` queues on ``stream``, without doing it.

        Raises:
            EngineError: something in it cannot be recorded; the stream can be used as before.
        """
        handle = self._stream(stream)
        # Only this thread is watched: another one may allocate memory meanwhile.
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", handle, mode)
        try:
            work()
        except BaseException:
            graph = self._quietly("cuStreamEndCapture", handle)
            if graph is not None:
                self._quietly("cuGraphDestroy", graph)
            raise
        graph = self._call("cuStreamEndCapture", handle)
        try:
            return Graph(self, self._call("cuGraphInstantiate", graph, 0))
        finally:
            self._quietly("cuGraphDestroy", graph)

    def _attribute(self, name: str) -> int:
        attribute = getattr(self._driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(self._call("cuDeviceGetAttribute", attribute, self._device))

    def _stream(self, handle: int) -> Any:
        return self._driver.CUstream(handle)

    def _call(self, function: str, *arguments: Any, out_of_memory: tuple[int, str] | None = None) -> Any:
        """Call the driver; its answer without the status: None, one value, or a tuple of several."""
        status, *values = getattr(self._driver, function)(*arguments)
        code = int(status)
        if code == OUT_OF_MEMORY and out_of_memory is not None:
            raise self._out_of_memory(*out_of_memory)
        if code in NO_DRIVER:
            raise EngineError(f"CUDA: {NO_DRIVER[code]}")
        if code:
            raise EngineError(f"CUDA: {function} failed ({self._describe(status)})")
        return values[0] if len(values) == 1 else (tuple(values) or None)

    def _quietly(self, function: str, *arguments: Any) -> Any:
        """Call the driver where a failure helps nobody any more: freeing, or cleaning up after another failure."""
        status, *values = getattr(self._driver, function)(*arguments)
        if int(status):
            log.debug("%s: %s", function, self._describe(status))
            return None
        return values[0] if values else None

    def _describe(self, status: Any) -> str:
        words = []
        for function in ("cuGetErrorName", "cuGetErrorString"):
            failed, text = getattr(self._driver, function)(status)
            words += [] if int(failed) or text is None else [bytes(text).decode()]
        return ": ".join(words) or f"status {int(status)}"

    def _out_of_memory(self, nbytes: int, purpose: str) -> EngineError:
        free, total = self.free_and_total_memory()
        return EngineError(
            f"{self.name}: out of memory: {in_mib(nbytes)} were needed for {purpose}, {in_mib(free)} of {in_mib(total)}"
            " are free; close other programs, or build the engine for smaller frames"
        )


class _Pycuda:
    """Memory from pycuda, in the same primary context."""

    def __init__(self, ordinal: int) -> None:
        try:
            driver = importlib.import_module("pycuda.driver")
        except ImportError as error:
            raise EngineError(
                f"pycuda cannot be imported ({error}); pip install pycuda, or use the allocator cuda-python"
            ) from error
        driver.init()
        self._driver = driver
        self._context = driver.Device(ordinal).retain_primary_context()
        self.memory_error: type[Exception] = driver.MemoryError

    def device(self, nbytes: int) -> tuple[int, Callable[[], None]]:
        self._context.push()
        try:
            allocation = self._driver.mem_alloc(nbytes)
        finally:
            self._context.pop()
        return int(allocation), allocation.free

    def pinned(self, nbytes: int) -> NDArray[np.uint8]:
        self._context.push()
        try:
            array: NDArray[np.uint8] = self._driver.pagelocked_empty(nbytes, np.uint8)
        finally:
            self._context.pop()
        return array


def in_mib(nbytes: int) -> str:
    """A size for people: "1234 MiB", and "0.4 MiB" where it is small."""
    return f"{nbytes / MIB:.0f} MiB" if nbytes >= 10 * MIB else f"{nbytes / MIB:.1f} MiB"


def _import_driver() -> Any:
    try:
        return importlib.import_module("cuda.bindings.driver")
    except ImportError as error:
        raise MissingExtraError("an NVIDIA GPU (cuda-python)", "tensorrt") from error


def _release_context(driver: Any, device: Any) -> None:
    driver.cuDevicePrimaryCtxRelease(device)


def _destroy_stream(driver: Any, stream: Any) -> None:
    driver.cuStreamDestroy(stream)
