"""Seconds spent in each named stage, summed over a run; safe to use from several threads."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Profile:
    """Adds up wall time by stage: ``with profile.stage("matting"): ...``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body of the ``with`` and add it to stage ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + spent
                self.calls[name] = self.calls.get(name, 0) + 1

    def milliseconds_per_call(self) -> dict[str, float]:
        """Mean milliseconds of each stage, in the order the stages first ran."""
        with self._lock:
            return {name: 1e3 * total / self.calls[name] for name, total in self.seconds.items()}
