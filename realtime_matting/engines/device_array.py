"""Arrays that are on the GPU already, of this package or of another library."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from realtime_matting.engines.shapes import Shape
from realtime_matting.errors import EngineError


class OnDevice(Protocol):
    """A C-contiguous array on the GPU of any library: PyTorch, CuPy, Numba, or :class:`DeviceArray`."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """An array at an address of the GPU; whoever made it keeps the memory.

    Attributes:
        pointer: the address.
        shape: of the array, which is C-contiguous.
        dtype: of its elements.
    """

    pointer: int
    shape: Shape
    dtype: np.dtype[Any]

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """So that ``torch.as_tensor``, ``cupy.asarray`` and others take it without a copy."""
        return {"data": (self.pointer, False), "shape": self.shape, "typestr": self.dtype.str, "version": 3}

    @classmethod
    def of(cls, array: OnDevice, name: str) -> "DeviceArray":
        """What another library's array is.

        Raises:
            EngineError: it is not on a GPU, or not C-contiguous.
        """
        interface = getattr(array, "__cuda_array_interface__", None)
        if interface is None:
            raise EngineError(f"{name} is a {type(array).__name__}, not an array on the GPU; move it there first")
        shape, dtype = tuple(interface["shape"]), np.dtype(interface["typestr"])
        dense = tuple(int(dtype.itemsize * np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
        if interface.get("strides") not in (None, dense):
            raise EngineError(f"{name} is not C-contiguous on the GPU; make a contiguous copy first")
        return cls(int(interface["data"][0]), shape, dtype)
