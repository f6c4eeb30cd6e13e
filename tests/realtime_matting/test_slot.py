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


def test_who_asks_first_begins_only_when_what_he_made_before_is_taken() -> None:
    slot: Slot[int] = Slot()
    assert slot.wait_empty(0)
    slot.put(1)
    assert not slot.wait_empty(0.01)
    threading.Timer(0.05, slot.take, (0,)).start()
    began = time.monotonic()
    assert slot.wait_empty(5)
    slot.put(2)
    threading.Timer(0.05, slot.close).start()
    assert not slot.wait_empty(5)
    assert time.monotonic() - began < 3
    assert slot.take(0) == 2
