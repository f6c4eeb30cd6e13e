"""What a run tells people: a progress bar, a table of stages, the memory in use."""

import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realtime_matting.pipeline import RunReport

_MEMORY_CHECK_FRAME = 500
"""Late enough for every buffer to be in place: memory that still grows after it is a leak."""


def say(text: str) -> None:
    """A line about the run, on stderr, so that stdout holds results only."""
    print(f"rtmatte: {text}", file=sys.stderr)


def resident_mebibytes() -> float:
    """Memory this process holds now, in MiB; where the system does not tell, the most it ever held; 0 on Windows."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class MemoryLog:
    """Resident memory at the start, at frame 500 and at the end of a run."""

    def __init__(self) -> None:
        self._readings = [("start", resident_mebibytes())]

    def frame_done(self, frames: int) -> None:
        """To be called with the number of frames so far."""
        if frames == _MEMORY_CHECK_FRAME:
            self._readings.append((f"frame {frames}", resident_mebibytes()))

    def line(self) -> str:
        """One line with all readings; reads the memory in use a last time."""
        readings = [*self._readings, ("end", resident_mebibytes())]
        return "memory (RSS): " + ", ".join(f"{mebibytes:.0f} MiB at {when}" for when, mebibytes in readings)


@contextmanager
def progress_bar(total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr with frames per second, gone at the end; nothing at all where stderr is no terminal.

    Args:
        total: frames expected, None where unknown.

    Yields:
        What to call with the number of frames so far.
    """
    if not sys.stderr.isatty():
        yield lambda frames: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[fps]} fps"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4) as progress:
        task: TaskID = progress.add_task("frames", total=total, fps="–")

        def update(frames: int) -> None:
            speed = progress.tasks[0].speed
            progress.update(task, completed=frames, fps=f"{speed:.1f}" if speed else "–")

        yield update


def stage_table(report: "RunReport") -> str:
    """Milliseconds per frame of each stage, and frames per second in all."""
    rows = [(name, f"{milliseconds:.2f}") for name, milliseconds in report.milliseconds.items()]
    rows.append(("all, overlapped", f"{1e3 * report.seconds / max(report.frames, 1):.2f}"))
    table = format_table(("stage", "ms/frame"), rows, right_aligned={1})
    return f"{table}\n{report.frames} frames in {report.seconds:.2f} s: {report.fps:.1f} fps"


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], right_aligned: Collection[int] = ()) -> str:
    """Plain columns, as wide as their widest cell."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]

    def aligned(line: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if column in right_aligned else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(aligned(line) for line in lines)
