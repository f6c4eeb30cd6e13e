"""Ctrl-C, SIGTERM, a closed terminal: they end the command, inside a run with a playable file."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = [number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
"""SIGHUP comes when the terminal is closed; Windows has none."""


class StopRequest(threading.Event):
    """Set by the first signal; ``exit_code`` is then 128 plus its number, as shells report it."""

    exit_code = 0


@contextmanager
def leave_on_signal() -> Iterator[None]:
    """Within the ``with``, a signal ends the command at once, ``with`` and ``finally`` blocks in between included."""

    def leave(number: int, frame: FrameType | None) -> None:
        del frame
        print("rtmatte: interrupted", file=sys.stderr)
        raise SystemExit(128 + number)

    with _handled_by(leave):
        yield


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Within the ``with``, the first signal sets the event given; a second one ends the command at once."""
    request = StopRequest()

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        if request.is_set():
            print("rtmatte: interrupted again, gave up at once", file=sys.stderr)
            raise SystemExit(128 + number)
        request.exit_code = 128 + number
        request.set()

    with _handled_by(stop):
        yield request


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # What the caller had ignored stays so: nohup does it with SIGHUP, a shell with SIGINT for a command with "&".
    heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
