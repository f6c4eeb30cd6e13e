"""A short bounded queue between two threads that can be closed from either end.

``queue.Queue`` has no way to wake a thread that waits at one end when the other end has died (``shutdown`` came with
Python 3.13), and a pipeline needs just that to leave no thread behind.
"""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """One producer calls ``put`` and then ``close``; one consumer iterates; either may ``cancel``."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Wait for room and hand ``item`` over; False, at once, when the channel is closed or cancelled."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """No more items will come; the consumer still gets those handed over so far."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def cancel(self, error: BaseException | None = None) -> None:
        """Drop what is waiting and end both sides; ``error`` is kept for the other side (the first one counts)."""
        with self._changed:
            self._items.clear()
            self._closed = True
            self._error = self._error or error
            self._changed.notify_all()

    def raise_error(self) -> None:
        """Raise what ``cancel`` was given, if anything."""
        if self._error is not None:
            raise self._error

    def __iter__(self) -> Iterator[T]:
        """Items in order, until the channel is closed and empty; raises what ``cancel`` was given."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._items)
                if not self._items:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
        self.raise_error()
