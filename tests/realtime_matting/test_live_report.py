"""Counts and percentiles of a live run."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.live_report import Latencies, Tally


@given(st.lists(st.floats(0, 1.9), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_percentiles_are_those_of_the_sorted_values_to_half_a_millisecond(values: list[float], share: float) -> None:
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    exact = 1e3 * float(np.quantile(values, share, method="inverted_cdf"))
    assert exact - 1e-6 <= latencies.percentile(share) <= exact + 0.5 + 1e-6


def test_very_long_latencies_are_not_lost() -> None:
    latencies = Latencies()
    for seconds in (0.01, 0.01, 7.0):
        latencies.add(seconds)
    assert latencies.percentile(0.5) <= 10.5
    assert latencies.percentile(1.0) == 7000


def test_without_a_frame_there_is_a_report() -> None:
    report = Tally().report(0.0, {}, ())
    assert report.fps == 0
    assert report.lines()[0] == "0.0 s: captured 0, shown 0 (0.0 fps), dropped 0"
    assert len(report.lines()) == 2


def test_the_report_tells_what_went_wrong_only_where_it_did() -> None:
    tally = Tally()
    tally.count("captured", 3)
    tally.shown(0.05)
    tally.count("reconnects")
    report = tally.report(2.0, {}, ())
    assert report.lines() == [
        "2.0 s: captured 3, shown 1 (0.5 fps), dropped 0",
        "latency from capture to output in ms: p50 50, p95 50, p99 50, max 50",
        "reconnects 1",
    ]
