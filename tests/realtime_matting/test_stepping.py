"""When a preset steps down, and when up again."""

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from realtime_matting.stepping import Stepper

NAMES = ["quality", "balanced", "fast"]
PERIOD = 1 / 30


class Machine:
    """A machine on which a frame of each preset takes its own time; frames come at 30 per second."""

    def __init__(self, stepper: Stepper, seconds: dict[str, float]) -> None:
        self.stepper = stepper
        self.seconds = seconds
        self.now = 0.0
        self.changes: list[tuple[float, str]] = []

    def work(self, duration: float) -> None:
        end = self.now + duration
        while self.now < end:
            spent = self.seconds[self.stepper.name]
            self.now += max(spent, PERIOD)
            change = self.stepper.observe(self.now, (spent,))
            if change is not None:
                self.changes.append((self.now, change))


def test_a_preset_that_keeps_the_pace_without_room_to_spare_stays() -> None:
    machine = Machine(Stepper(NAMES, "balanced", PERIOD), {"quality": 0.05, "balanced": 0.025, "fast": 0.01})
    machine.work(300)
    assert machine.changes == []


def test_a_preset_that_is_too_slow_gives_way_within_three_seconds() -> None:
    machine = Machine(Stepper(NAMES, "balanced", PERIOD), {"quality": 0.1, "balanced": 0.05, "fast": 0.02})
    machine.work(3)
    assert machine.stepper.name == "fast"
    assert machine.changes[0][1] == "preset balanced → fast: a frame takes 50 ms of 33"


def test_the_last_preset_stays_when_it_is_too_slow_as_well() -> None:
    machine = Machine(Stepper(NAMES, "fast", PERIOD), {"quality": 0.3, "balanced": 0.2, "fast": 0.1})
    machine.work(60)
    assert machine.changes == []


def test_a_burden_that_goes_away_is_noticed() -> None:
    seconds = {"quality": 0.08, "balanced": 0.05, "fast": 0.025}
    machine = Machine(Stepper(NAMES, "balanced", PERIOD), seconds)
    machine.work(10)
    assert machine.stepper.name == "fast"
    machine.seconds = {"quality": 0.04, "balanced": 0.025, "fast": 0.0125}
    machine.work(15)
    assert machine.stepper.name == "balanced"


def test_going_to_and_fro_becomes_rarer() -> None:
    # Easy at "fast", too slow at "balanced": nothing in between exists.
    machine = Machine(Stepper(NAMES, "fast", PERIOD), {"quality": 0.1, "balanced": 0.05, "fast": 0.01})
    machine.work(600)
    tries = [when for when, change in machine.changes if "→ balanced" in change]
    gaps = [after - before for before, after in itertools.pairwise(tries)]
    assert len(tries) <= 8
    assert gaps == sorted(gaps)
    assert machine.stepper.name == "fast" or machine.now - machine.changes[-1][0] < 5


def test_a_cheaper_preset_is_wanted_at_the_first_trouble_and_taken_when_it_is_ready() -> None:
    ready = {"balanced"}
    stepper = Stepper(NAMES, "balanced", PERIOD, ready.__contains__)
    machine = Machine(stepper, {"quality": 0.1, "balanced": 0.05, "fast": 0.02})
    machine.work(1.0)
    assert stepper.wanted == "fast"
    machine.work(5.0)
    assert machine.changes == []
    ready.add("fast")
    machine.work(0.2)
    assert stepper.name == "fast"


def test_a_dearer_preset_is_wanted_after_the_calm_and_taken_when_it_is_ready() -> None:
    ready = {"fast"}
    stepper = Stepper(NAMES, "fast", PERIOD, ready.__contains__)
    machine = Machine(stepper, {"quality": 0.1, "balanced": 0.025, "fast": 0.01})
    machine.work(5.0)
    assert stepper.wanted is None
    machine.work(5.0)
    assert stepper.wanted == "balanced"
    assert machine.changes == []
    ready.add("balanced")
    stepper.disturb()  # its networks were compiled: the frames meanwhile say nothing, but the calm still counts
    machine.work(2.5)
    assert stepper.name == "balanced"


def test_frames_that_something_else_slowed_are_not_judged() -> None:
    stepper = Stepper(NAMES, "balanced", PERIOD)
    machine = Machine(stepper, {"quality": 0.1, "balanced": 0.05, "fast": 0.01})
    for _ in range(20):
        machine.work(1.5)
        stepper.disturb()
    assert machine.changes == []


def test_the_first_frames_after_a_change_do_not_count() -> None:
    stepper = Stepper(NAMES, "balanced", PERIOD)
    for number in range(3):
        assert stepper.observe(number * 2.0, (2.0,)) is None
    machine = Machine(stepper, {"quality": 0.1, "balanced": 0.025, "fast": 0.01})
    machine.now = 6.0
    machine.work(30)
    assert machine.changes == []


def judged(stages: tuple[float, ...], period: float = PERIOD) -> str:
    """The preset after ten seconds of such frames with the second of three."""
    stepper = Stepper(NAMES, "balanced", period)
    for number in range(round(10 / period)):
        stepper.observe(number * period, stages)
        if stepper.name != "balanced":
            break
    return stepper.name


def test_stages_that_overlap_are_judged_by_the_longest_and_not_by_their_sum() -> None:
    assert judged((0.025, 0.025)) == "balanced"
    assert judged((0.005, 0.036)) == judged((0.036, 0.005)) == "fast"
    assert judged((0.012, 0.012)) == "quality"
    assert judged((0.010, 0.030)) == "balanced"  # much room in one stage is none


def test_stages_that_together_make_a_picture_too_late_are_too_slow_though_each_keeps_pace() -> None:
    assert judged((0.030, 0.030)) == "balanced"
    assert judged((0.060, 0.045), period=1 / 15) == "fast"
    assert judged((0.045, 0.020), period=1 / 15) == "balanced"
    assert judged((0.060, 0.045), period=1 / 8) == "balanced"  # of which the camera alone makes more


@given(st.lists(st.floats(0.001, 0.2), min_size=1, max_size=4), st.floats(0.005, 0.2))
def test_one_stage_alone_is_judged_by_the_period(stages: list[float], period: float) -> None:
    one = max(stages)
    assume(not 0.39 < one / period < 0.41 and not 0.94 < one / period < 0.96)
    after = judged((one,), period)
    assert after == ("fast" if one > 0.95 * period else "quality" if one < 0.4 * period else "balanced")
    assert NAMES.index(judged(tuple(stages), period)) >= NAMES.index(after)  # more stages never look easier


@pytest.mark.parametrize("start", NAMES)
@given(times=st.lists(st.floats(0.001, 0.3), min_size=1, max_size=400))
def test_whatever_the_times_the_preset_moves_one_step_at_a_time(start: str, times: list[float]) -> None:
    stepper = Stepper(NAMES, start, PERIOD)
    now, index = 0.0, NAMES.index(start)
    for spent in times:
        now += max(spent, PERIOD)
        change = stepper.observe(now, (spent,))
        after = NAMES.index(stepper.name)
        assert abs(after - index) == (change is not None)
        index = after
