"""Runs an engine of TensorRT, or of TensorRT for RTX, on an NVIDIA GPU.

Every combination of input shapes gets a session of its own: an execution context, page-locked and GPU memory for its
tensors, and, from its second run on, a CUDA graph of the whole run that is replayed with one call. A graph records the
addresses and the state of its context, so a context serves one graph only; what the contexts share is the memory for
what lies between the layers, of which each needs the same and only one runs at a time.
"""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from realtime_matting.engines.base import FloatArray
from realtime_matting.engines.checks import check_inputs
from realtime_matting.engines.cuda import AllocatorName, Cuda, DeviceMemory
from realtime_matting.engines.device_array import DeviceArray, OnDevice
from realtime_matting.engines.engine_file import EngineFile
from realtime_matting.engines.shapes import Shape, byte_size, choose_profile, in_words, refuse_shapes
from realtime_matting.engines.tensorrt_ports import read_ports, read_profiles, shape_of
from realtime_matting.engines.tensorrt_runtime import explain, load_tensorrt
from realtime_matting.engines.tensorrt_session import Session
from realtime_matting.errors import EngineError

if TYPE_CHECKING:
    import tensorrt as trt  # type: ignore[import-not-found, import-untyped, unused-ignore]

# Sizes of the networks' inputs, and the frame buffers of a caller who keeps frames on the GPU (a ring of them).
SESSIONS_KEPT = 8

log = logging.getLogger(__name__)

_Key = tuple[tuple[Shape, ...], tuple[int, ...]]


class TensorRtEngine:
    """One network on one NVIDIA GPU. Not safe to call from two threads at once.

    Args:
        engine_path: ``NAME.engine``, with ``NAME.engine.json`` beside it.
        device: number of the GPU, in the driver's order.
        graphs: replay CUDA graphs; without, every layer is launched anew each time.
        allocator: what reserves memory: "cuda-python", or "pycuda" where the program uses that already.

    Attributes:
        name: for people, for example "TensorRT 10.13.2 NVIDIA GeForce RTX 4070 fp16".
        inputs, outputs: the engine's tensors by name.

    Raises:
        MissingExtraError: cuda-python or the flavour that made the engine is not installed.
        EngineError: no driver, another GPU's or another version's engine, too little memory, or no engine at all.
    """

    def __init__(
        self,
        engine_path: str | Path,
        *,
        device: int = 0,
        graphs: bool = True,
        allocator: AllocatorName = "cuda-python",
    ) -> None:
        file = EngineFile.read(Path(engine_path))
        self._cuda = Cuda(device, allocator=allocator)
        self._trt = load_tensorrt(file.record.flavour)
        unfit = file.why_not(self._trt.version, self._cuda.capability)
        if unfit is not None:
            raise EngineError(f"{file.path}: {unfit}; build it again here with python -m export.build_engine")
        self.name = f"{self._trt.label} {self._cuda.name} {file.record.precision}"
        self._engine: trt.ICudaEngine | None = self._trt.deserialize(file)
        ports = read_ports(self._trt, self._engine, file.path)
        self.inputs = {port.name: port for port in ports if port.is_input}
        self.outputs = {port.name: port for port in ports if not port.is_input}
        self._profiles = read_profiles(self._engine, self.inputs)
        self._graphs = graphs
        self._stream = self._cuda.new_stream()
        self._last_stream = self._stream
        self._scratch: DeviceMemory | None = None
        self._sessions: OrderedDict[_Key, Session] = OrderedDict()

    def __call__(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run once on arrays of the host; the first two runs of a new size take longer than those after.

        The arrays returned are page-locked memory of the engine: valid until the next call.
        """
        check_inputs(inputs, self.inputs, self.name)
        self._cuda.make_current()
        session = self._session({name: inputs[name].shape for name in self.inputs}, {})
        self._wait_for_others(self._stream)
        for name in self.inputs:
            np.copyto(session.host[name], inputs[name], casting="same_kind")
        self._run(session, self._stream)
        self._cuda.synchronize(self._stream)
        return {name: session.host[name].astype(np.float32, copy=False) for name in self.outputs}

    def run_on_device(
        self,
        inputs: Mapping[str, OnDevice],
        outputs: Mapping[str, OnDevice] | None = None,
        *,
        stream: int | None = None,
    ) -> dict[str, DeviceArray]:
        """Run once on arrays that are on the GPU already; nothing passes through the host.

        Give the same few buffers again and again: a graph is recorded for each combination of addresses.

        Args:
            inputs: by name, of the dtype the engine has (see :attr:`inputs`).
            outputs: where the results go; those not given go to memory of the engine, valid until its next call.
            stream: handle of the CUDA stream to queue the work on; the caller then waits for it. None: a stream of
                the engine is used, the inputs must be complete, and the results are when this returns.

        Raises:
            EngineError: a name, shape or dtype is not the engine's, or the run failed.
        """
        if inputs.keys() != self.inputs.keys():
            given_names = ", ".join(inputs) or "nothing"
            raise EngineError(f"{self.name}: the network takes {', '.join(self.inputs)}; it was given {given_names}")
        given = {name: DeviceArray.of(array, name) for name, array in {**inputs, **(outputs or {})}.items()}
        for name, array in given.items():
            port = self.inputs.get(name) or self.outputs.get(name)
            if port is None:
                raise EngineError(f"{self.name}: there is no output {name}; there is {', '.join(self.outputs)}")
            if array.dtype != port.dtype:
                raise EngineError(f"{self.name}: {name} must be {port.dtype}; it is {array.dtype}")
        self._cuda.make_current()
        session = self._session(
            {name: given[name].shape for name in self.inputs}, {name: array.pointer for name, array in given.items()}
        )
        for name in self.outputs:
            if name in given and given[name].shape != session.shapes[name]:
                raise EngineError(
                    f"{self.name}: {name} has room for {in_words(given[name].shape)};"
                    f" the result is {in_words(session.shapes[name])}"
                )
        used = self._stream if stream is None else stream
        self._wait_for_others(used)
        self._run(session, used)
        if stream is None:
            self._cuda.synchronize(used)
        return {
            name: DeviceArray(session.pointers[name], session.shapes[name], port.dtype)
            for name, port in self.outputs.items()
        }

    def prepared(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Always: the engine was built for all shapes that it takes."""
        return True

    def close(self) -> None:
        """Free the GPU; calling it twice is harmless."""
        if self._engine is None:
            return
        self._cuda.make_current()
        self._cuda.synchronize_all()
        self._forget_sessions()
        if self._scratch is not None:
            self._scratch.free()
        self._scratch = None
        self._engine = None

    def _wait_for_others(self, stream: int) -> None:
        """Sessions share scratch memory, so work on another stream must be over before this one's begins.

        That stream may be a caller's and gone by now, so it is not waited for by its handle.
        """
        if stream != self._last_stream:
            self._cuda.synchronize_all()
            self._last_stream = stream

    def _run(self, session: Session, stream: int) -> None:
        """Queue copies to the GPU, the network, and copies back, or their recording."""
        if session.graph is None and session.has_run and session.capturable and self._graphs:
            self._capture(session)
        if session.graph is not None:
            session.graph.launch(stream)
            return
        self._queue(session, stream)
        session.has_run = True

    def _queue(self, session: Session, stream: int) -> None:
        for name in self.inputs:
            if name in session.host:
                self._cuda.copy_in(session.pointers[name], session.host[name], stream)
        self._trt.errors.take()
        if not session.context.execute_async_v3(stream):
            raise self._failed("could not run")
        for name in self.outputs:
            if name in session.host:
                self._cuda.copy_out(session.host[name], session.pointers[name], stream)

    def _capture(self, session: Session) -> None:
        """Record the run of a session that has run once, as TensorRT asks for, or note that it cannot be recorded."""
        # Only TensorRT for RTX can be asked; it compiles some kernels late, and says no until they are there.
        can = getattr(session.context, "is_stream_capturable", None)
        if can is not None and not can(self._stream):
            return
        # The recording stream is the engine's own: it must be idle, and is then free of the caller's other work.
        self._cuda.synchronize_all()
        try:
            session.graph = self._cuda.capture(self._stream, lambda: self._queue(session, self._stream))
        except EngineError as error:
            session.capturable = False
            log.warning("%s: runs without a CUDA graph, a little slower: %s", self.name, error)

    def _session(self, shapes: dict[str, Shape], pointers: dict[str, int]) -> Session:
        """The session for these shapes and addresses of the caller; a new one drops the one used longest ago."""
        if self._engine is None:
            raise EngineError(f"{self.name}: is closed; open it again")
        names = (*self.inputs, *self.outputs)
        key = (tuple(shapes.values()), tuple(pointers.get(name, 0) for name in names))
        if key in self._sessions:
            self._sessions.move_to_end(key)
            return self._sessions[key]
        if len(self._sessions) >= SESSIONS_KEPT:
            self._cuda.synchronize_all()  # the one that goes may still be running
            self._sessions.popitem(last=False)[1].free()
        session = self._new_session(self._engine, shapes, pointers)
        self._sessions[key] = session
        return session

    def _new_session(self, engine: "trt.ICudaEngine", shapes: dict[str, Shape], pointers: dict[str, int]) -> Session:
        profile = choose_profile(self._profiles, shapes)
        if profile is None:
            raise refuse_shapes(self._profiles, shapes, self.name)
        self._trt.errors.take()
        strategy = self._trt.module.ExecutionContextAllocationStrategy.USER_MANAGED
        context: trt.IExecutionContext | None = engine.create_execution_context(strategy)
        if context is None:
            raise self._failed("no execution context could be made")
        if profile != context.active_optimization_profile:
            if not context.set_optimization_profile_async(profile, self._stream):
                raise self._failed(f"profile {profile} could not be chosen")
            self._cuda.synchronize(self._stream)
        for name, shape in shapes.items():
            if not context.set_input_shape(name, shape):
                raise self._failed(f"{name} of {in_words(shape)} was refused")
        all_shapes = {**shapes, **{name: shape_of(context.get_tensor_shape(name)) for name in self.outputs}}
        unknown = [name for name, shape in all_shapes.items() if min(shape, default=0) < 0]
        if unknown:
            raise EngineError(f"{self.name}: the size of {unknown[0]} depends on the picture; export the network again")
        session = Session(context, all_shapes, dict(pointers))
        try:
            self._give_memory(session)
        except EngineError:
            session.free()
            raise
        return session

    def _give_memory(self, session: Session) -> None:
        """Reserve what the session needs beyond what the caller brought, and tell the context all addresses."""
        self._share_scratch(session.context.update_device_memory_size_for_shapes())
        assert self._scratch is not None  # just made
        session.context.set_device_memory(self._scratch.pointer, self._scratch.nbytes)
        brought = bool(session.pointers)
        for name, port in {**self.inputs, **self.outputs}.items():
            shape = session.shapes[name]
            if name not in session.pointers:
                memory = self._cuda.allocate(byte_size(shape, port.dtype), f"{name} of {in_words(shape)}")
                session.memory.append(memory)
                session.pointers[name] = memory.pointer
                if not brought:
                    session.host[name] = self._cuda.pinned(shape, port.dtype)
            if not session.context.set_tensor_address(name, session.pointers[name]):
                raise self._failed(f"the address of {name} was refused")

    def _share_scratch(self, nbytes: int) -> None:
        """Have at least ``nbytes`` between the layers; when it grows, its address changes and no session is left."""
        if self._scratch is not None and self._scratch.nbytes >= nbytes:
            return
        self._cuda.synchronize_all()
        self._forget_sessions()
        if self._scratch is not None:
            self._scratch.free()
        self._scratch = None
        self._scratch = self._cuda.allocate(nbytes, "what lies between the network's layers")

    def _forget_sessions(self) -> None:
        for session in self._sessions.values():
            session.free()
        self._sessions.clear()

    def _failed(self, what: str) -> EngineError:
        problem = explain(self._trt.errors.take())
        return EngineError(f"{self.name}: {what} ({problem.what})" + (f"; {problem.fix}" if problem.fix else ""))
