"""What an engine takes, and what memory a call of it needs: arithmetic only, nothing of TensorRT or CUDA in it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from realtime_matting.errors import EngineError

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class Port:
    """An input or an output of an engine; a side that is free is -1 in ``shape``."""

    name: str
    dtype: np.dtype[Any]
    shape: Shape
    is_input: bool


@dataclass(frozen=True)
class Range:
    """The shapes of one input that a profile takes, and the one it was tuned for."""

    min: Shape
    opt: Shape
    max: Shape

    def takes(self, shape: Shape) -> bool:
        """Whether ``shape`` lies within the range, side by side."""
        return len(shape) == len(self.min) and all(
            low <= side <= high for low, side, high in zip(self.min, shape, self.max, strict=True)
        )

    def __str__(self) -> str:
        if self.min == self.max:
            return in_words(self.min)
        return f"{in_words(self.min)} to {in_words(self.max)}"


Profile = Mapping[str, Range]


def choose_profile(profiles: Sequence[Profile], shapes: Shapes) -> int | None:
    """The profile for inputs of these shapes: of those that take them, the one tuned for the nearest.

    How near is judged by the sum of |log(side / side it was tuned for)|; of equals, the first wins.
    None where no profile takes the shapes.
    """

    def distance(index: int) -> float:
        return sum(
            abs(math.log(side / tuned))
            for name, shape in shapes.items()
            for side, tuned in zip(shape, profiles[index][name].opt, strict=True)
        )

    fitting = [
        index for index, profile in enumerate(profiles) if all(profile[name].takes(shapes[name]) for name in shapes)
    ]
    return min(fitting, key=distance, default=None)


def refuse_shapes(profiles: Sequence[Profile], shapes: Shapes, engine: str) -> EngineError:
    """The error for inputs that no profile takes; it names the first input that fits nowhere, and what would."""
    for name, shape in shapes.items():
        if not any(profile[name].takes(shape) for profile in profiles):
            takes = " or ".join(dict.fromkeys(str(profile[name]) for profile in profiles))
            return EngineError(
                f"{engine}: {name} is {in_words(shape)}, and the engine was built for {takes};"
                " build one with --shape or --dynamic for this size, or use another engine"
            )
    given = ", ".join(f"{name} {in_words(shape)}" for name, shape in shapes.items())
    return EngineError(f"{engine}: no one profile of the engine takes {given}; build it with --dynamic for these sizes")


def byte_size(shape: Shape, dtype: np.dtype[Any]) -> int:
    """Bytes of a C-contiguous array."""
    return math.prod(shape) * dtype.itemsize


def in_words(shape: Shape) -> str:
    """``(1, 3, 320, 192)`` as "1x3x320x192"."""
    return "x".join(map(str, shape))
