"""Memory of pictures that comes and goes with every frame, kept by the process."""

import contextlib
import ctypes
import functools
import sys

# Of glibc's malloc.h: parameters of mallopt, the largest value it takes for the second, and "never" for the first.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAPS, _ARENAS = -1, -3, -4, -8
_LARGEST_MMAP_THRESHOLD = 32 * 2**20
_NEVER = -1
_KEPT = 256 * 2**20


@functools.cache
def keep_freed_memory(*, without_limit: bool = False) -> bool:
    """Have the C library keep what is freed for the next frame, instead of giving it back to the system.

    glibc asks the system for each large block and returns it when it is freed, so that every picture of every frame is
    mapped and cleared anew, page by page: 2400 pages in the filters of a 1280×720 frame alone, a quarter of their
    time. Other C libraries are left as they are. It holds for the whole process, once and for all; what is kept in
    reserve is 256 MiB at most. There is one heap for all threads: where each has its own, what one frees is of no use
    to the next, and a live run grew by 70 MiB in its first minute (by 20 with one).

    Args:
        without_limit: keep blocks of any size, and all of them: for training, whose blocks are larger and come back
            with every step.

    Returns:
        Whether the C library took it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # no such function: musl
        return False
    wanted = [(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), (_TRIM_THRESHOLD, _KEPT), (_ARENAS, 1)]
    if without_limit:
        wanted[:2] = [(_MMAPS, 0), (_TRIM_THRESHOLD, _NEVER)]
    return all([bool(mallopt(parameter, value)) for parameter, value in wanted])


def give_back_freed_memory() -> None:
    """Have the C library return to the system what it keeps, once; for after something large was freed for good."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):  # no such function: musl
        ctypes.CDLL(None).malloc_trim(0)
