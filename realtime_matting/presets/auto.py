"""The preset ``auto``: the best one that this machine is fast enough for."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice

from realtime_matting.compositing.backgrounds import open_background
from realtime_matting.defaults import DEFAULT_PRESET, PRESETS
from realtime_matting.engines import EngineName
from realtime_matting.machine import is_busy
from realtime_matting.presets.memory import Answer, machine_key, recall, remember
from realtime_matting.presets.opening import look_of, open_matter
from realtime_matting.presets.preset import Preset, load_presets
from realtime_matting.presets.speed import BACKGROUND, CLIP, RATE, SIZE, Rgb, endless_frames, fits, time_frames

_BUDGET = 3.0
"""Seconds in which to find out."""
_SETTLING = 2
"""Frames that are not judged: the first compiles the networks."""
_FEWEST, _FRAMES = 3, 10
"""Frames that are judged."""
_FOR_ANOTHER = 2.0
"""Seconds that must be left before another preset is tried."""
_MUCH_ROOM = 0.6
"""A better preset is tried where a frame takes at most this share of what it may; it takes about twice as long."""


def auto_preset(*, engine: EngineName, threads: int | None, say: Callable[[str], None]) -> str:
    """The name of the built-in preset for this machine: remembered, or else measured, which is said.

    What is measured beside other programs that keep the machine busy is good for now, and not remembered.

    Raises:
        MattingError: the networks cannot be run here.
    """
    key = machine_key(engine, threads)
    known = recall(key)
    if known is not None:
        return known.preset
    busy = is_busy()
    began = time.monotonic()
    answer = _measured(load_presets(), engine, threads, began + _BUDGET)
    taken = ", ".join(f"{name} {each:.0f} ms a frame" for name, each in answer.milliseconds.items())
    spent = time.monotonic() - began
    rest = "not remembered, for other programs are busy" if busy else "rtmatte bench measures longer"
    say(f"preset {answer.preset}: measured for {spent:.1f} s which one fits {RATE:.0f} fps here ({taken}); {rest}")
    if busy:
        return answer.preset
    try:
        remember(key, answer)
    except OSError as error:
        say(f"{error.filename}: cannot be written ({error.strerror}), so the next run will measure again")
    return answer.preset


def _until(until: float, frames: Iterable[Rgb]) -> Iterator[Rgb]:
    """A few frames at least, and more as long as there is time."""
    for number, frame in enumerate(frames):
        if number >= _FEWEST and time.monotonic() > until:
            return
        yield frame


def _measured(presets: dict[str, Preset], engine: EngineName, threads: int | None, until: float) -> Answer:
    """The default preset; a better one where there is much room and time to try it, a lighter one where it is slow."""
    milliseconds: dict[str, float] = {}
    with closing(open_background(BACKGROUND)) as background, closing(endless_frames(CLIP, SIZE)) as frames:

        def measure(name: str) -> float:
            with open_matter(presets[name], live=True, engine=engine, threads=threads) as matter:
                matter.warm_up(*SIZE)
                look = look_of(presets[name])
                time_frames(matter, look, background, islice(frames, _SETTLING))
                times = time_frames(matter, look, background, _until(until, islice(frames, _FRAMES)))
            # The lower quartile: what else runs now, such as the start of this program, slows most of the frames.
            milliseconds[name] = statistics.quantiles(times.frames, n=4)[0]
            return milliseconds[name]

        place = PRESETS.index(DEFAULT_PRESET)
        spent = measure(PRESETS[place])
        if not fits(spent):
            place = len(PRESETS) - 1
        elif fits(spent / _MUCH_ROOM) and until - time.monotonic() > _FOR_ANOTHER and fits(measure(PRESETS[place - 1])):
            place -= 1
    return Answer(PRESETS[place], milliseconds)
