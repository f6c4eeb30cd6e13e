"""What the pipeline asks of anything that frames come from."""

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from realtime_matting.frames import Frame, StreamInfo


class Source(Protocol):
    """Yields the frames of ONE stream, once, in the order they are shown; all of one size, pts strictly increasing.

    Attributes:
        info: what is known before the first frame is read.
        warnings: one line for each thing that had to be repaired or left out; complete once the frames have ended.
    """

    info: StreamInfo
    warnings: list[str]

    def __iter__(self) -> Iterator[Frame]:
        """The frames. A second ``iter()`` goes on where the first stopped, like a file."""
        ...

    def close(self) -> None:
        """Free what the source holds; calling it twice is harmless."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
