"""What the pipeline asks of anything that frames go to."""

from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from realtime_matting.frames import Frame

Kind = Literal["composite", "alpha", "foreground", "rgba"]
"""What is written: ``composite`` and ``foreground`` are RGB, ``alpha`` is grey, ``rgba`` has a straight alpha."""


class Sink(Protocol):
    """Takes pictures in the order of their time. The destination appears, complete, only when the sink is closed.

    Leaving the ``with`` normally closes the sink, leaving it by an exception aborts it.

    Attributes:
        warnings: one line for each thing that was left out or repaired on the way.
    """

    warnings: list[str]

    def write(self, image: NDArray[np.uint8], frame: Frame) -> None:
        """Append one picture; ``image`` is not kept after the call.

        Args:
            image: uint8, of the stream's size: (H, W, 3) RGB for composite and foreground, (H, W, 4) RGBA with
                straight alpha for rgba, (H, W) for alpha.
            frame: the frame it was made from; its ``pts`` and ``time_base`` are the picture's time.

        Raises:
            OutputError: it could not be written; the sink has been aborted.
            ValueError: the picture has another shape, its time is not later than the one before, or the sink is closed.
        """
        ...

    def close(self) -> None:
        """Complete the output and put it at its destination; calling it again is harmless.

        Raises:
            OutputError: it could not be completed, or no picture was written; what was there before is untouched.
        """
        ...

    def abort(self) -> None:
        """Throw away what was written; what was at the destination before is untouched. Never raises."""
        ...

    def finish_early(self) -> Path:
        """Complete what was written so far, for a run that is stopped before its end.

        Returns:
            Where it is: the destination if nothing was there when the sink was opened, else NAME.partial.EXT beside.

        Raises:
            OutputError: nothing was written yet, or it could not be completed.
            ValueError: the sink is closed.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
