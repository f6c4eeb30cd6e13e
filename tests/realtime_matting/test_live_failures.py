"""When mattes that fail are told, and when they end a run."""

import time

import pytest

from realtime_matting.errors import EngineError
from realtime_matting.live_failures import Failures

LOST = EngineError("the device was lost")


def test_a_row_of_failures_is_told_once_and_the_next_row_again() -> None:
    said: list[str] = []
    failures = Failures(said.append)
    failures.failed(LOST)
    failures.failed(LOST)
    assert said == ["a frame could not be matted (the device was lost); the last good picture stays"]
    failures.succeeded(time.monotonic())
    failures.failed(LOST)
    assert len(said) == 2


def test_a_frame_begun_before_another_failed_does_not_end_the_row() -> None:
    said: list[str] = []
    failures = Failures(said.append)
    began = time.monotonic()
    failures.failed(LOST)
    failures.succeeded(began)
    failures.failed(LOST)
    assert len(said) == 1


def test_a_row_that_lasts_too_long_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_matting.live_failures._GIVE_UP", -1.0)
    failures = Failures(lambda text: None)
    with pytest.raises(EngineError, match="the device was lost"):
        failures.failed(LOST)


def test_after_a_failure_the_track_is_lost_until_somebody_begins_anew() -> None:
    failures = Failures(lambda text: None)
    assert not failures.lost_track.is_set()
    failures.failed(LOST)
    failures.succeeded(time.monotonic())
    assert failures.lost_track.is_set()
