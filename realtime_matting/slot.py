"""One place between two threads in which only the newest thing waits."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """The producer need not wait, the consumer never gets anything but the newest.

    A queue, however short, adds the time its items wait to the latency; here what is late is replaced instead.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._closed = False

    def put(self, item: T) -> bool:
        """Leave ``item`` for the consumer; True where it displaced one that was never taken."""
        with self._changed:
            displaced = self._item is not None
            self._item = item
            self._changed.notify_all()
            return displaced

    def take(self, timeout: float) -> T | None:
        """The newest item, waited for up to ``timeout`` seconds; None when there is none, or after ``close``."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
            self._changed.notify_all()
            return item

    def wait_empty(self, timeout: float) -> bool:
        """Whether nothing waits here, for which up to ``timeout`` seconds are waited; after ``close`` not at all.

        The only producer that asks this before it begins its work displaces nothing, and begins with what is the newest
        by then: work is neither thrown away nor does it grow old in a queue.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._item is None or self._closed, timeout)
            return self._item is None

    def close(self) -> None:
        """Wake whoever waits; what is here can still be taken, and nobody waits any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
