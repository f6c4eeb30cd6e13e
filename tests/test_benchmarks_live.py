"""The figures of `benchmarks/live.py`, by hand and of one short run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import live
from live import Run, Sample, line, slowest


def run(busy: bool = False) -> Run:
    return Run("none", busy, True, "balanced", Path("clip.mp4"), (1280, 720), 30.0, 10.0)


def samples(rate: float, *, seconds: int = 10, p95: float = 40.0, stale: int = 0, growth: float = 0.0) -> list[Sample]:
    """One a second; memory grows all the time."""
    return [
        Sample(
            time=100.0 + second,
            status={
                "shown": round(rate * second),
                "dropped": 3,
                "stale": stale * (second > 0),
                "preset": "balanced" if second < 5 else "fast",
                "latency_ms": {"p50": 30.0, "p95": p95, "p99": 60.0},
            },
            memory=300 + growth * second,
            cpu=0.8 * second,
            machine=1.9 * second,
        )
        for second in range(seconds + 1)
    ]


def test_a_run_that_meets_its_bar() -> None:
    row = line(run(), samples(30), 1.5, ["preset balanced → fast: a frame takes 39 ms of 33"], None)
    assert row["bar"] == "met"
    assert row["fps"] == "30.0"
    assert row["cores"] == "0.80"
    assert row["others"] == "1.10"
    assert row["memory MiB"] == "300 → 300"
    assert row["preset"] == "balanced, may step"
    assert row["stepped"] == "preset balanced → fast: a frame takes 39 ms of 33"


@pytest.mark.parametrize(
    ("busy", "told", "bar"),
    [
        (False, {"rate": 29}, "missed: 29.0 fps"),
        (True, {"rate": 29, "p95": 90}, "met"),
        (True, {"rate": 23.5}, "missed: 23.5 fps"),
        (False, {"rate": 30, "p95": 71}, "missed: p95 71 ms"),
        (False, {"rate": 30, "stale": 2}, "missed: 2 stale"),
        (True, {"rate": 30, "growth": 4}, "missed: memory +20 MiB"),
    ],
)
def test_what_a_run_misses_is_named(busy: bool, told: dict[str, float], bar: str) -> None:
    assert line(run(busy), samples(**told), 1.5, [], None)["bar"] == bar  # type: ignore[arg-type]


def test_the_slowest_stretch_is_found() -> None:
    steady = samples(30, seconds=20)
    assert slowest(steady) == 30
    slow = [
        Sample(each.time, {**each.status, "shown": each.status["shown"] - 20 * min(5, max(0, index - 8))}, 0, 0, 0)
        for index, each in enumerate(steady)
    ]
    assert slowest(slow) == 10


def test_a_short_run_is_measured(
    green_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(live.os, "sched_setaffinity", lambda *words: None)  # this process has more to do after it
    out = tmp_path / "figures.md"
    words = ["--seconds", "1", "--size", "128x72", "--output", "none", "--busy", "no", "--model", str(green_bundle)]
    assert live.main([*words, "--fixed", "--out", str(out)]) in (0, 1)
    *_, head, _, row = ([cell.strip() for cell in text.split("|")] for text in out.read_text().splitlines())
    figures = dict(zip(head, row, strict=True))
    assert float(figures["fps"]) > 0
    assert figures["stepped"] == "no"
    assert f"| {figures['fps']} " in capsys.readouterr().out
