"""What an engine of TensorRT takes and gives, read from the engine itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime_matting.engines.shapes import Port, Profile, Range, Shape
from realtime_matting.engines.tensorrt_runtime import TensorRt
from realtime_matting.errors import EngineError

if TYPE_CHECKING:
    import tensorrt as trt  # type: ignore[import-not-found, import-untyped, unused-ignore]


def read_ports(trt_: TensorRt, engine: "trt.ICudaEngine", path: Path) -> list[Port]:
    """The engine's tensors.

    Raises:
        EngineError: one is of a dtype that NumPy does not have.
    """
    known: dict[Any, np.dtype[Any]] = {
        trt_.module.DataType.FLOAT: np.dtype(np.float32),
        trt_.module.DataType.HALF: np.dtype(np.float16),
    }
    ports = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        dtype = known.get(engine.get_tensor_dtype(name))
        if dtype is None:
            raise EngineError(
                f"{path}: {name} is {engine.get_tensor_dtype(name).name}; build the engine with float32 or float16"
                " inputs and outputs"
            )
        is_input = engine.get_tensor_mode(name) == trt_.module.TensorIOMode.INPUT
        ports.append(Port(name, dtype, shape_of(engine.get_tensor_shape(name)), is_input))
    return ports


def read_profiles(engine: "trt.ICudaEngine", inputs: Mapping[str, Port]) -> list[Profile]:
    """The engine's profiles; an input of a fixed size is the same in each."""

    def range_of(port: Port, index: int) -> Range:
        if -1 not in port.shape:
            return Range(port.shape, port.shape, port.shape)
        low, tuned, high = engine.get_tensor_profile_shape(port.name, index)
        return Range(shape_of(low), shape_of(tuned), shape_of(high))

    return [
        {name: range_of(port, index) for name, port in inputs.items()}
        for index in range(engine.num_optimization_profiles)
    ]


def shape_of(dims: "trt.Dims") -> Shape:
    """TensorRT's dimensions as a tuple."""
    return tuple(int(dims[axis]) for axis in range(len(dims)))
