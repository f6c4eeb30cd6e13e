"""What happens to laptops, to a real ``rtmatte webcam``: one run each, all that went out looked at."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.control import send_command
from realtime_matting.errors import MattingError
from realtime_matting.sources import open_source

Rgb = NDArray[np.uint8]

WIDTH, HEIGHT = 128, 96
PERSON, ROOM, BEACH = (20, 230, 30), (200, 40, 180), (0, 0, 160)
CLOSE = 30
"""Grey levels that JPEG and H.264 may change."""


def person_in_room(width: int = WIDTH, height: int = HEIGHT) -> Rgb:
    rgb = np.full((height, width, 3), ROOM, np.uint8)
    return cv2.circle(rgb, (width // 2, height // 2), height // 4, PERSON, -1)


def jpeg(rgb: Rgb) -> bytes:
    return bytes(cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1])


@pytest.fixture
def camera(network_camera: Any) -> Any:
    """A camera on the network, which does what it is told: pictures, damaged ones, other sizes, no connection."""
    network_camera.picture, network_camera.pace = jpeg(person_in_room()), 0.03
    return network_camera


class Run:
    """A ``rtmatte webcam`` that records all it sends."""

    def __init__(self, folder: Path, camera: str, model: Path, background: Path) -> None:
        self.out = folder / "out.mp4"
        self.folder = folder / "own"
        self.folder.mkdir(mode=0o700)
        words = ["--camera", camera, "--size", f"{WIDTH}x{HEIGHT}", "--bg", background, "--output", self.out]
        command = [sys.executable, "-m", "realtime_matting", "webcam", *words, "--model", model, "--preset", "fast"]
        own = {"XDG_CONFIG_HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            list(map(str, command)),
            env=os.environ | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.removeprefix("rtmatte: ").strip())

    def status(self) -> dict[str, Any]:
        try:
            return dict(send_command("status", path=self.folder / "rtmatte.sock")["status"])  # type: ignore[call-overload]
        except MattingError:
            return {"shown": 0, "state": "", "damaged": 0, "reconnects": 0}

    def wait_for(self, condition: Callable[[dict[str, Any]], bool], seconds: float = 30.0) -> dict[str, Any]:
        """Its status when something is so; fails when it never is."""
        give_up = time.monotonic() + seconds
        while not condition(status := self.status()):
            assert self.process.poll() is None, f"it ended; said: {self.said}"
            assert time.monotonic() < give_up, f"{status}; said: {self.said}"
            time.sleep(0.02)
        return status

    def wait_for_more(self, frames: int = 5) -> None:
        """Until it has shown that many more composites."""
        shown = self.status()["shown"]
        self.wait_for(lambda status: status["shown"] >= shown + frames)

    def wait_for_line(self, part: str) -> None:
        self.wait_for(lambda status: any(part in line for line in self.said))

    def held(self) -> tuple[set[str], int, str]:
        """Its threads, how many file handles it has, and its child processes."""
        process = Path("/proc") / str(self.process.pid)
        threads, children = set(), ""
        for task in (process / "task").iterdir():
            with suppress(OSError):  # one that has ended meanwhile
                threads.add((task / "comm").read_text().strip())
                children += (task / "children").read_text()
        return threads, len(list((process / "fd").iterdir())), children.strip()

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal; the seconds until it had ended."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)  # before its output is read, which would wait for ever where it does not end
        assert self.process.stdout is not None
        self.printed = self.process.stdout.read()
        return time.monotonic() - began

    def close(self) -> None:
        self.process.kill()
        self._listener.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        self.process.wait()

    def assert_never_raw(self) -> None:
        """No pixel of any picture that went out has the colour of the room, and most pictures show the person."""
        with open_source(str(self.out)) as source:
            pictures = [frame.rgb.astype(np.int16) for frame in source]
        assert len(pictures) > 10
        for number, picture in enumerate(pictures):
            assert not (np.abs(picture - ROOM) <= CLOSE).all(-1).any(), f"picture {number} shows the room"
        assert sum((np.abs(picture - PERSON) <= CLOSE).all(-1).any() for picture in pictures) > 10


@pytest.fixture
def beach(tmp_path: Path) -> Path:
    path = tmp_path / "beach.png"
    assert cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), BEACH[::-1], np.uint8))
    return path


@pytest.fixture
def run(camera: Any, green_bundle: Path, beach: Path, tmp_path: Path) -> Iterator[Run]:
    """A run that shows the person; at its end nothing of the room may have gone out."""
    made = Run(tmp_path, camera.url, green_bundle, beach)
    try:
        made.wait_for(lambda status: status["shown"] >= 20)
        yield made
        if made.process.poll() is None:
            made.end()
        made.assert_never_raw()
    finally:
        made.close()


def test_a_camera_that_breaks_in_every_way_leaves_nothing_behind(camera: Any, run: Run) -> None:
    before = run.held()
    noise = jpeg(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
    camera.once = [noise[: len(noise) // 3], random.Random(0).randbytes(2000)]
    run.wait_for(lambda status: status["damaged"] >= 1)
    camera.picture = jpeg(person_in_room(2 * WIDTH, 2 * HEIGHT))  # another size, while it runs
    run.wait_for_more()
    camera.picture = jpeg(person_in_room(80, 96))
    run.wait_for_more()
    for number in (1, 2):
        camera.is_there = False
        run.wait_for(lambda status: status["state"] == "camera lost")
        camera.is_there = True
        run.wait_for(lambda status, number=number: status["reconnects"] == number)  # type: ignore[misc]
        run.wait_for_more()
    lost = [line for line in run.said if "trying to open it again" in line]
    assert len(lost) == len([line for line in run.said if line.endswith("is back")]) == 2
    run.wait_for(lambda status: run.held() == before)


def test_a_process_that_was_stopped_for_a_while_goes_on(run: Run) -> None:
    run.process.send_signal(signal.SIGSTOP)
    time.sleep(2.5)
    run.process.send_signal(signal.SIGCONT)
    run.wait_for_more(10)
    assert run.status()["latency_ms"]["max"] < 2000  # nothing of before was shown after it


def test_a_background_replaced_by_garbage_is_told_once_and_stays(run: Run, beach: Path) -> None:
    good = beach.read_bytes()
    beach.write_bytes(random.Random(0).randbytes(5000))
    run.wait_for_line("the old background stays")
    run.wait_for_more(20)
    assert sum("stays" in line for line in run.said) == 1
    beach.unlink()
    run.wait_for_more()
    beach.write_bytes(good)
    run.wait_for_more()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_a_second_and_lets_the_camera_go(camera: Any, run: Run, number: signal.Signals) -> None:
    seconds = run.end(number)
    assert run.process.returncode == 128 + number
    assert "captured" in run.printed
    assert not any("Traceback" in line for line in run.said)
    assert list(run.folder.iterdir()) == []  # the socket
    # A machine that is busy with other things may take its time; the run's own part is far below.
    assert seconds < 1 or os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
