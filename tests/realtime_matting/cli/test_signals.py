"""Ctrl-C and SIGTERM in the middle of a run, with a real process: a playable file, named, and nothing else left."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from realtime_matting.cli.signals import leave_on_signal, stop_on_signal

FRAMES = 1500
TIMEOUT = 30


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of a green ball, quick to make and, at 640x480, seconds to matte."""
    path = tmp_path_factory.mktemp("long") / "in.mp4"
    rgb = cv2.circle(np.full((480, 640, 3), 120, np.uint8), (320, 240), 100, (20, 230, 30), -1)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
        for index in range(FRAMES):
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@contextmanager
def running(video: Path, out: Path, model: Path) -> Iterator[subprocess.Popen[str]]:
    """``rtmatte video`` as a process that is half a second into its work."""
    command = [sys.executable, "-m", "realtime_matting", "video", video, out, "--bg", "#0000FF", "--model", model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "green-people" in process.stderr.readline()
            time.sleep(0.5)
            assert process.poll() is None, "the run ended before it could be interrupted"
            yield process
        finally:
            process.kill()


def frames_in(path: Path) -> int:
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_a_playable_file_and_names_it(
    long_video: Path, green_bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out.mp4"
    with running(long_video, out, green_bundle) as process:
        process.send_signal(number)
        printed, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 128 + number
    assert printed == ""
    assert "Traceback" not in said
    frames = frames_in(out)
    assert 0 < frames < FRAMES
    assert said.splitlines()[-1] == f"rtmatte: interrupted after {frames} frames; they are in {out}"
    assert list(tmp_path.iterdir()) == [out]


def test_an_older_output_is_kept_beside_what_was_done(long_video: Path, green_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"old")
    with running(long_video, out, green_bundle) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT)
    assert out.read_bytes() == b"old"
    assert 0 < frames_in(tmp_path / "out.partial.mp4") < FRAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "out.partial.mp4"]


def test_the_first_signal_asks_and_the_second_ends_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signal() as request:
        assert not request.is_set()
        signal.raise_signal(signal.SIGINT)
        assert request.is_set()
        assert request.exit_code == 130
        with pytest.raises(SystemExit) as left:
            signal.raise_signal(signal.SIGTERM)
    assert left.value.code == 143
    assert capsys.readouterr().err == "rtmatte: interrupted again, gave up at once\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_a_run_a_signal_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left, leave_on_signal():
        signal.raise_signal(signal.SIGINT)
    assert left.value.code == 130
    assert capsys.readouterr().err == "rtmatte: interrupted\n"


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    """As under nohup, or for Ctrl-C in a command that a script has put into the background."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with leave_on_signal(), stop_on_signal() as request:
            signal.raise_signal(signal.SIGHUP)
            assert not request.is_set()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
