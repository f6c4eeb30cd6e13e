"""Keeping what native libraries print out of the user's terminal."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within the ``with``, nothing reaches the process's stderr.

    libpng and libjpeg write there by themselves, and have no setting against it; OpenCV's own log joins them. Not for
    long stretches: what other threads print meanwhile is lost as well.
    """
    try:
        kept = os.dup(2)
    except OSError:  # closed: nothing can be printed
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
