"""A camera on the network, with real servers: pictures cut short, a change of size, a lost connection, the screen."""

import functools
import os
import shutil
import socket
import subprocess
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from realtime_matting.sources.camera import open_camera
from realtime_matting.sources.live_base import Camera, CameraError, CameraGone, Shot
from realtime_matting.sources.stream_camera import _opencv_has_windows, _unblocked


def jpeg(level: int, width: int = 64, height: int = 48) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((height, width, 3), level, np.uint8))[1])


class _QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def server(network_camera: Any) -> Any:
    network_camera.picture = jpeg(100)
    return network_camera


def read(camera: Camera, count: int) -> list[Shot]:
    shots: list[Shot] = []
    give_up = time.monotonic() + 20
    while len(shots) < count:
        assert time.monotonic() < give_up
        shot = camera.read(0.05)
        if shot is not None:
            shots.append(shot)
    return shots


def test_frames_of_a_network_camera_are_read(server: Any) -> None:
    camera = open_camera(server.url)
    assert camera.size == (64, 48)
    for shot in read(camera, 5):
        assert abs(int(shot.rgb[20, 20, 0]) - 100) <= 2
    camera.close()
    camera.close()


def test_a_jpeg_that_is_cut_short_or_garbage_is_left_out_and_counted(server: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    whole = bytes(cv2.imencode(".jpg", noise)[1])
    server.script = [*[jpeg(100)] * 20, whole[: len(whole) // 3], b"garbage" * 20]
    server.picture = jpeg(200)
    camera = open_camera(server.url)
    levels = [int(shot.rgb[20, 20, 0]) for shot in read(camera, 30)]
    assert all(min(abs(level - 100), abs(level - 200)) <= 2 for level in levels)
    assert camera.damaged >= 1
    camera.close()


def test_a_change_of_size_goes_through(server: Any) -> None:
    server.script = [*[jpeg(100)] * 20, *[jpeg(100, 128, 96)] * 20]
    server.picture = jpeg(100, 64, 48)
    camera = open_camera(server.url)
    shapes = [shot.rgb.shape for shot in read(camera, 60)]
    assert list(dict.fromkeys(shapes)) == [(48, 64, 3), (96, 128, 3)]
    assert shapes[-1] == (48, 64, 3)
    camera.close()


def test_a_connection_that_ends_is_a_lost_camera_that_can_be_opened_again(server: Any) -> None:
    server.script, server.picture = [jpeg(100)] * 30, None
    camera = open_camera(server.url)
    with pytest.raises(CameraGone, match=r"http://127.0.0.1:\d+/live.mjpg: (has ended|is lost)"):
        read(camera, 100)
    camera.close()
    again = open_camera(server.url)
    assert read(again, 3)
    again.close()


def test_a_live_run_survives_a_camera_that_goes_away_and_comes_back(live: Any, server: Any) -> None:
    """The whole way with a real connection: two rounds of pictures, and the connection cut between them."""
    room = np.full((64, 96, 3), (200, 40, 180), np.uint8)
    room[16:48, 32:64] = (20, 230, 30)
    live.sink.tolerance = 12  # what JPEG changes
    picture = bytes(cv2.imencode(".jpg", room[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1])
    server.script, server.picture = [picture] * 30, None
    live.reopen = lambda: open_camera(server.url)
    live.start(open_camera(server.url), size=(96, 64))
    live.wait_for(lambda: live.run.status()["reconnects"] >= 1, 20)
    shown = live.sink.composites()
    assert shown > 0
    live.wait_for(lambda: live.sink.composites() > shown, 20)


def test_a_video_file_on_the_network_comes_at_its_own_pace(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mp4"), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(25):
            rgb = np.full((48, 64, 3), 60 + number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    handler = functools.partial(_QuietFiles, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.02,))
        thread.start()
        camera = open_camera(f"http://127.0.0.1:{web.server_port}/clip.mp4")
        shots = read(camera, 20)
        camera.close()
        web.shutdown()
        thread.join()
    assert shots[-1].captured - shots[0].captured > 0.9 * 19 / 25


@pytest.mark.parametrize(("answer", "said"), [(b"", "it does not answer"), (b"<html>" * 500, "Invalid data")])
def test_what_does_not_answer_or_is_no_video_is_told(monkeypatch: pytest.MonkeyPatch, answer: bytes, said: str) -> None:
    monkeypatch.setattr("realtime_matting.sources.stream_camera._OPEN_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                if answer:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))
                else:
                    connection.recv(4096)
                    connection.recv(1)  # until the other side gives up

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(CameraError, match=rf"cannot be opened \({said}.*\); check the address"):
            open_camera(f"http://127.0.0.1:{listening.getsockname()[1]}/live")
        thread.join()


def test_closing_releases_the_connection(server: Any) -> None:
    open_camera(server.url).close()
    time.sleep(0.2)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        camera = open_camera(server.url)
        read(camera, 1)
        camera.close()
    time.sleep(0.3)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_the_handle_on_a_device_is_found_and_never_waits(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    os.mkfifo(path)
    handle = os.open(path, os.O_RDWR)
    try:
        found = _unblocked(str(path))
        assert found is not None
        with pytest.raises(BlockingIOError):
            os.read(found, 1)
        assert _unblocked(str(tmp_path / "video1")) is None
    finally:
        os.close(handle)


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb not installed")
@pytest.mark.skipif(_opencv_has_windows(), reason="an OpenCV with windows is installed")
def test_the_screen_is_a_camera() -> None:
    ours, theirs = os.pipe()
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "320x240x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        try:
            with open(ours) as told:
                display = told.readline().strip()
            camera = open_camera(f"screen::{display}", fps=20)
            assert camera.size == (320, 240)
            assert read(camera, 2)[1].rgb.shape == (240, 320, 3)
            camera.close()
        finally:
            process.terminate()
