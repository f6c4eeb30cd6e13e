"""What is kept for one combination of input shapes."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from realtime_matting.engines.cuda import DeviceMemory, Graph
from realtime_matting.engines.shapes import Shape

if TYPE_CHECKING:
    import tensorrt as trt  # type: ignore[import-not-found, import-untyped, unused-ignore]


@dataclass(eq=False)
class Session:
    """One combination of shapes (and of addresses, where the caller's own are used).

    Attributes:
        context: what runs it; used by nothing else, for the graph records its state.
        shapes, pointers: of every input and output, by name.
        memory: on the GPU, owned by the session.
        host: page-locked arrays of the inputs and outputs that pass through the host.
        graph: the recorded run, once there is one.
        has_run: TensorRT can be recorded only after a first run of the same shapes.
        capturable: False after a recording failed.
    """

    context: "trt.IExecutionContext"
    shapes: dict[str, Shape]
    pointers: dict[str, int]
    memory: list[DeviceMemory] = field(default_factory=list)
    host: dict[str, NDArray[Any]] = field(default_factory=dict)
    graph: Graph | None = None
    has_run: bool = False
    capturable: bool = True

    def free(self) -> None:
        """Give back its graph and its memory on the GPU; arrays on the host live while they are looked at."""
        if self.graph is not None:
            self.graph.destroy()
        for memory in self.memory:
            memory.free()
