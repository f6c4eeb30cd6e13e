"""Driving a live run: the commands that keys, scripts and ``rtmatte ctl`` share, and the socket they come through.

One connection carries requests as lines of JSON, ``{"command": "background", "value": "beach.jpg"}``, and gets one line
back for each: ``{"ok": true, "status": {…}}`` or ``{"ok": false, "error": "…"}``. Only its own user can connect.
"""

import json
import os
import queue
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import cv2

from realtime_matting.backdrop import Backdrop
from realtime_matting.errors import InputError, MattingError, OutputError
from realtime_matting.live import LiveRun

_TIMEOUT = 5.0
_LONGEST_LINE = 65536
_POLL = 0.2

COMMANDS = {
    "status": "what it does, as JSON",
    "background": "SPEC (a picture, a video, a colour, blur, none), or next",
    "reload": "open the background's file again",
    "blur": "STRENGTH (above 0, to 1), + or -",
    "pause": "on, off, or nothing to change it",
    "preset": "auto, quality, balanced, fast, or the file the run was started with",
    "mirror": "on, off, or nothing to change it",
    "frame": "on, off, or nothing to change it: follow the person with a crop",
    "debug": "on, off, or nothing to change it: the trimap, in the window only",
    "snapshot": "FILE.png, or nothing for a new file in the current folder",
    "quit": "end the run",
}
"""Every command with what it takes."""


class Controls:
    """Carries out commands on a run."""

    def __init__(self, run: LiveRun, backdrop: Backdrop, say: Callable[[str], None]) -> None:
        self._run = run
        self._backdrop = backdrop
        self._say = say
        self._soon: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="rtmatte keys", daemon=True)
        self._thread.start()
        self._commands: dict[str, Callable[[str], object]] = {
            "status": lambda value: None,
            "background": self._background,
            "reload": lambda value: backdrop.reload(),
            "blur": self._blur,
            "pause": lambda value: run.pause(_switch(value, run.paused)),
            "preset": run.matting.choose_preset,
            "mirror": lambda value: setattr(run.matting, "mirror", _switch(value, run.matting.mirror)),
            "frame": lambda value: setattr(run.matting, "framing", _switch(value, run.matting.framing)),
            "debug": lambda value: setattr(run.matting, "debug", _switch(value, run.matting.debug)),
            "snapshot": self._snapshot,
            "quit": lambda value: run.stop(),
        }

    def execute(self, command: str, value: str = "") -> dict[str, object]:
        """Carry out one command and wait for it.

        Returns:
            ``status`` of the run after it; ``file`` for a snapshot.

        Raises:
            MattingError: there is no such command, or it cannot be carried out; nothing has changed then.
        """
        if command not in self._commands:
            raise InputError(f"{command}: no such command; there are {', '.join(COMMANDS)}")
        done = self._commands[command](value)
        answer: dict[str, object] = {"status": self._run.status()}
        if command == "snapshot":
            answer["file"] = str(done)
        return answer

    def execute_soon(self, command: str, value: str = "") -> None:
        """Carry out one command in another thread, so that a picture that takes long to load holds nothing up."""
        self._soon.put((command, value))

    def _work(self) -> None:
        while (item := self._soon.get()) is not None:
            try:
                answer = self.execute(*item)
            except MattingError as error:
                self._say(str(error))
            else:
                if "file" in answer:
                    self._say(f"snapshot: {answer['file']}")

    def _background(self, value: str) -> None:
        if value in ("", "next"):
            self._backdrop.next()
        else:
            self._backdrop.show(os.path.expanduser(value))

    def _blur(self, value: str) -> None:
        if value in ("+", "-"):
            self._backdrop.blur_more(1 if value == "+" else -1)
            return
        try:
            strength = float(value)
        except ValueError:
            strength = 0.0
        if not 0 < strength <= 1:
            raise InputError(f"{value!r}: the strength of a blur is a number above 0, to 1, or + or -")
        self._backdrop.blur(strength)

    def _snapshot(self, value: str) -> Path:
        picture = self._run.picture()
        if picture is None:
            raise InputError("there is no picture yet to take a snapshot of; try again in a moment")
        path = Path(os.path.expanduser(value) or time.strftime("rtmatte-%Y%m%d-%H%M%S.png")).absolute()
        if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
            raise InputError(f"{path.name}: a snapshot is a .png, .jpg or .webp")
        written, data = cv2.imencode(path.suffix.lower(), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        try:
            if not written:
                raise OSError("it cannot be encoded")
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror or error}); choose another place") from error
        return path

    def close(self) -> None:
        """End the thread; what was asked for soon is still done."""
        self._soon.put(None)
        self._thread.join(_POLL)


def _switch(value: str, now: bool) -> bool:
    states = {"on": True, "off": False, "": not now, "toggle": not now}
    if value not in states:
        raise InputError(f"{value!r}: give on, off, or nothing to change it")
    return states[value]


def socket_path() -> Path:
    """Where the socket of this user's run is."""
    folder = os.environ.get("XDG_RUNTIME_DIR")
    if folder:
        return Path(folder) / "rtmatte.sock"
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"rtmatte-{owner}" / "rtmatte.sock"


class ControlServer:
    """Answers on a socket until it is closed."""

    def __init__(self, controls: Controls, path: Path) -> None:
        """Listen.

        Raises:
            InputError: another run listens there, or this system has no such sockets.
            OutputError: the socket cannot be made.
        """
        if not hasattr(socket, "AF_UNIX"):
            raise InputError("this system has no Unix sockets; use the keys in the window")
        self._controls = controls
        self._path = path
        self._stop = threading.Event()
        try:
            _private_folder(path.parent)
            _remove_dead(path)
            self._socket = socket.socket(socket.AF_UNIX)
            before = os.umask(0o177)  # from its first moment on, nobody else may connect
            try:
                self._socket.bind(str(path))
            finally:
                os.umask(before)
            self._socket.listen(4)
            self._socket.settimeout(_POLL)
        except OSError as error:
            raise OutputError(f"{path}: cannot be made ({error.strerror or error})") from error
        self._thread = threading.Thread(target=self._serve, name="rtmatte control", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(_POLL)
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        """Answer the lines of one connection; one that says nothing for a while is closed, for others wait."""
        buffer = b""
        give_up = time.monotonic() + _TIMEOUT
        while not self._stop.is_set() and time.monotonic() < give_up and len(buffer) < _LONGEST_LINE:
            try:
                data = connection.recv(4096)
            except TimeoutError:
                continue
            if not data:
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                connection.sendall(json.dumps(self._reply(line)).encode() + b"\n")
                give_up = time.monotonic() + _TIMEOUT

    def _reply(self, line: bytes) -> dict[str, object]:
        try:
            request = json.loads(line)
        except ValueError:
            return {"ok": False, "error": "a request is one line of JSON"}
        if not isinstance(request, dict) or not isinstance(request.get("command"), str):
            return {"ok": False, "error": 'a request is an object, like {"command": "status"}'}
        try:
            return {"ok": True, **self._controls.execute(request["command"], str(request.get("value", "")))}
        except MattingError as error:
            return {"ok": False, "error": str(error)}

    def close(self) -> None:
        """Stop listening and remove the socket; calling it twice is harmless."""
        if self._stop.is_set():
            return
        self._stop.set()
        with suppress(OSError):  # wakes accept() on Linux; elsewhere its time runs out soon
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)
        self._thread.join(2 * _POLL)


def _private_folder(folder: Path) -> None:
    """Make the folder, or see that it is this user's own."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(0, "the folder belongs to another user")


def _remove_dead(path: Path) -> None:
    """Remove a socket that nobody listens on any more; refuse one that somebody does."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_POLL)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise InputError("another rtmatte webcam of yours runs already")


def send_command(command: str, value: str = "", *, path: Path | None = None) -> Mapping[str, object]:
    """Have a running ``rtmatte webcam`` carry out a command.

    Returns:
        Its answer: ``status``, and ``file`` for a snapshot.

    Raises:
        InputError: none runs, or it refuses the command.
    """
    where = path or socket_path()
    if not hasattr(socket, "AF_UNIX"):
        raise InputError("this system has no Unix sockets; use the keys in the window")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_TIMEOUT)
            connection.connect(str(where))
            connection.sendall(json.dumps({"command": command, "value": value}).encode() + b"\n")
            with connection.makefile() as answers:
                line = answers.readline()
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise InputError("no rtmatte webcam is running; start it first") from error
    except OSError as error:
        raise InputError(f"the rtmatte webcam that runs does not answer ({error.strerror or error})") from error
    if not line:
        raise InputError("the rtmatte webcam that runs has ended")
    answer: dict[str, object] = json.loads(line)
    if not answer.pop("ok"):
        raise InputError(str(answer["error"]))
    return answer
