"""``rtmatte bench``: presets in turn, a table, and an answer that is remembered."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from realtime_matting.cli import bench_job
from realtime_matting.cli.bench_job import Figures, table, verdict
from realtime_matting.defaults import PRESETS
from realtime_matting.presets.memory import machine_key, recall
from realtime_matting.presets.speed import Times

Rtmatte = Callable[..., CompletedProcess[str]]


@pytest.fixture(autouse=True)
def short_turns_and_own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(bench_job, "_LIVE", 0.15)
    monkeypatch.setattr(bench_job, "_ENCODED", 0.15)


def test_presets_are_measured_in_processes_of_their_own(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(f"model: {green_bundle}\n")
    second.write_text(f"model: {green_bundle}\nforeground: frame\n")
    words = ("--preset", first, "--preset", second, "--clip", video, "--size", "160x120", "--engine", "openvino")
    done = rtmatte("bench", *words, "--rounds", 2)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("; 160x120, 2 rounds in turn")
    assert lines[1].startswith("green-people 1.0.0 on OpenVINO")
    rows = {line.split()[0]: [float(cell) for cell in line.split()[1:]] for line in lines[3:5]}
    assert set(rows) == {str(first), str(second)}
    for fps, median, slow, networks, encoded, resident in rows.values():
        # The median of the networks' times is not that of the same frame: at this size the rest is next to nothing.
        assert 0 < networks <= slow
        assert median <= slow
        assert fps > 1
        assert encoded > 1
        assert 50 < resident < 1000
    assert "30 fps here" in lines[5]
    assert len(lines) == 6
    # These are not the presets that auto chooses from.
    assert not (tmp_path / "cache" / "rtmatte" / "presets.json").exists()


def test_a_model_that_is_not_there_is_told_in_one_line(rtmatte: Rtmatte, tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("model: nothing\n")
    done = rtmatte("bench", "--preset", preset)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [done.stderr.strip()]
    assert "nothing: no such model or folder" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--size", "big"), "--size big: is not WIDTHxHEIGHT"),
        (("--size", "1281x720"), "needs an even width and height"),
        (("--clip", "missing.mp4"), "missing.mp4"),
        (("--preset", "best"), "best: no such preset"),
    ],
)
def test_bad_options_are_told_before_anything_is_measured(rtmatte: Rtmatte, words: tuple[str, ...], said: str) -> None:
    done = rtmatte("bench", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_answer_for_the_three_presets_is_remembered(rtmatte: Rtmatte, monkeypatch: pytest.MonkeyPatch) -> None:
    milliseconds = {"quality": 50.0, "balanced": 25.0, "fast": 12.5}
    figures = {
        name: Figures(Times([spent] * 4, [spent / 2] * 4), [spent], [20.0], 300.0)
        for name, spent in milliseconds.items()
    }
    monkeypatch.setattr(bench_job, "_measure", lambda *words: (figures, ["a model on an engine"]))
    monkeypatch.setattr(bench_job, "is_busy", lambda: True)
    assert "are not remembered" in rtmatte("bench").stderr
    assert recall(machine_key("auto", None)) is None
    monkeypatch.setattr(bench_job, "is_busy", lambda: False)
    done = rtmatte("bench")
    assert done.returncode == 0, done.stderr
    assert "--preset auto takes balanced from now on" in done.stdout
    answer = recall(machine_key("auto", None))
    assert answer is not None
    assert answer.preset == "balanced"
    assert answer.milliseconds == milliseconds


def test_the_table_has_a_line_for_each_and_the_verdict_names_the_best() -> None:
    figures = {
        name: Figures(Times([10.0, 20.0, 30.0], [5.0, 6.0, 7.0]), [20.0, 30.0, 20.0], [40.0], 256.4) for name in PRESETS
    }
    lines = table(figures).splitlines()
    assert lines[1].split() == ["quality", "50.0", "20.0", "20.0", "6.0", "40.0", "256"]
    assert verdict({"quality": 60.0, "balanced": 20.0, "fast": 10.0}).startswith(
        "balanced is the best preset that fits"
    )
    assert verdict({"quality": 60.0, "fast": 40.0}).startswith("none fits 30 fps here")
    assert "fast comes nearest, with 25 fps" in verdict({"quality": 60.0, "fast": 40.0})
