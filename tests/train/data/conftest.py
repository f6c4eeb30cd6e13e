"""The real command line of the data tools, and drawn pictures."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

Tool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tool() -> Tool:
    """``python -m train.data ARGUMENTS…`` in a process of its own; the package ``hide`` cannot be imported there."""

    def run(*arguments: object, hide: str = "nothing_of_this_name") -> subprocess.CompletedProcess[str]:
        code = f"import runpy, sys; sys.modules[{hide!r}] = None; sys.argv = {['x', *map(str, arguments)]!r}; "
        code += "runpy.run_module('train.data', run_name='__main__')"
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
        )

    return run


def _disc_alpha(height: int = 120, width: int = 100, radius: float = 35.0) -> np.ndarray:
    """A person, for want of one: a disc with a wavy, soft edge; uint8 (H, W)."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    distance = np.hypot(x - width / 2, y - height / 2) + 3 * np.sin(x / 3)
    return (np.clip((radius - distance) / 8 + 0.5, 0, 1) * 255 + 0.5).astype(np.uint8)


def _scene(seed: int, height: int = 120, width: int = 160) -> np.ndarray:
    """A background that looks like no other; uint8 (H, W, 3)."""
    small = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def disc_alpha() -> Callable[..., np.ndarray]:
    """Draws a person's alpha: (height, width, radius) → uint8 (H, W)."""
    return _disc_alpha


@pytest.fixture
def scene() -> Callable[..., np.ndarray]:
    """Draws a background: (seed, height, width) → uint8 (H, W, 3)."""
    return _scene


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Folder with ``people`` (three RGBA) and ``rooms`` (five pictures), all sound."""
    (tmp_path / "people").mkdir()
    (tmp_path / "rooms").mkdir()
    for number in range(3):
        color = 60 + _scene(number, 120, 100) // 2
        rgba = np.dstack([color, _disc_alpha(radius=30.0 + 4 * number)])
        cv2.imwrite(str(tmp_path / f"people/P{number}_front.png"), rgba)
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"rooms/room_{number}.png"), _scene(100 + number))
    return tmp_path
