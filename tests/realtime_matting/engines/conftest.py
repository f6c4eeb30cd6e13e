"""What stands in for the CUDA driver and for TensorRT's runtime where there is no GPU: the two edges, nothing else.

"GPU memory" is memory of the host at its real address, and a stream does its work when it is waited for, so that
copies that are not waited for, or that read memory already freed, give wrong numbers here as they would there. Work
queued while a stream is captured is kept, and done once for every launch of the graph.
"""

import ctypes
import enum
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TOTAL = 64 * 2**20


class Status(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901


OK = Status.CUDA_SUCCESS


class Driver:
    """The functions of ``cuda.bindings.driver`` that are used, on one pretended GPU."""

    CUdevice_attribute = enum.IntEnum(
        "CUdevice_attribute",
        {
            "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR": 75,
            "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR": 76,
        },
    )
    CUstream_flags = enum.IntEnum("CUstream_flags", {"CU_STREAM_NON_BLOCKING": 1})
    CUstreamCaptureMode = enum.IntEnum("CUstreamCaptureMode", {"CU_STREAM_CAPTURE_MODE_THREAD_LOCAL": 1})
    CUstream = int

    def __init__(self, init: Status = OK, capability: tuple[int, int] = (8, 9)) -> None:
        self.init = init
        self.capability = capability
        self.memory: dict[int, Any] = {}
        self.pinned: dict[int, Any] = {}
        self.queues: dict[int, list[Callable[[], None]]] = {}
        self.capturing: int | None = None
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.recordings: list[list[Callable[[], None]]] = []
        self.calls: list[str] = []
        self.refuse_capture = False

    def count(self, function: str) -> int:
        return self.calls.count(function)

    @property
    def used(self) -> int:
        return sum(len(block) for block in self.memory.values())

    def enqueue(self, stream: int, work: Callable[[], None]) -> None:
        self.queues[stream].append(work)

    # The names below are the driver's.

    def cuInit(self, flags: int) -> tuple[Status]:
        return (self.init,)

    def cuDeviceGet(self, ordinal: int) -> tuple[Any, ...]:
        return (OK, ordinal) if ordinal == 0 else (101, None)

    def cuDeviceGetName(self, length: int, device: int) -> tuple[Status, bytes]:
        return OK, b"Stand-in 4000\0\0\0"

    def cuDeviceGetAttribute(self, attribute: int, device: int) -> tuple[Status, int]:
        return OK, self.capability[attribute - 75]

    def cuDriverGetVersion(self) -> tuple[Status, int]:
        return OK, 13020

    def cuDevicePrimaryCtxRetain(self, device: int) -> tuple[Status, str]:
        return OK, "context"

    def cuDevicePrimaryCtxRelease(self, device: int) -> tuple[Status]:
        return (OK,)

    def cuCtxSetCurrent(self, context: str) -> tuple[Status]:
        assert context == "context"
        return (OK,)

    def cuMemGetInfo(self) -> tuple[Status, int, int]:
        return OK, TOTAL - self.used, TOTAL

    def cuGetErrorName(self, status: Status) -> tuple[Status, bytes]:
        return OK, status.name.encode()

    def cuGetErrorString(self, status: Status) -> tuple[Status, bytes]:
        return OK, b"in other words"

    def cuMemAlloc(self, nbytes: int) -> tuple[Status, int | None]:
        assert nbytes > 0
        self.calls.append("cuMemAlloc")
        if self.used + nbytes > TOTAL:
            return Status.CUDA_ERROR_OUT_OF_MEMORY, None
        block = ctypes.create_string_buffer(b"\xff" * nbytes, nbytes)  # NaN in every float: nothing is zero by luck
        self.memory[ctypes.addressof(block)] = block
        return OK, ctypes.addressof(block)

    def cuMemFree(self, pointer: int) -> tuple[Status]:
        block = self.memory.pop(pointer)
        ctypes.memset(block, 0xFF, len(block))
        return (OK,)

    def cuMemHostAlloc(self, nbytes: int, flags: int) -> tuple[Status, int]:
        block = ctypes.create_string_buffer(nbytes)
        self.pinned[ctypes.addressof(block)] = block
        return OK, ctypes.addressof(block)

    def cuMemFreeHost(self, pointer: int) -> tuple[Status]:
        del self.pinned[pointer]
        return (OK,)

    def cuStreamCreate(self, flags: int) -> tuple[Status, int]:
        stream = 1000 + len(self.queues)
        self.queues[stream] = []
        return OK, stream

    def cuStreamDestroy(self, stream: int) -> tuple[Status]:
        return (OK,)

    def cuStreamSynchronize(self, stream: int) -> tuple[Status]:
        assert self.capturing is None, "waiting is not allowed while a stream is captured"
        queue, self.queues[stream] = self.queues[stream], []
        for work in queue:
            work()
        return (OK,)

    def cuCtxSynchronize(self) -> tuple[Status]:
        for stream in self.queues:
            self.cuStreamSynchronize(stream)
        return (OK,)

    def cuMemcpyHtoDAsync(self, target: int, source: int, nbytes: int, stream: int) -> tuple[Status]:
        assert self._holds(target, nbytes)
        self.calls.append("cuMemcpyHtoDAsync")
        self.enqueue(stream, lambda: ctypes.memmove(target, source, nbytes) and None)
        return (OK,)

    def cuMemcpyDtoHAsync(self, target: int, source: int, nbytes: int, stream: int) -> tuple[Status]:
        assert self._holds(source, nbytes)
        self.enqueue(stream, lambda: ctypes.memmove(target, source, nbytes) and None)
        return (OK,)

    def _holds(self, pointer: int, nbytes: int) -> bool:
        return any(start <= pointer and pointer + nbytes <= start + len(b) for start, b in self.memory.items())

    def cuStreamBeginCapture(self, stream: int, mode: int) -> tuple[Status]:
        assert not self.queues[stream], "the stream is still busy"
        self.capturing = stream
        return (OK,)

    def cuStreamEndCapture(self, stream: int) -> tuple[Any, ...]:
        assert self.capturing == stream
        self.capturing = None
        recorded, self.queues[stream] = self.queues[stream], []
        if self.refuse_capture:
            return Status.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, None
        self.recordings.append(recorded)
        return OK, recorded

    def cuGraphInstantiate(self, graph: list[Callable[[], None]], flags: int) -> tuple[Status, int]:
        self.calls.append("cuGraphInstantiate")
        executable = self.count("cuGraphInstantiate")
        self.graphs[executable] = list(graph)
        return OK, executable

    def cuGraphDestroy(self, graph: list[Callable[[], None]]) -> tuple[Status]:
        self.recordings = [kept for kept in self.recordings if kept is not graph]
        return (OK,)

    def cuGraphLaunch(self, executable: int, stream: int) -> tuple[Status]:
        self.calls.append("cuGraphLaunch")
        self.queues[stream] += self.graphs[executable]
        return (OK,)

    def cuGraphExecDestroy(self, executable: int) -> tuple[Status]:
        del self.graphs[executable]
        return (OK,)


class TensorRtModule:
    """The part of ``tensorrt`` that is used. Its networks give alpha = gain · first channel of rgb (+ of trimap).

    An engine's content is JSON: dtype, profiles (as in the description), scratch bytes a pixel, and gain.
    """

    __version__ = "10.13.2.6"
    DataType = enum.Enum("DataType", "FLOAT HALF BF16")
    TensorIOMode = enum.Enum("TensorIOMode", "INPUT OUTPUT")
    ExecutionContextAllocationStrategy = enum.Enum("Strategy", "STATIC USER_MANAGED")

    class ILogger:
        Severity = enum.Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE")

        def __init__(self) -> None: ...

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.executions = 0
        module = self

        class Runtime:
            def __init__(self, logger: Any) -> None:
                self.logger = logger

            def deserialize_cuda_engine(self, content: bytes) -> "StandInEngine | None":
                if content == b"too large":
                    self.logger.log(module.ILogger.Severity.ERROR, "Error Code 2: OutOfMemory (Requested size was 9)")
                    return None
                try:
                    return StandInEngine(module, self.logger, json.loads(content))
                except ValueError:
                    self.logger.log(
                        module.ILogger.Severity.ERROR,
                        "Serialization assertion header.magicTag == kEXPECTED_MAGIC_TAG failed.\nVersion tag differs",
                    )
                    return None

        self.Runtime = Runtime


class StandInEngine:
    def __init__(self, module: TensorRtModule, logger: Any, plan: dict[str, Any]) -> None:
        self.module, self.logger, self.plan = module, logger, plan
        self.inputs = list(plan["profiles"][0])
        self.num_io_tensors = len(self.inputs) + 1
        self.num_optimization_profiles = len(plan["profiles"])
        self.contexts = 0

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, "alpha"][index]

    def get_tensor_dtype(self, name: str) -> Any:
        return self.module.DataType[self.plan["dtype"]]

    def get_tensor_mode(self, name: str) -> Any:
        return self.module.TensorIOMode.INPUT if name in self.inputs else self.module.TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name == "alpha":
            return (1, 1, -1, -1)
        ranges = [profile[name] for profile in self.plan["profiles"]]
        return tuple(
            ranges[0]["min"][axis] if all(r["min"][axis] == r["max"][axis] == ranges[0]["min"][axis] for r in ranges)
            else -1
            for axis in range(4)
        )  # fmt: skip

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[list[int]]:
        return [self.plan["profiles"][profile][name][key] for key in ("min", "opt", "max")]

    def create_execution_context(self, strategy: Any) -> "StandInContext":
        assert strategy is self.module.ExecutionContextAllocationStrategy.USER_MANAGED
        self.contexts += 1
        return StandInContext(self)


class StandInContext:
    def __init__(self, engine: StandInEngine) -> None:
        self.engine = engine
        self.module = engine.module
        self.active_optimization_profile = 0
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.scratch = (0, 0)

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.active_optimization_profile = index
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self.engine.get_tensor_profile_shape(name, self.active_optimization_profile)
        assert all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True)), "TensorRT would refuse this shape"
        self.shapes[name] = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if self.engine.plan.get("data_dependent"):
            return (1, 1, -1, -1)
        return (1, 1, *self.shapes["rgb"][2:])

    def update_device_memory_size_for_shapes(self) -> int:
        assert self.shapes.keys() == set(self.engine.inputs)
        return int(np.prod(self.shapes["rgb"][2:])) * self.engine.plan["scratch"]

    def set_device_memory(self, pointer: int, nbytes: int) -> None:
        assert nbytes >= self.update_device_memory_size_for_shapes()
        self.scratch = (pointer, nbytes)

    def set_tensor_address(self, name: str, pointer: int) -> bool:
        self.addresses[name] = pointer
        return True

    def execute_async_v3(self, stream: int) -> bool:
        driver = self.module.driver
        if self.engine.plan.get("fails"):
            self.engine.logger.log(self.module.ILogger.Severity.ERROR, "Cuda Runtime (out of memory)")
            return False
        self.module.executions += 1
        shapes, addresses, scratch = dict(self.shapes), dict(self.addresses), self.scratch
        dtype = np.dtype(np.float16 if self.engine.plan["dtype"] == "HALF" else np.float32)

        def compute() -> None:
            assert driver._holds(*scratch) or scratch[1] == 0, "the scratch memory was freed"

            def view(name: str, shape: tuple[int, ...]) -> np.ndarray:
                nbytes = int(np.prod(shape)) * dtype.itemsize
                assert driver._holds(addresses[name], nbytes), f"{name} is not in GPU memory"
                block = (ctypes.c_char * nbytes).from_address(addresses[name])
                return np.frombuffer(block, dtype).reshape(shape)

            ctypes.memset(scratch[0], 0, self.update_device_memory_size_for_shapes())
            alpha = sum(view(name, shapes[name])[:, :1] for name in self.engine.inputs) * dtype.type(
                self.engine.plan["gain"]
            )
            view("alpha", (1, 1, *shapes["rgb"][2:]))[...] = alpha

        driver.enqueue(stream, compute)
        return True


def sizes(low: int, tuned: int, high: int) -> dict[str, list[int]]:
    """The range of a square (1, 3, H, W) input."""
    return {key: [1, 3, side, side] for key, side in (("min", low), ("opt", tuned), ("max", high))}


def write_engine(folder: Path, *, record: dict[str, Any] | None = None, **plan: Any) -> Path:
    """An engine of the stand-in, with a description; a key of ``record`` that is None is left out."""
    plan = {"dtype": "FLOAT", "profiles": [{"rgb": sizes(16, 32, 64)}], "scratch": 8, "gain": 2.0} | plan
    described: dict[str, Any] = {
        "flavour": "tensorrt",
        "version": "10.13.2.6",
        "precision": "fp16",
        "role": "alpha",
        "bundle_sha256": "b" * 64,
        "onnx_sha256": "a" * 64,
        "device": {"name": "Stand-in 4000", "capability": "8.9"},
        "profiles": plan["profiles"][0],
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
        "stride": 16,
        "created": "2026-11-01T12:00:00Z",
    }
    described = {key: value for key, value in (described | (record or {})).items() if value is not None}
    path = folder / "alpha.engine"
    path.write_text(json.dumps(plan))
    (folder / "alpha.engine.json").write_text(json.dumps(described))
    return path


class Gpu:
    """The pretended GPU of a test: its driver, its TensorRT, and engines for it."""

    def __init__(self, folder: Path) -> None:
        self.driver = Driver()
        self.trt = TensorRtModule(self.driver)
        self.folder = folder

    def engine(self, *, record: dict[str, Any] | None = None, **plan: Any) -> Path:
        """Write an engine and its description."""
        return write_engine(self.folder, record=record, **plan)

    sizes = staticmethod(sizes)


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """A pretended GPU with TensorRT, for everything that this process opens during the test."""
    from realtime_matting.engines import cuda, tensorrt_runtime

    pretended = Gpu(tmp_path)
    real = importlib.import_module
    monkeypatch.setattr(cuda, "_import_driver", lambda: pretended.driver)
    monkeypatch.setattr(
        tensorrt_runtime.importlib,
        "import_module",
        lambda name: pretended.trt if name == "tensorrt" else real(name),
    )
    monkeypatch.setattr(tensorrt_runtime, "installed_version", lambda f: "10.13.2.6" if f == "tensorrt" else None)
    tensorrt_runtime.load_tensorrt.cache_clear()
    yield pretended
    tensorrt_runtime.load_tensorrt.cache_clear()
