"""A window on the screen with the keys people expect, through pygame-ce (SDL 2).

Why pygame-ce: OpenCV's headless build has no windows, Tk draws video too slowly and is often not installed, Qt weighs a
hundred megabytes. pygame-ce is kept up by many people, comes as one wheel for Linux, Windows and macOS, with SDL in it,
and its licence (LGPL) leaves this project its own.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import MissingExtraError, OutputError

_TITLE = "rtmatte"

KEYS: dict[str, tuple[str, str]] = {
    "q": ("quit", ""),
    "escape": ("quit", ""),
    "space": ("pause", ""),
    "b": ("background", "next"),
    "r": ("reload", ""),
    "[": ("blur", "-"),
    "]": ("blur", "+"),
    "m": ("mirror", ""),
    "d": ("debug", ""),
    "f": ("frame", ""),
    "s": ("snapshot", ""),
}
"""Key → command and value; see ``control.COMMANDS``."""


class WindowSink:
    """Shows what goes out (a ``LiveSink``); its calls must come from one thread, the main one on macOS.

    Attributes:
        on_command: called with the command and value of a key; closing the window is ``quit``.
    """

    name = "window"
    private = True

    def __init__(self, width: int, height: int) -> None:
        """Open the window.

        Raises:
            MissingExtraError: pygame-ce is not installed.
            OutputError: there is no screen to open it on.
        """
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError as error:
            raise MissingExtraError("--output window", "window") from error
        self.on_command: Callable[[str, str], None] = lambda command, value: None
        self._pygame: Any = pygame
        try:
            pygame.display.init()
            pygame.display.set_mode((width, height), pygame.RESIZABLE)
        except pygame.error as error:
            pygame.display.quit()
            raise OutputError(
                f"window: cannot be opened ({error}); run it where there is a screen, or use --output none"
            ) from error
        pygame.display.set_caption(_TITLE)
        self._size = (width, height)
        self._open = True

    def send(self, rgb: NDArray[np.uint8], time: float) -> None:
        if not self._open:
            return
        for event in self._pygame.event.get():
            self._heed(event)
        picture = self._pygame.image.frombuffer(np.ascontiguousarray(rgb).data, self._size, "RGB")
        self._show(picture)

    def _show(self, picture: Any) -> None:
        """Put the picture into the window, as large as fits, whatever size the user gave it."""
        screen = self._pygame.display.get_surface()
        width, height = screen.get_size()
        scale = min(width / self._size[0], height / self._size[1])
        if scale != 1:
            size = max(1, round(scale * self._size[0])), max(1, round(scale * self._size[1]))
            picture = self._pygame.transform.scale(picture, size)
            screen.fill((0, 0, 0))
        screen.blit(picture, ((width - picture.get_width()) // 2, (height - picture.get_height()) // 2))
        self._pygame.display.flip()

    def _heed(self, event: Any) -> None:
        if event.type == self._pygame.QUIT:
            self.on_command("quit", "")
        elif event.type == self._pygame.KEYDOWN:
            # The character, so that brackets are found on every keyboard; the name for keys that have none.
            for name in (event.unicode.lower(), self._pygame.key.name(event.key)):
                if name in KEYS:
                    self.on_command(*KEYS[name])
                    return

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        if self._open:
            self._open = False
            self._pygame.display.quit()
