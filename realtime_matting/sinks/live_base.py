"""What the live pipeline asks of anything that its pictures go to."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class LiveSink(Protocol):
    """Takes pictures as they come; never waits long.

    Attributes:
        name: what people call it.
        private: only the user sees it, so that views for the user alone may be shown there.
    """

    name: str
    private: bool

    def send(self, rgb: NDArray[np.uint8], time: float) -> None:
        """Put one picture out.

        Args:
            rgb: uint8 (height, width, 3), of the size the sink was opened for; not kept after the call.
            time: ``time.monotonic()`` of the picture, never before that of the last one.

        Raises:
            OutputError: it cannot be, and will not be later.
        """
        ...

    def watched(self) -> bool:
        """Whether anybody sees what is sent; True where that cannot be told."""
        ...

    def close(self) -> None:
        """Release what the sink holds; calling it twice is harmless.

        Raises:
            OutputError: what was written could not be completed.
        """
        ...
