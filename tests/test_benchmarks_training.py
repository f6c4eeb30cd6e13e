"""The benchmarks of training run on a CPU, on toy data, and their figures agree with each other."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def toy_file(tmp_path: Path) -> Path:
    """A configuration of one small phase, and its data: a disc before noise."""
    for name in ("people", "backgrounds"):
        (tmp_path / name).mkdir()
    rgba = np.full((64, 64, 4), 200, np.uint8)
    rgba[..., 3] = cv2.GaussianBlur(cv2.circle(np.zeros((64, 64), np.uint8), (32, 32), 20, 255, -1), (0, 0), 2)
    cv2.imwrite(str(tmp_path / "people/disc.png"), rgba)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "backgrounds/noise.png"), noise)
    phase = {"steps": 100, "batch_size": 4, "accumulate": 2, "learning_rate": 1e-3, "crop": 32}
    data = {
        "foregrounds": [{"path": str(tmp_path / "people")}],
        "backgrounds": [{"path": str(tmp_path / "backgrounds")}],
    }
    config = {"network": "shm-mobile", "workers": 0, "holdout": 0.0, "data": data, "phases": {"m_net": phase}}
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module(name)


@pytest.mark.parametrize("resident", ["true", "false"])
def test_a_training_step_is_taken_apart(toy_file: Path, monkeypatch: pytest.MonkeyPatch, resident: str) -> None:
    out = toy_file.with_name("figures.json")
    arguments = [str(toy_file), "--phase", "m_net", "--device", "cpu", "--steps", "2", "--warm", "1"]
    arguments += ["--peak-tflops", "0.5", "--set", f"data.resident={resident}", "--out", str(out)]
    result = CliRunner().invoke(benchmark("training", monkeypatch).app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    figures = json.loads(out.read_text())
    rows = {row["measured"]: row for row in figures["rows"]}
    assert list(rows) == ["forward", "backward", "optimiser", "step alone", "loop with data", "floor"]
    assert all(row["ms a step"] > 0 for row in rows.values())
    assert rows["floor"]["ms a step"] == pytest.approx(figures["facts"]["GFLOP a step"] / 0.5)
    assert rows["step alone"]["samples/s"] == pytest.approx(4e3 / rows["step alone"]["ms a step"])
    assert ("resident" in figures["facts"]["data"]) == (resident == "true")


def test_loader_and_resident_set_are_compared(toy_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = toy_file.with_name("figures.md")
    arguments = [str(toy_file), "--workers", "0", "--batches", "2", "--out", str(out)]
    result = CliRunner().invoke(benchmark("loader", monkeypatch).app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    table = [line for line in out.read_text().splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert "loader, 0 processes" in table[2]
    assert "resident on cpu" in table[3]


def test_figures_are_refused_another_file_type_before_anything_is_measured(
    toy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from realtime_matting.errors import InputError

    with pytest.raises(InputError, match=r"\.json or a \.md"):
        CliRunner().invoke(
            benchmark("loader", monkeypatch).app, [str(toy_file), "--out", "x.txt"], catch_exceptions=False
        )
