"""``rtmatte models`` and ``rtmatte demo``."""

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import av
import pytest

from realtime_matting.defaults import DEFAULT_MODEL

Rtmatte = Callable[..., CompletedProcess[str]]


@pytest.fixture
def built_in(green_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The green bundle in the place of the built-in default."""
    models = tmp_path / "models"
    shutil.copytree(green_bundle, models / DEFAULT_MODEL)
    monkeypatch.setattr("realtime_matting.models.registry.BUILT_IN", models)
    return models


def test_models_are_listed_with_size_licence_and_figures(rtmatte: Rtmatte, built_in: Path) -> None:
    done = rtmatte("models")
    assert done.returncode == 0, done.stderr
    header, line = done.stdout.splitlines()
    assert header.split() == ["name", "version", "size", "licence", "metrics"]
    assert line.split()[:2] == [DEFAULT_MODEL, "1.0.0"]
    assert "MiB  CC0-1.0  MAD 1.5, SAD 0.25 (two pictures)" in line


def test_a_damaged_built_in_model_is_an_error(rtmatte: Rtmatte, built_in: Path) -> None:
    (built_in / DEFAULT_MODEL / "trimap.onnx").write_bytes(b"damaged")
    done = rtmatte("models")
    assert done.returncode == 2
    assert "SHA-256" in done.stderr


def test_demo_puts_the_sample_on_the_beach_and_says_where(rtmatte: Rtmatte, built_in: Path, tmp_path: Path) -> None:
    done = rtmatte("demo", "--out", tmp_path / "new" / "folder")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "new" / "folder" / "rtmatte-demo.mp4"
    assert done.stdout.startswith(f"{out}: 186 frames in ")
    with av.open(out) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (960, 540)
        assert container.streams.audio
