"""The frame of the command line: help, version, errors on one line, exit codes."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import get_args

import pytest

import realtime_matting
from realtime_matting.cli import options

Rtmatte = Callable[..., CompletedProcess[str]]

HEAVY = ("numpy", "cv2", "av", "openvino", "onnxruntime", "rich", "torch", "yaml")


def test_help_lists_the_commands_and_leaves_with_zero(rtmatte: Rtmatte) -> None:
    done = rtmatte("--help")
    assert done.returncode == 0
    for command in ("video", "image", "models", "webcam", "bench", "demo"):
        assert f"\n  {command} " in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom realtime_matting.cli import main\n"
        "try:\n    main(['video', '--help'])\nexcept SystemExit:\n    pass\n"
        f"print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_version_is_printed(rtmatte: Rtmatte) -> None:
    assert rtmatte("--version").stdout == f"rtmatte {realtime_matting.__version__}\n"


def test_python_dash_m_is_the_same_program() -> None:
    command = [sys.executable, "-m", "realtime_matting", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"rtmatte {realtime_matting.__version__}\n"


def test_an_unknown_option_leaves_with_two(rtmatte: Rtmatte) -> None:
    done = rtmatte("video", "in.mp4", "out.mp4", "--backgruond", "blur")
    assert done.returncode == 2
    assert "--backgruond" in done.stderr


def test_bad_input_is_one_line_and_leaves_with_two(rtmatte: Rtmatte, tmp_path: Path) -> None:
    done = rtmatte("video", tmp_path / "missing.mp4", tmp_path / "out.mp4")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("rtmatte: ")
    assert "missing.mp4" in done.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_debug_shows_the_traceback_before_the_line(rtmatte: Rtmatte, tmp_path: Path) -> None:
    done = rtmatte("--debug", "video", tmp_path / "missing.mp4", tmp_path / "out.mp4")
    assert done.returncode == 2
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("rtmatte: ")


def test_debug_tells_which_network_runs_on_what(
    rtmatte: Rtmatte, green_bundle: Path, picture: Path, tmp_path: Path
) -> None:
    words = ("image", picture, tmp_path / "out.png", "--model", green_bundle)
    assert "trimap.onnx runs on OpenVINO" not in rtmatte(*words).stderr
    assert "rtmatte: trimap.onnx runs on OpenVINO" in rtmatte("--debug", *words).stderr


def test_an_unexpected_error_is_one_line_that_names_debug(rtmatte: Rtmatte, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[str]:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("realtime_matting.models.registry.list_bundles", broken)
    done = rtmatte("models")
    assert done.returncode == 1
    assert done.stderr == (
        "rtmatte: unexpected RuntimeError: two lines (run again with rtmatte --debug for the traceback)\n"
    )


def test_the_choices_offered_are_those_of_the_library() -> None:
    from realtime_matting.engines import EngineName
    from realtime_matting.sinks.base import Kind

    assert get_args(options.OutputChoice) == get_args(Kind)
    assert get_args(options.EngineChoice) == get_args(EngineName)


def test_a_name_that_the_terminal_cannot_show_does_no_harm(green_bundle: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "日本.png"
    command = [sys.executable, "-m", "realtime_matting", "image", picture, out, "--model", green_bundle]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "\\u65e5\\u672c.png: 1 of 1 pictures" in done.stdout
    assert out.exists()


@pytest.mark.skipif(os.name != "posix", reason="closes a file descriptor the way a shell does")
def test_a_closed_stderr_does_no_harm(green_bundle: Path, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    words = [sys.executable, "-m", "realtime_matting", "video", video, out, "--model", green_bundle]
    command = f"{shlex.join(map(str, words))} 2>&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{out}: 15 frames")
