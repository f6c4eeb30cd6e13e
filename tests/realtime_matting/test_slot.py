"""The slot between two stages."""

import threading
import time

from realtime_matting.slot import Slot


def test_only_the_newest_waits_and_what_it_displaced_is_told() -> None:
    slot: Slot[int] = Slot()
    assert not slot.put(1)
    assert slot.put(2)
    assert slot.take(0) == 2
    assert slot.take(0) is None


def test_who_waits_is_woken_by_an_item_and_by_the_end() -> None:
    slot: Slot[int] = Slot()
    threading.Timer(0.05, slot.put, (7,)).start()
    began = time.monotonic()
    assert slot.take(5) == 7
    threading.Timer(0.05, slot.close).start()
    assert slot.take(5) is None
    assert time.monotonic() - began < 3
