"""Many files at once: threads, in a fixed order, with a progress bar."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from realtime_matting.sources.quiet import quiet_libraries

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """As many as there are cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int, title: str
) -> Iterator[Result]:
    """Results of ``function`` in the order of ``items``, whatever the number of threads.

    Threads, for decoding, scaling and encoding happen outside of Python's lock. If a call raises, the calls that have
    not begun are dropped and its error is raised here. What native libraries print about broken files is not shown.
    """
    # OpenCV's own threads would only compete with these.
    cv2.setNumThreads(1)
    with progress(title, len(items)) as advance, quiet_libraries(), ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in futures:
                yield future.result()
                advance()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr where that is a terminal; call what it yields after each item."""
    # A handle of its own, so that the bar is seen while native libraries are kept quiet.
    with os.fdopen(os.dup(2), "w") as stderr:
        console = Console(file=stderr)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        bar = Progress(
            *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=not console.is_terminal
        )
        with bar:
            task = bar.add_task(title, total=total)
            yield lambda: bar.advance(task)
