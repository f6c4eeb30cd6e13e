"""Candidates and the front of `benchmarks/pareto.py`."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from pareto import Candidate, front, parse_candidate

numbers = st.floats(0, 100, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "candidate"),
    [
        ("shm-balanced", Candidate("shm-balanced", "shm-balanced", None)),
        ("out/bundle@384:640", Candidate("out/bundle@384:640", "out/bundle", (384, 640))),
        ("wide=out/bundle@384:640", Candidate("wide", "out/bundle", (384, 640))),
    ],
)
def test_a_candidate_is_a_bundle_maybe_named_and_at_other_sizes(text: str, candidate: Candidate) -> None:
    assert parse_candidate(text) == candidate


@pytest.mark.parametrize("text", ["", "a@384", "a@384:", "a=b=c", "@1:2"])
def test_anything_else_is_no_candidate(text: str) -> None:
    with pytest.raises(InputError, match="a candidate is"):
        parse_candidate(text)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
def test_the_front_holds_what_nothing_beats(points: list[tuple[float, float]]) -> None:
    chosen = front(points)
    for index in chosen:
        cost, error = points[index]
        assert not any((c < cost and e <= error) or (c <= cost and e < error) for c, e in points)
    for cost, error in points:
        assert any(points[i][0] <= cost and points[i][1] <= error for i in chosen)
