"""The window and its keys: with SDL's own stand-in for a screen, and with keys pressed on a real X11 screen."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from realtime_matting.control import COMMANDS
from realtime_matting.errors import MissingExtraError, OutputError
from realtime_matting.sinks.window import KEYS, WindowSink

pygame = pytest.importorskip("pygame", reason="the extra window is not installed")

PICTURE = np.full((48, 64, 3), (200, 60, 40), np.uint8)


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[WindowSink]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    made = WindowSink(64, 48)
    yield made
    made.close()
    made.close()


def press(character: str, key: int) -> None:
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, unicode=character, key=key, mod=0, scancode=0))


@pytest.mark.parametrize(
    ("character", "key", "command"),
    [
        ("q", pygame.K_q, ("quit", "")),
        ("", pygame.K_ESCAPE, ("quit", "")),
        (" ", pygame.K_SPACE, ("pause", "")),
        ("b", pygame.K_b, ("background", "next")),
        ("r", pygame.K_r, ("reload", "")),
        ("[", pygame.K_LEFTBRACKET, ("blur", "-")),
        ("]", pygame.K_8, ("blur", "+")),  # where brackets are on another key
        ("m", pygame.K_m, ("mirror", "")),
        ("d", pygame.K_d, ("debug", "")),
        ("S", pygame.K_s, ("snapshot", "")),
    ],
)
def test_each_key_is_its_command(window: WindowSink, character: str, key: int, command: tuple[str, str]) -> None:
    heard: list[tuple[str, str]] = []
    window.on_command = lambda name, value: heard.append((name, value))
    press(character, key)
    window.send(PICTURE, 0.0)
    assert heard == [command]


def test_closing_the_window_ends_the_run_and_other_keys_do_nothing(window: WindowSink) -> None:
    heard: list[tuple[str, str]] = []
    window.on_command = lambda name, value: heard.append((name, value))
    press("x", pygame.K_x)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    window.send(PICTURE, 0.0)
    assert heard == [("quit", "")]


def test_every_key_stands_for_a_command_that_exists() -> None:
    assert {command for command, _ in KEYS.values()} <= set(COMMANDS)


def test_the_picture_is_on_the_screen(window: WindowSink) -> None:
    window.send(PICTURE, 0.0)
    assert pygame.display.get_surface().get_at((10, 10))[:3] == (200, 60, 40)


def test_in_a_larger_window_the_picture_keeps_its_proportions(window: WindowSink) -> None:
    pygame.display.set_mode((200, 96))
    window.send(PICTURE, 0.0)
    screen = pygame.display.get_surface()
    assert screen.get_at((100, 48))[:3] == screen.get_at((40, 2))[:3] == (200, 60, 40)
    assert screen.get_at((20, 48))[:3] == screen.get_at((180, 48))[:3] == (0, 0, 0)


def test_without_a_screen_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.setenv("DISPLAY", ":93")
    with pytest.raises(OutputError, match=r"window: cannot be opened .* use --output none"):
        WindowSink(64, 48)


def test_without_pygame_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rtmatte\[window\]'"):
        WindowSink(64, 48)


@pytest.mark.skipif(
    shutil.which("Xvfb") is None or shutil.which("xdotool") is None, reason="Xvfb or xdotool not installed"
)
def test_a_key_pressed_on_a_real_screen_arrives() -> None:
    ours, theirs = os.pipe()
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.DEVNULL) as screen:
        os.close(theirs)
        try:
            with open(ours) as told:
                display = f":{told.readline().strip()}"
            code = (
                "import numpy as np, time\n"
                "from realtime_matting.sinks.window import WindowSink\n"
                "window, heard = WindowSink(320, 240), []\n"
                "window.on_command = lambda name, value: heard.append(name)\n"
                "print('open', flush=True)\n"
                "give_up = time.monotonic() + 20\n"
                "while not heard and time.monotonic() < give_up:\n"
                "    window.send(np.full((240, 320, 3), 90, np.uint8), 0.0)\n"
                "    time.sleep(0.02)\n"
                "print(heard)\n"
            )
            environment = os.environ | {"DISPLAY": display, "SDL_VIDEODRIVER": "x11"}
            with subprocess.Popen(
                [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "open\n"
                for _ in range(20):
                    if process.poll() is not None:
                        break
                    # Without a window manager, keys go to the window under the pointer.
                    for words in (["mousemove", "320", "240"], ["key", "space"]):
                        subprocess.run(["xdotool", *words], env=environment, check=False)
                    time.sleep(0.3)
                assert "'pause'" in process.stdout.read()
        finally:
            screen.terminate()
