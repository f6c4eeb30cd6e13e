"""Stand-ins of the live tests: a camera that does what it is told, and a sink that keeps all it was sent."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.backdrop import Backdrop
from realtime_matting.compositing.blend import Layer
from realtime_matting.frames import Frame
from realtime_matting.live import LiveRun
from realtime_matting.live_matting import LiveOptions
from realtime_matting.live_presets import LivePreset
from realtime_matting.sources.live_base import CameraError, CameraGone, Shot

Rgb = NDArray[np.uint8]

WIDTH, HEIGHT = 96, 64
PERSON = (20, 230, 30)
ROOM = (200, 40, 180)
BEACH = (0, 0, 160)


def person_in_room(width: int = WIDTH, height: int = HEIGHT, shift: int = 0) -> Rgb:
    """RGB uint8 (height, width, 3): a green ball in a magenta room."""
    rgb = np.full((height, width, 3), ROOM, np.uint8)
    return cv2.circle(rgb, (width // 2 + shift, height // 2), height // 4, PERSON, -1)


def green_matte(rgb: Rgb) -> Layer:
    """Green things are people."""
    return Layer(rgb, (rgb[..., 1] > 128).astype(np.float32))


def as_drafted(rgb: Rgb, draft: Layer) -> Layer:
    """Leaves nothing to be done when it comes to finishing."""
    return draft


@dataclass
class FakeMatter:
    """Drafts mattes by one function and finishes them by another.

    Counts how often it was told to forget the stream, and says when it was closed.
    """

    matte: Callable[[Rgb], Layer] = green_matte
    finished: Callable[[Rgb, Layer], Layer] = as_drafted
    resets: int = 0
    closed: bool = False

    def __call__(self, rgb: Rgb) -> Layer:
        return self.finished(rgb, self.draft(rgb))

    def warm_up(self, width: int, height: int) -> None:
        self(np.full((height, width, 3), 128, np.uint8))
        self.reset()

    def draft(self, rgb: Rgb) -> Layer:
        assert not self.closed, "a closed matter was called"
        return self.matte(rgb)

    def finish(self, frame: Frame, draft: Layer) -> Layer:
        assert not self.closed, "a closed matter was called"
        return self.finished(frame.rgb, draft)

    def describe(self) -> str:
        return "fake"

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeCamera:
    """Plays a script, a step every ``period`` seconds, and its last step for ever.

    A step is a picture; None for a moment without one; "damaged"; or an exception, which is raised.
    """

    script: Iterable[object]
    period: float = 0.01
    name: str = "fake"
    size: tuple[int, int] = (WIDTH, HEIGHT)
    fps: float = 100.0
    damaged: int = 0
    closed: bool = False
    given: int = 0
    _steps: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._steps = list(self.script)

    def read(self, timeout: float) -> Shot | None:
        assert not self.closed, "a closed camera was read"
        time.sleep(self.period)
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, np.ndarray):
            self.given += 1
            return Shot(step, time.monotonic())
        self.damaged += step == "damaged"
        return None

    def close(self) -> None:
        self.closed = True


class KeepingSink:
    """Keeps every picture with its time."""

    name = "kept"
    private = False

    def __init__(self) -> None:
        self.pictures: list[Rgb] = []
        self.times: list[float] = []
        self.is_watched = True
        self.tolerance = 0
        self._looked_at = 0
        self._with_person = 0

    def send(self, rgb: Rgb, time: float) -> None:
        self.pictures.append(rgb.copy())
        self.times.append(time)

    def watched(self) -> bool:
        return self.is_watched

    def close(self) -> None:
        pass

    def composites(self) -> int:
        """How many pictures show the person; each is looked at once, for they may come faster than that takes."""
        new = self.pictures[self._looked_at :]
        self._looked_at += len(new)
        self._with_person += sum(self.shows(picture, PERSON) for picture in new)
        return self._with_person

    def shows(self, picture: Rgb, colour: tuple[int, int, int]) -> bool:
        """Whether any pixel has this colour, to within ``tolerance``."""
        return bool((np.abs(picture.astype(np.int16) - colour) <= self.tolerance).all(-1).any())


class Live:
    """A live run with stand-ins around it, in a thread of its own."""

    def __init__(self) -> None:
        self.sink = KeepingSink()
        self.said: list[str] = []
        self.reopened: list[object] = []

    def reopen(self) -> FakeCamera:
        """Hand out what is in ``reopened``: cameras, or errors to raise."""
        item = self.reopened.pop(0) if self.reopened else CameraError("fake: still gone")
        if isinstance(item, FakeCamera):
            return item
        assert isinstance(item, BaseException)
        raise item

    def start(
        self,
        camera: FakeCamera,
        *,
        background: str = "#0000A0",
        matte: Callable[[Rgb], Layer] = green_matte,
        finished: Callable[[Rgb, Layer], Layer] = as_drafted,
        sinks: list[object] | None = None,
        **options: object,
    ) -> LiveRun:
        self.backdrop = Backdrop([background], self.said.append)

        def skipping_the_warm_up(rgb: Rgb) -> Layer:
            return green_matte(rgb) if (rgb == rgb[0, 0]).all() else matte(rgb)

        def finished_unless_warming_up(rgb: Rgb, draft: Layer) -> Layer:
            return draft if (rgb == rgb[0, 0]).all() else finished(rgb, draft)

        self.preset = LivePreset(lambda: FakeMatter(skipping_the_warm_up, finished_unless_warming_up))
        self.run = LiveRun(
            camera,
            self.reopen,
            {"only": self.preset},
            self.backdrop,
            [self.sink] if sinks is None else sinks,
            LiveOptions(**{"size": (WIDTH, HEIGHT), "fps": 100.0, "preset": "only"} | options),
            say=self.said.append,
        )
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self.run

    def _work(self) -> None:
        try:
            self.report = self.run.run()
        except BaseException as error:
            self.error = error

    def wait_for(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until something is so; fails when it never is."""
        give_up = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < give_up, f"it never came about; said: {self.said}"
            time.sleep(0.005)

    def stop(self) -> None:
        """End the run and wait for it."""
        self.run.stop()
        self._thread.join(5)
        assert not self._thread.is_alive()
        self.preset.close()
        self.backdrop.close()

    def assert_never_raw(self) -> None:
        """No picture that went out holds a pixel of the room."""
        assert self.sink.pictures
        for number, picture in enumerate(self.sink.pictures):
            assert not self.sink.shows(picture, ROOM), f"picture {number} shows the room"


def held() -> dict[str, set[str]]:
    """The threads, processes and file handles of this process, with what tells them apart."""
    children: list[str] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended meanwhile
            children += path.read_text().split()
    handles = {}
    for path in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):  # that of the glob itself is gone
            handles[path.name] = os.readlink(path)
    return {
        "threads": {thread.name for thread in threading.enumerate()},
        "processes": set(children),
        "handles": {f"{number} {target}" for number, target in handles.items()},
    }


@pytest.fixture
def live() -> Iterable[Live]:
    """A live run that leaves no thread, process or file handle behind, and never shows the room."""
    before = held()
    made = Live()
    yield made
    if hasattr(made, "run"):
        made.stop()
        made.assert_never_raw()
    give_up = time.monotonic() + 2
    while any(left := {kind: things - before[kind] for kind, things in held().items()}.values()):
        assert time.monotonic() < give_up, f"left behind: {left}"
        time.sleep(0.01)


@pytest.fixture
def fakes() -> type:
    """The stand-ins by name, for tests that make their own."""

    class Fakes:
        Camera = FakeCamera
        Matter = FakeMatter
        Gone = CameraGone
        person = staticmethod(person_in_room)
        matte = staticmethod(green_matte)
        Matte = Layer
        PERSON, ROOM, BEACH = PERSON, ROOM, BEACH
        size = (WIDTH, HEIGHT)

    return Fakes


class NetworkCamera(ThreadingHTTPServer):
    """Serves JPEGs one after the other, as IP cameras do, and does what it is told.

    Attributes:
        script: pictures that each connection begins with.
        once: pictures that come once, whoever is connected.
        picture: what comes for ever after that; None ends the connection.
        is_there: without, connections end and new ones are refused.
        connections: how many there were.
        pace: seconds from picture to picture.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.script: list[bytes] = []
        self.once: list[bytes] = []
        self.picture: bytes | None = None
        self.is_there = True
        self.connections = 0
        self.pace = 0.01
        super().__init__(("127.0.0.1", 0), _Pictures)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/live.mjpg"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is no error."""


class _Pictures(BaseHTTPRequestHandler):
    server: NetworkCamera

    def log_message(self, *words: Any) -> None:
        pass

    def do_GET(self) -> None:
        camera = self.server
        if not camera.is_there:
            self.send_error(503)
            return
        camera.connections += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
        self.end_headers()
        script = list(camera.script)
        while camera.is_there:
            data = script.pop(0) if script else camera.once.pop(0) if camera.once else camera.picture
            if data is None:
                return
            self.wfile.write(
                b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(data), data)
            )
            time.sleep(camera.pace)


@pytest.fixture
def network_camera() -> Iterator[NetworkCamera]:
    made = NetworkCamera()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.is_there = False
    made.shutdown()
    thread.join()
    made.server_close()
