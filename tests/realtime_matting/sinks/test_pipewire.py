"""The PipeWire camera, with a real PipeWire in a private session and a reader that is another program."""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.errors import InputError
from realtime_matting.sinks.pipewire import PipeWireSink, json_values

PROGRAMS = ("pipewire", "wireplumber", "gst-launch-1.0", "pw-dump", "dbus-daemon")
MISSING = [program for program in PROGRAMS if shutil.which(program) is None]
needs_pipewire = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed")

WIDTH, HEIGHT, RATE = 320, 240, 30


class Session:
    """A private session with D-Bus, PipeWire and WirePlumber."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        self.folder = folder
        self.environment = os.environ | {"XDG_RUNTIME_DIR": str(folder), "XDG_CONFIG_HOME": str(folder)}
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={folder / 'bus'}"
        self.environment.pop("PIPEWIRE_REMOTE", None)
        self._processes: list[subprocess.Popen[bytes]] = []
        address = f"--address=unix:path={folder / 'bus'}"
        try:
            self._start(["dbus-daemon", "--session", "--nofork", address], folder / "bus")
            self.begin()
        except BaseException:
            self.close()
            raise

    def _start(self, command: list[str], ready: Path | None) -> None:
        self._processes.append(
            subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        give_up = time.monotonic() + 10
        while ready is not None and not ready.exists():
            assert time.monotonic() < give_up, f"{command[0]} did not start"
            time.sleep(0.05)

    def begin(self) -> None:
        """Start PipeWire."""
        self._start(["pipewire"], self.folder / "pipewire-0")
        self._start(["wireplumber"], None)
        time.sleep(2)  # WirePlumber says nothing when it is ready

    def end(self) -> None:
        """End PipeWire, as an update of it does."""
        for _ in range(2):
            process = self._processes.pop()
            process.terminate()
            process.wait(5)

    def close(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait(5)

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make this process a part of it."""
        for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "XDG_CONFIG_HOME"):
            monkeypatch.setenv(name, self.environment[name])
        monkeypatch.delenv("PIPEWIRE_REMOTE", raising=False)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    made = Session(tmp_path_factory.mktemp("session"))
    yield made
    made.close()


@pytest.fixture
def in_session(session: Session, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of the session, of which this process is a part."""
    session.enter(monkeypatch)
    return session.environment


def reader(out: Path, frames: int, environment: dict[str, str], node: str = "rtmatte") -> "subprocess.Popen[bytes]":
    """A program that reads frames of the camera as RGB into a file."""
    pipeline = (
        f"pipewiresrc target-object={node} num-buffers={frames} always-copy=true ! videoconvert"
        f" ! video/x-raw,format=RGB ! filesink location={out}"
    )
    return subprocess.Popen(["gst-launch-1.0", "-q", *pipeline.split()], env=environment, stderr=subprocess.DEVNULL)


def read_all(process: "subprocess.Popen[bytes]") -> int:
    """Its exit status when it has read everything; a reader that waits for ever is killed."""
    try:
        return process.wait(30)
    finally:
        process.kill()
        process.wait()


def pictures_in(path: Path, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    return np.fromfile(path, np.uint8).reshape(-1, height, width, 3)


def picture(level: int) -> NDArray[np.uint8]:
    """A grey level at the left, and at the right a colour, which tells a wrong matrix or range."""
    rgb = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
    rgb[:, WIDTH // 2 :] = (200, 60, 40)
    return rgb


class Feeder(threading.Thread):
    """Sends one picture after the other, each a little brighter."""

    def __init__(self, sink: PipeWireSink) -> None:
        super().__init__()
        self.sink = sink
        self.sent = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(1 / RATE):
            self.sink.send(picture(20 + 2 * (self.sent % 100)), time.monotonic())
            self.sent += 1


@pytest.fixture
def feeder(in_session: dict[str, str]) -> Iterator[Feeder]:
    sink = PipeWireSink(WIDTH, HEIGHT, RATE)
    thread = Feeder(sink)
    thread.start()
    yield thread
    thread.done.set()
    thread.join()
    sink.close()


@needs_pipewire
def test_another_program_reads_what_was_sent_in_order(
    feeder: Feeder, in_session: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "read.rgb"
    assert read_all(reader(out, 40, in_session)) == 0
    pictures = pictures_in(out)
    assert len(pictures) == 40
    colour = pictures[:, 20:-20, WIDTH // 2 + 20 : -20].astype(int)
    assert np.abs(colour - (200, 60, 40)).max() <= 6
    levels = pictures[:, HEIGHT // 2, 40].astype(int)
    assert np.ptp(levels, axis=1).max() <= 3  # grey is grey
    steps = np.diff(levels[:, 0])
    assert ((steps >= 0) | (steps < -150)).all(), "a picture came out of order"
    assert len(np.unique(levels[:, 0])) >= 30


@needs_pipewire
def test_it_tells_when_somebody_reads_and_when_nobody_does(
    feeder: Feeder, in_session: dict[str, str], tmp_path: Path
) -> None:
    assert not feeder.sink.watched()
    process = reader(tmp_path / "read.rgb", 60, in_session)
    try:
        give_up = time.monotonic() + 20
        while not feeder.sink.watched():
            assert time.monotonic() < give_up
            time.sleep(0.01)
        process.wait(30)
    finally:
        process.kill()  # a reader that never got a frame would wait for ever
        process.wait()
    give_up = time.monotonic() + 5
    while feeder.sink.watched():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@needs_pipewire
def test_no_process_and_no_node_is_left_when_it_is_closed(in_session: dict[str, str]) -> None:
    sink = PipeWireSink(WIDTH, HEIGHT, RATE, node="rtmatte-short")
    sink.send(picture(100), time.monotonic())
    children = [sink._process.pid, sink._states._process.pid]
    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < 0.8
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    time.sleep(0.3)
    dump = subprocess.run(["pw-dump"], env=in_session, capture_output=True, check=True)
    assert b"rtmatte-short" not in dump.stdout


@needs_pipewire
def test_a_killed_gstreamer_is_started_again(in_session: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_matting.sinks.pipewire._RETRY_SECONDS", 0.1)
    sink = PipeWireSink(WIDTH, HEIGHT, RATE)
    try:
        first = sink._process.pid
        sink._process.kill()
        give_up = time.monotonic() + 5
        while sink._process.pid == first or sink._failed_at is not None:
            assert time.monotonic() < give_up
            sink.send(picture(100), time.monotonic())
            time.sleep(0.05)
        assert sink._process.poll() is None
    finally:
        sink.close()


@needs_pipewire
def test_after_pipewire_was_restarted_the_camera_is_there_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("realtime_matting.sinks.pipewire._RETRY_SECONDS", 0.3)
    folder = tmp_path / "session"
    folder.mkdir()
    session = Session(folder)
    session.enter(monkeypatch)
    sink = PipeWireSink(WIDTH, HEIGHT, RATE)
    feeder = Feeder(sink)
    feeder.start()
    try:
        session.end()
        time.sleep(1)
        assert not sink.watched()
        session.begin()
        out = tmp_path / "read.rgb"
        assert read_all(reader(out, 20, session.environment)) == 0
        assert len(pictures_in(out)) == 20
    finally:
        feeder.done.set()
        feeder.join()
        sink.close()
        session.close()
    (said,) = (record.message for record in caplog.records)
    assert said.startswith('PipeWire camera "rtmatte": ')
    assert said.endswith("; trying again until it can be used")


@needs_pipewire
def test_webcam_to_pipewire_carries_the_composite_and_never_the_room(
    in_session: dict[str, str], green_bundle: Path, tmp_path: Path
) -> None:
    """The whole way: ``rtmatte webcam`` as a process, and another program that reads the camera it makes."""
    import av
    import cv2

    room, person, beach = (200, 40, 180), (20, 230, 30), (0, 0, 160)
    video = tmp_path / "talk.mkv"
    rgb = np.full((HEIGHT, WIDTH, 3), room, np.uint8)
    cv2.circle(rgb, (WIDTH // 2, HEIGHT // 2), 60, person, -1)
    with av.open(video, "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "bgr0"
        for _ in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="bgr0")))
        container.mux(stream.encode(None))
    command = [sys.executable, "-m", "realtime_matting", "webcam", "--camera", video, "--bg", "#0000A0"]
    command += ["--output", "pipewire", "--model", green_bundle]
    environment = in_session | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            assert "PipeWire camera" in process.stderr.readline()
            assert status_of(in_session, "state", "resting") == "resting"  # nobody reads yet
            assert status_of(in_session, "shown", 0) == 0
            out = tmp_path / "read.rgb"
            assert reader(out, 60, in_session).wait(60) == 0
            process.terminate()
            printed, said = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 128 + 15, said
    assert "captured" in printed
    pictures = pictures_in(out).astype(int)
    outside = pictures[:, 10:40, 10:40]
    assert np.abs(outside - beach).max() <= 8, "the room or something else went out"
    inside = np.abs(pictures[:, HEIGHT // 2, WIDTH // 2] - person).max(-1) <= 12
    assert inside.sum() >= 20
    assert inside[np.argmax(inside) :].all()  # first the background, then nothing but composites


def status_of(environment: dict[str, str], name: str, wanted: object) -> object:
    """What ``rtmatte ctl status`` tells, waited for until it is ``wanted``, or as it is after a while."""
    value: object = None
    give_up = time.monotonic() + 20
    while value != wanted and time.monotonic() < give_up:
        command = [sys.executable, "-m", "realtime_matting", "ctl", "status"]
        told = subprocess.run(command, env=environment, capture_output=True, check=False)
        value = json.loads(told.stdout)[name] if told.returncode == 0 else None
    return value


def test_without_gstreamer_the_error_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        InputError, match=r"gst-launch-1.0 and gst-inspect-1.0 and pw-dump not found: sudo apt install pipewire .*"
    ):
        PipeWireSink(WIDTH, HEIGHT, RATE)


@needs_pipewire
def test_without_a_running_pipewire_the_error_tells_how_to_start_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(InputError, match="no PipeWire runs for this user: systemctl --user enable --now pipewire"):
        PipeWireSink(WIDTH, HEIGHT, RATE)


def test_values_of_json_are_given_as_soon_as_they_are_complete() -> None:
    values = [[{"id": 1, "text": "näme"}], [], [{"id": 2}]]
    ours, theirs = os.pipe()
    with io.FileIO(ours) as stream:
        given = json_values(stream)
        for value in values:
            data = (json.dumps(value, ensure_ascii=False) + "\n").encode()
            os.write(theirs, data[:9])
            time.sleep(0.01)
            os.write(theirs, data[9:])
            assert next(given) == value
        os.close(theirs)
        assert list(given) == []
