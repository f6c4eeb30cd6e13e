"""What the runtime asks of anything that runs a network, and the names of what can."""

from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
EngineName = Literal[
    "auto",
    "openvino",
    "onnxruntime",
    "tensorrt",
    "onnxruntime-cuda",
    "onnxruntime-directml",
    "onnxruntime-coreml",
]
"""``onnxruntime`` computes on the CPU; ``tensorrt`` runs engines of TensorRT and of TensorRT for RTX."""
Precision = Literal["f32", "bf16", "f16"]
"""Of the arithmetic. Inputs and outputs are float32 in any case."""
PRECISION_KEY = "rtmatte.precision"
"""ONNX metadata of a graph that was measured: ``fp32`` keeps OpenVINO from computing in bf16 by itself."""

INT8_KEY = "rtmatte.int8"
"""ONNX metadata: JSON object, name of a convolution → [smallest, largest] value of its input, where int8 will do."""


class Engine(Protocol):
    """Runs ONE network of a bundle. Inputs and outputs are float32 NCHW arrays, named as in the ONNX file.

    ``name`` says engine, device and precision for people, for example ``"OpenVINO CPU bf16"``.
    """

    name: str

    def __call__(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run once. The arrays returned are valid until the next call of this engine.

        Raises:
            EngineError: the engine refused the input or failed while running.
        """
        ...

    def prepared(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether inputs of these shapes would be run without a pause; if not, the engine begins to prepare for them.

        That goes on in the background, and calls of other shapes go on meanwhile.
        """
        ...

    def close(self) -> None:
        """Free what the engine holds; calling it twice is harmless."""
        ...
