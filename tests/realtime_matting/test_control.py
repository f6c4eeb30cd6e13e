"""Commands on a run, and the socket they come through."""

import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from realtime_matting.control import COMMANDS, Controls, ControlServer, send_command, socket_path
from realtime_matting.errors import InputError


@pytest.fixture
def controls(live: Any, fakes: Any) -> Iterator[Controls]:
    live.start(fakes.Camera([fakes.person()]))
    live.wait_for(lambda: live.sink.composites() >= 2)
    made = Controls(live.run, live.backdrop, live.said.append)
    yield made
    made.close()


@pytest.fixture
def server(controls: Controls, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "run" / "rtmatte.sock"
    listening = ControlServer(controls, path)
    yield path
    listening.close()
    assert not path.exists()


def test_commands_change_the_run_and_answer_with_its_status(live: Any, server: Path) -> None:
    answer = send_command("background", "#FF0000", path=server)
    assert answer["status"]["background"] == "#FF0000"
    live.wait_for(lambda: bool((live.sink.pictures[-1][2, 2] == (255, 0, 0)).all()))
    assert send_command("pause", "on", path=server)["status"]["state"] == "paused"
    assert send_command("pause", path=server)["status"]["state"] == "running"
    assert send_command("mirror", path=server)["status"]["mirror"] is True
    assert send_command("frame", "on", path=server)["status"]["framing"] is True
    assert send_command("preset", "auto", path=server)["status"]["auto"] is True
    first = len(live.sink.pictures)
    assert send_command("blur", "0.7", path=server)["status"]["background"] == "blur:0.70"
    assert send_command("blur", "+", path=server)["status"]["background"] == "blur:0.80"
    assert send_command("background", "next", path=server)["status"]["background"] == "#0000A0"
    live.wait_for(lambda: bool((live.sink.pictures[-1][2, 2] == (0, 0, 160)).all()))
    # A room of one colour looks the same when it is blurred: these are no raw pictures.
    del live.sink.pictures[first:-1]
    assert send_command("reload", path=server)["status"]["background"] == "#0000A0"
    assert send_command("debug", "on", path=server)["status"]["state"] == "running"
    live.wait_for(lambda: live.run.matting.debug)


def test_quit_ends_the_run(live: Any, server: Path) -> None:
    send_command("quit", path=server)
    live.wait_for(lambda: hasattr(live, "report"))


def test_every_command_is_listed(controls: Controls) -> None:
    assert set(controls._commands) == set(COMMANDS)


def test_a_snapshot_holds_what_went_out(live: Any, server: Path, tmp_path: Path, fakes: Any) -> None:
    path = tmp_path / "shot.png"
    assert send_command("snapshot", str(path), path=server)["file"] == str(path)
    rgb = cv2.imread(str(path))[..., ::-1]
    assert (rgb[32, 48] == fakes.PERSON).all()
    assert (rgb[2, 2] == fakes.BEACH).all()


@pytest.mark.parametrize(
    ("command", "value", "said"),
    [
        ("dance", "", "no such command; there are status, background"),
        ("background", "/missing.png", "not a background"),
        ("blur", "7", "the strength of a blur is a number above 0, to 1"),
        ("pause", "maybe", "give on, off, or nothing to change it"),
        ("preset", "best", "no such preset; choose auto, only"),
        ("snapshot", "/nowhere/shot.png", "cannot be written"),
        ("snapshot", "shot.txt", "a snapshot is a .png, .jpg or .webp"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(server: Path, command: str, value: str, said: str) -> None:
    before = send_command("status", path=server)["status"]
    with pytest.raises(InputError, match=said):
        send_command(command, value, path=server)
    after = send_command("status", path=server)["status"]
    for name in ("state", "background", "preset", "mirror"):
        assert before[name] == after[name]


def test_a_connection_may_carry_several_requests_and_nonsense_does_no_harm(server: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server))
        connection.sendall(b'nonsense\n[1]\n{"command": 3}\n{"command": "status"}\n')
        with connection.makefile() as lines:
            answers = [json.loads(lines.readline()) for _ in range(4)]
    assert [answer["ok"] for answer in answers] == [False, False, False, True]


def test_only_its_user_can_reach_the_socket(server: Path) -> None:
    assert stat.S_IMODE(os.stat(server).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(server.parent).st_mode) == 0o700


def test_a_second_run_is_told_and_a_dead_socket_is_replaced(controls: Controls, tmp_path: Path) -> None:
    path = tmp_path / "rtmatte.sock"
    first = ControlServer(controls, path)
    with pytest.raises(InputError, match="runs already"):
        ControlServer(controls, path)
    first.close()
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    second = ControlServer(controls, path)
    assert send_command("status", path=path)["status"]
    second.close()


def test_without_a_run_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rtmatte webcam is running; start it first"):
        send_command("status", path=tmp_path / "rtmatte.sock")


def test_keys_are_carried_out_in_another_thread_and_their_errors_are_said(live: Any, controls: Controls) -> None:
    controls.execute_soon("background", "/missing.png")
    live.wait_for(lambda: any("not a background" in text for text in live.said))
    controls.execute_soon("pause")
    live.wait_for(lambda: live.run.paused)


def test_the_socket_is_in_the_folder_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert socket_path() == Path("/run/user/1000/rtmatte.sock")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert socket_path().parent.name == f"rtmatte-{os.getuid()}"


def test_many_clients_leave_no_thread_and_no_handle(live: Any, server: Path) -> None:
    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    before = held()
    for _ in range(30):
        send_command("status", path=server)
    live.wait_for(lambda: held() == before)  # the last connection is closed a moment later


def test_the_picture_of_a_snapshot_is_not_the_debug_view(live: Any, server: Path, tmp_path: Path) -> None:
    send_command("debug", "on", path=server)
    live.wait_for(lambda: live.run.matting.debug)
    path = tmp_path / "shot.png"
    send_command("snapshot", str(path), path=server)
    picture = np.asarray(cv2.imread(str(path)))
    assert (picture[2, 2] == (160, 0, 0)).all()
