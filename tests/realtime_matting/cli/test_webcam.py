"""``rtmatte webcam`` and ``rtmatte ctl``, from a file that stands in for the camera to files and streams."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.sources import open_source

Rtmatte = Callable[..., CompletedProcess[str]]

INSIDE = (48, 64)
OUTSIDE = (8, 8)
PERSON = (20, 230, 30)
ROOM = (120, 110, 130)
BEACH = (192, 0, 0)
TIMEOUT = 60


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No configuration, no control socket and no cache but those of the test."""
    folder = tmp_path / "own"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def pictures_of(path: Path) -> list[NDArray[np.uint8]]:
    with open_source(str(path)) as source:
        return [frame.rgb for frame in source]


def close_to(colour: NDArray[np.uint8], expected: tuple[int, ...]) -> bool:
    """Within what 4:2:0 and a lossy codec change."""
    return bool(np.abs(colour.astype(np.int16) - expected).max() <= 16)


def assert_never_raw(pictures: list[NDArray[np.uint8]], background: tuple[int, int, int] = BEACH) -> None:
    """Outside the person there is the background, in every picture."""
    for picture in pictures:
        assert close_to(picture[OUTSIDE], background)
        assert close_to(picture[INSIDE], PERSON) or close_to(picture[INSIDE], background)


@contextmanager
def running(*words: object) -> Iterator["subprocess.Popen[str]"]:
    """``rtmatte webcam`` as a process that has begun."""
    command = [sys.executable, "-m", "realtime_matting", "webcam", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            begun = process.stderr.readline()
            assert "green-people" in begun, begun + process.stderr.read()
            yield process
        finally:
            process.kill()


def test_the_person_goes_out_on_the_background_and_never_in_the_room(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    words = ("--camera", video, "--bg", "#C00000", "--output", out, "--model", green_bundle, "--seconds", 3)
    done = rtmatte("webcam", *words)
    assert done.returncode == 0, done.stderr
    pictures = pictures_of(out)
    assert_never_raw(pictures)
    assert sum(close_to(picture[INSIDE], PERSON) for picture in pictures) > 5
    assert f"{video} → {out}, 128x96, green-people 1.0.0 on OpenVINO" in done.stderr
    assert "captured" in done.stdout
    assert "latency from capture to output in ms: p50" in done.stdout


def test_without_an_output_it_is_only_measured_and_nothing_is_left(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    words = ("--camera", video, "--output", "none", "--model", green_bundle, "--seconds", 1)
    assert rtmatte("webcam", *words).returncode == 0  # what stays open for good is open now
    before = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    assert rtmatte("webcam", *words).returncode == 0
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= before[0]
    assert len(os.listdir("/proc/self/fd")) <= before[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "in.mp4", "own"]
    assert list((tmp_path / "own").iterdir()) == []


def test_a_preset_of_ones_own_is_used_and_ctl_changes_to_another(
    green_bundle: Path, video: Path, tmp_path: Path, rtmatte: Rtmatte
) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text(f"model: {green_bundle}\nreuse: always\nlight_wrap: 0.5\n")
    with running("--camera", video, "--bg", "#C00000", "--output", "none", "--preset", preset) as process:
        give_up = time.monotonic() + TIMEOUT
        while json.loads(rtmatte("ctl", "status").stdout or '{"shown": 0}')["shown"] == 0:
            assert time.monotonic() < give_up
            time.sleep(0.1)
        assert json.loads(rtmatte("ctl", "status").stdout)["preset"] == str(preset)
        assert rtmatte("ctl", "preset", "fast").returncode == 0
        status = json.loads(rtmatte("ctl", "status").stdout)
        assert (status["preset"], status["auto"]) == ("fast", False)
        refused = rtmatte("ctl", "preset", "best")
        assert refused.stderr == f"rtmatte: best: no such preset; choose auto, {preset}, quality, balanced, fast\n"
        assert rtmatte("ctl", "quit").returncode == 0
        _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, said


def test_size_and_rate_are_those_asked_for(rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    words = ("--camera", video, "--size", "64x64", "--fps", 10, "--output", out, "--model", green_bundle)
    done = rtmatte("webcam", *words, "--bg", "#C00000", "--seconds", 2.5)
    assert done.returncode == 0, done.stderr
    pictures = pictures_of(out)
    assert {picture.shape for picture in pictures} == {(64, 64, 3)}
    shown = int(done.stdout.split("shown ")[1].split()[0])
    assert shown <= 26


def test_a_recording_is_made_beside_the_output(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "call.mp4"
    words = ("--camera", video, "--output", "none", "--record", out, "--model", green_bundle, "--seconds", 1.5)
    assert rtmatte("webcam", *words, "--bg", "#C00000").returncode == 0
    assert_never_raw(pictures_of(out))


def test_a_profile_gives_what_the_command_line_does_not(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path, own_folders: Path
) -> None:
    out = tmp_path / "out.mp4"
    folder = own_folders / "rtmatte"
    folder.mkdir()
    (folder / "config.toml").write_text(
        f'[profile.home]\ncamera = "{video}"\nbg = "#C00000"\nmodel = "{green_bundle}"\noutput = "none"\n'
    )
    done = rtmatte("webcam", "--use", "home", "--output", out, "--seconds", 2)
    assert done.returncode == 0, done.stderr
    assert_never_raw(pictures_of(out))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--camera", "nobody.mp4"), 2, "nobody.mp4: neither a file nor a camera"),
        (("--camera", "{video}", "--output", "out.xyz"), 2, "out.xyz: unknown extension"),
        (("--camera", "{video}", "--output", "{video}"), 2, "is also the input"),
        (("--camera", "{video}", "--bg", "beach.jpg"), 2, "'beach.jpg': not a background"),
        (("--camera", "{video}", "--output", "none", "--preset", "best"), 2, "preset 'best'"),
        (("--camera", "{video}", "--output", "none", "--preset", "mine.yaml"), 2, "mine.yaml: cannot be read"),
        (("--camera", "{video}", "--bg", "transparent"), 2, "a transparent background is for files"),
        (("--camera", "{video}", "--size", "huge"), 2, "size 'huge': is not WIDTHxHEIGHT"),
        (("--use", "work"), 2, "has no profile work"),
        (("--camera", "http://127.0.0.1:9/"), 1, "cannot be opened"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    words = tuple(word.replace("{video}", str(video)) for word in words)
    done = rtmatte("webcam", *words, "--model", green_bundle, "--seconds", 1)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_background_is_not_overwritten(rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path) -> None:
    beach = tmp_path / "beach.mp4"
    beach.write_bytes(video.read_bytes())
    done = rtmatte("webcam", "--camera", video, "--bg", beach, "--output", beach, "--model", green_bundle)
    assert done.returncode == 2
    assert beach.read_bytes() == video.read_bytes()


def test_cameras_are_listed(rtmatte: Rtmatte) -> None:
    done = rtmatte("webcam", "--list-cameras")
    assert done.returncode == 0
    assert done.stdout or "no camera was found" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_its_report_and_a_playable_file(
    green_bundle: Path, video: Path, tmp_path: Path, own_folders: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out.mp4"
    with running("--camera", video, "--bg", "#C00000", "--output", out, "--model", green_bundle) as process:
        time.sleep(2)
        process.send_signal(number)
        printed, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said
    assert "captured" in printed
    assert_never_raw(pictures_of(out))
    assert list(own_folders.iterdir()) == []


def test_ctl_drives_the_run(green_bundle: Path, video: Path, tmp_path: Path, rtmatte: Rtmatte) -> None:
    out = tmp_path / "out.mp4"
    with running("--camera", video, "--bg", "#C00000", "--output", out, "--model", green_bundle) as process:
        give_up = time.monotonic() + TIMEOUT
        while json.loads(rtmatte("ctl", "status").stdout or '{"shown": 0}')["shown"] == 0:
            assert time.monotonic() < give_up
            time.sleep(0.1)
        assert rtmatte("ctl", "background", "#00C000").returncode == 0
        assert rtmatte("ctl", "pause", "on").returncode == 0
        status = json.loads(rtmatte("ctl", "status").stdout)
        assert status["background"] == "#00C000"
        assert status["state"] == "paused"
        shot = tmp_path / "shot.png"
        assert rtmatte("ctl", "snapshot", shot).stdout.strip() == str(shot)
        assert shot.exists()
        refused = rtmatte("ctl", "background", "nowhere.png")
        assert refused.returncode == 2
        assert "not a background" in refused.stderr
        assert rtmatte("ctl", "quit").returncode == 0
        process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert not any(close_to(picture[OUTSIDE], ROOM) for picture in pictures_of(out))


def test_ctl_without_a_run_says_so(rtmatte: Rtmatte) -> None:
    done = rtmatte("ctl", "status")
    assert done.returncode == 2
    assert done.stderr == "rtmatte: no rtmatte webcam is running; start it first\n"


def test_a_second_run_goes_on_without_its_socket(green_bundle: Path, video: Path, rtmatte: Rtmatte) -> None:
    with running("--camera", video, "--output", "none", "--model", green_bundle):
        give_up = time.monotonic() + TIMEOUT
        while rtmatte("ctl", "status").returncode:
            assert time.monotonic() < give_up
            time.sleep(0.1)
        second = rtmatte("webcam", "--camera", video, "--output", "none", "--model", green_bundle, "--seconds", 0.5)
        assert second.returncode == 0
        assert "rtmatte ctl will not reach this run: another rtmatte webcam of yours runs already" in second.stderr
        assert rtmatte("ctl", "status").returncode == 0


def test_its_parts_need_nothing_that_only_unix_has() -> None:
    """What other systems lack is imported where it is used; this stands in for a Windows that is not at hand."""
    code = (
        "import sys\n"
        "import typer, av, cv2, openvino\n"  # their own needs are their own affair
        "sys.modules.update(dict.fromkeys(('resource', 'fcntl', 'termios', 'grp', 'pwd')))\n"
        "import realtime_matting.cli.live_job, realtime_matting.cli.job, realtime_matting.cli.cameras\n"
        "import realtime_matting.sources.camera, realtime_matting.sources.opencv_camera\n"
        "import realtime_matting.sinks.virtual_camera, realtime_matting.sinks.v4l2loopback\n"
        "import realtime_matting.sinks.window\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
