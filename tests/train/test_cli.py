"""The command lines of train and export: one line for every mistake."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str, hide: str | None = None, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``python -m …`` in a process of its own; the package ``hide`` cannot be imported there."""
    code = f"import sys; sys.modules[{hide!r}] = None\n" if hide else ""
    module, *rest = arguments
    code += f"import runpy, sys; sys.argv = {['x', *rest]!r}; runpy.run_module({module!r}, run_name='__main__')"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=folder, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "hide", "extra"),
    [
        (("train", "shm", "--phase", "t_net", "--config", "x.yaml"), "torch", "train"),
        (("train.data", "preview", "x.yaml", "x.png"), "yaml", "train"),
        (("export.onnx_model", "a", "b", "--card", "c"), "onnx", "export"),
    ],
)
def test_a_missing_package_names_the_extra_in_one_line(arguments: tuple[str, ...], hide: str, extra: str) -> None:
    done = run(*arguments, hide=hide)
    assert done.returncode == 2
    assert f"rtmatte[{extra}]" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_missing_configuration_is_one_line() -> None:
    done = run("train", "shm", "--phase", "t_net", "--config", "nowhere.yaml")
    assert done.returncode == 2
    assert done.stderr.strip() == "error: nowhere.yaml: no such configuration file"


def test_preview_draws_a_sheet(toy_data: Path, tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(
        f"network: shm-mobile\ndata:\n  foregrounds: [{{path: {toy_data / 'people'}}}]\n"
        f"  backgrounds: [{{path: {toy_data / 'backgrounds'}}}]\n"
        "phases:\n  m_net: {steps: 1, batch_size: 1, learning_rate: 0.1, crop: 64}\n"
    )
    done = run("train.data", "preview", "toy.yaml", "sheet.png", "--phase", "m_net", "--count", "3", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sheet.png").stat().st_size > 1000
