"""What is seen of frames before the networks look, and one frame ahead of them."""

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting import Matter
from realtime_matting.errors import InputError
from realtime_matting.frames import Frame
from realtime_matting.matting.networks import Networks
from realtime_matting.matting.watching import Seen, Watcher, seen_ahead
from realtime_matting.matting.window import SQUARE, Window
from realtime_matting.tiles import Rectangle

Rgb = NDArray[np.uint8]


def frames(count: int, width: int = 256) -> list[Frame]:
    """A green disc that goes to the right before a room."""
    room = cv2.resize(np.random.default_rng(0).integers(90, 170, (18, 32, 3), np.uint8), (width, 144))
    shots = []
    for number in range(count):
        rgb = room.copy()
        cv2.circle(rgb, (90 + 2 * number, 80), 40, (30, 220, 40), -1, cv2.LINE_AA)
        shots.append(Frame(rgb, number, Fraction(1, 30), 0))
    return shots


def watcher(networks: Networks) -> Callable[[Rgb], Seen]:
    """Sees whole frames."""
    watch = Watcher()
    return lambda rgb: watch(rgb, Window.whole(rgb.shape[:2]), networks)


def test_the_first_frame_and_one_of_another_size_have_no_motion(green_networks: Networks) -> None:
    see = watcher(green_networks)
    seen = [see(frame.rgb) for frame in [*frames(2), *frames(2, width=192)]]
    assert [one.motion is None for one in seen] == [True, False, True, False]
    assert all(one.milliseconds > 0 for one in seen)


def test_the_first_frame_of_another_window_has_no_motion(green_networks: Networks) -> None:
    watch = Watcher()
    left, right = (Window((144, 256), Rectangle(0, 144, x, x + 144), SQUARE) for x in (0, 112))
    networks = green_networks.sized(SQUARE.sized(green_networks.roles))
    seen = [
        watch(frame.rgb, window, networks) for frame, window in zip(frames(4), (left, left, right, right), strict=True)
    ]
    assert [one.motion is None for one in seen] == [True, False, True, False]
    assert [one.window for one in seen] == [left, left, right, right]


@pytest.mark.parametrize("count", [0, 1, 6])
def test_a_stream_seen_ahead_is_matted_as_one_that_is_seen_frame_by_frame(green_bundle: Path, count: int) -> None:
    given = frames(count)
    with (
        Matter(green_bundle, threads=1, reuse=True) as ahead,
        Matter(green_bundle, threads=1, reuse=True) as one_by_one,
    ):
        made = [(frame.pts, matte) for frame, matte in ahead.stream(given)]
        assert [pts for pts, _ in made] == list(range(count))
        for frame, (_, matte) in zip(given, made, strict=True):
            expected = one_by_one(frame.rgb)
            assert matte.why == expected.why
            np.testing.assert_array_equal(matte.alpha, expected.alpha)
            assert matte.milliseconds["motion"] > 0


def test_the_next_frame_is_seen_while_this_one_is_in_use(green_networks: Networks) -> None:
    watch, second, me = watcher(green_networks), threading.Event(), threading.get_ident()
    seen_in = []

    def see(rgb: Rgb):
        seen_in.append(threading.get_ident())
        if len(seen_in) == 2:
            second.set()
        return watch(rgb)

    stream = seen_ahead(frames(3), see)
    first, _ = next(stream)
    assert first.pts == 0
    assert second.wait(10), "the second frame is seen although nobody has asked for it yet"
    assert [frame.pts for frame, _ in stream] == [1, 2]
    assert me not in seen_in
    assert len(set(seen_in)) == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rtmatte motion")]


def test_closing_early_leaves_no_thread(green_networks: Networks) -> None:
    stream = seen_ahead(frames(5), watcher(green_networks))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rtmatte motion")]


def test_what_the_source_and_the_eyes_raise_comes_out(green_bundle: Path) -> None:
    def broken() -> Iterator[Frame]:
        yield from frames(2)
        raise OSError("the disk is gone")

    with Matter(green_bundle, threads=1, reuse=True) as matter:
        came = matter.stream(broken())
        with pytest.raises(OSError, match="the disk is gone"):
            assert [frame.pts for frame, _ in came] == [0]
        tiny = Frame(np.zeros((4, 4, 3), np.uint8), 0, Fraction(1, 30), 0)
        with pytest.raises(InputError, match="at least 16 pixels"):
            list(matter.stream([tiny]))
