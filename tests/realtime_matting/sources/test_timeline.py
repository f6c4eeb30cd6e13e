"""Timeline: exact where stamps are good, strictly increasing whatever comes."""

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.sources.timeline import Timeline

stamps = st.one_of(st.none(), st.integers(-(2**40), 2**40), st.integers(0, 500))
time_bases = st.sampled_from([Fraction(1, 25), Fraction(1, 1000), Fraction(1, 90000), Fraction(1001, 30000)])
rates = st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(60), Fraction(1, 2)])


@given(st.lists(st.tuples(stamps, stamps), min_size=1, max_size=60), time_bases, rates)
def test_time_always_moves_forward(
    given_stamps: list[tuple[int | None, int | None]], time_base: Fraction, rate: Fraction
) -> None:
    timeline = Timeline(time_base, rate)
    placed = [timeline.place(pts, dts) for pts, dts in given_stamps]
    assert all(later > earlier for earlier, later in pairwise(placed))
    assert timeline.filled == given_stamps.count((None, None))


@given(st.sets(st.integers(-(2**40), 2**40), min_size=1), time_bases, rates)
def test_increasing_stamps_are_kept_exactly(stamps: set[int], time_base: Fraction, rate: Fraction) -> None:
    timeline = Timeline(time_base, rate)
    assert [timeline.place(pts) for pts in sorted(stamps)] == sorted(stamps)
    assert timeline.repaired == timeline.filled == 0


def test_missing_stamps_do_not_drift() -> None:
    timeline = Timeline(Fraction(1, 1000), Fraction(30000, 1001))
    placed = [timeline.place(None) for _ in range(3001)]
    assert placed[3000] == round(3000 * Fraction(1001, 30))


def test_missing_stamps_between_good_ones_are_one_frame_apart() -> None:
    timeline = Timeline(Fraction(1, 1000), Fraction(25))
    assert [timeline.place(pts) for pts in (100, None, None, 220)] == [100, 140, 180, 220]


def test_one_misplaced_stamp_does_not_shift_the_rest() -> None:
    timeline = Timeline(Fraction(1, 1000), Fraction(25))
    assert [timeline.place(pts) for pts in (0, 40, 30, 120, 160)] == [0, 40, 41, 120, 160]
    assert timeline.repaired == 1


def test_a_second_recording_goes_on_where_the_first_ended() -> None:
    timeline = Timeline(Fraction(1, 1000), Fraction(25))
    assert [timeline.place(pts) for pts in (9000, 9040, 0, 40, 80)] == [9000, 9040, 9080, 9120, 9160]
    assert timeline.repaired == 1


def test_the_decoding_stamp_stands_in_where_the_other_steps_back() -> None:
    """As FFmpeg gives them for H.264 with B-frames in AVI."""
    timeline = Timeline(Fraction(1, 25), Fraction(25))
    given = [(1, 2), (2, 3), (4, 4), (5, 5), (3, 6), (6, 7), (8, 8), (9, 9), (7, 10), (None, 11)]
    assert [timeline.place(pts, dts) for pts, dts in given] == [1, 2, 4, 5, 6, 7, 8, 9, 10, 11]
    assert timeline.repaired == timeline.filled == 0
