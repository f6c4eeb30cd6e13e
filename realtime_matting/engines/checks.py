"""What every engine checks before it runs, and how it words what went wrong."""

from collections.abc import Collection, Mapping

import numpy as np

from realtime_matting.engines.base import FloatArray
from realtime_matting.errors import EngineError


def check_inputs(inputs: Mapping[str, FloatArray], names: Collection[str], engine: str) -> None:
    """Compare the inputs of a call with the network's.

    Raises:
        EngineError: a name is missing or unknown, or an array is not float32 NCHW.
    """
    if inputs.keys() != set(names):
        raise EngineError(
            f"{engine}: the network takes {', '.join(names)}; it was given {', '.join(inputs) or 'nothing'}"
        )
    for name, array in inputs.items():
        if array.dtype != np.float32 or array.ndim != 4:
            raise EngineError(
                f"{engine}: {name} must be float32 (N, C, H, W); it is {array.dtype} of shape {tuple(array.shape)}"
            )


def in_one_line(error: Exception, limit: int = 200) -> str:
    """An engine's own message, which may run over many lines, as one line of at most ``limit`` characters.

    The first lines of such messages say where in the engine's sources it stopped; the last say what was wrong.
    """
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return text if len(text) <= limit else "…" + text[1 - limit :]
