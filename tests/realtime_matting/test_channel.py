"""Channel: order, bound, and both ends waking when the other goes away."""

import threading
import time

import pytest

from realtime_matting.channel import Channel


def _run(target: object) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def test_items_come_out_in_order_and_end_with_close() -> None:
    channel: Channel[int] = Channel(2)

    def produce() -> None:
        for number in range(100):
            channel.put(number)
        channel.close()

    thread = _run(produce)
    assert list(channel) == list(range(100))
    thread.join(5)
    assert not thread.is_alive()


def test_never_more_than_its_capacity_is_waiting() -> None:
    channel: Channel[int] = Channel(2)
    handed_over: list[int] = []

    def produce() -> None:
        for number in range(10):
            if channel.put(number):
                handed_over.append(number)

    thread = _run(produce)
    time.sleep(0.1)
    assert handed_over == [0, 1]
    channel.cancel()
    thread.join(5)
    assert not thread.is_alive()
    assert handed_over == [0, 1]


def test_cancel_wakes_a_consumer_that_waits() -> None:
    channel: Channel[int] = Channel(2)
    received: list[int] = []
    thread = _run(lambda: received.extend(channel))
    channel.cancel()
    thread.join(5)
    assert not thread.is_alive()
    assert received == []


def test_the_consumer_is_told_the_error_of_the_producer() -> None:
    channel: Channel[int] = Channel(2)
    channel.cancel(ValueError("first"))
    channel.cancel(ValueError("second"))
    with pytest.raises(ValueError, match="first"):
        list(channel)


def test_a_closed_channel_takes_nothing_more() -> None:
    channel: Channel[int] = Channel(2)
    assert channel.put(1)
    channel.close()
    assert not channel.put(2)
    assert list(channel) == [1]
