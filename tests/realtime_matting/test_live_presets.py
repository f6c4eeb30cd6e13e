"""The presets of a live run."""

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.live_presets import LiveMatte, live_presets


def disc(height: int, width: int) -> NDArray[np.uint8]:
    """A green disc on grey."""
    rows, columns = np.mgrid[:height, :width]
    inside = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (height / 3) ** 2
    return np.where(inside[..., None], (20, 230, 30), (120, 110, 130)).astype(np.uint8)


class Matter:
    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def __call__(self, rgb: NDArray[np.uint8]) -> LiveMatte:
        self.sizes.append(rgb.shape[1::-1])
        alpha = np.clip((rgb[..., 1].astype(np.float32) - 110) / 120, 0, 1)
        trimap = np.where(alpha <= 0, 0, np.where(alpha >= 1, 255, 128)).astype(np.uint8)
        return LiveMatte(alpha, rgb, trimap, "refresh: first frame")


@pytest.mark.parametrize(("name", "size"), [("quality", (1280, 720)), ("balanced", (448, 252)), ("fast", (320, 180))])
def test_each_mattes_its_own_size_and_gives_the_frames(name: str, size: tuple[int, int]) -> None:
    matter = Matter()
    rgb = disc(720, 1280)
    matte = live_presets(matter)[name](rgb)
    assert matter.sizes == [size]
    assert matte.alpha.shape == (720, 1280)
    assert matte.alpha.dtype == np.float32
    assert matte.alpha.min() >= 0
    assert matte.alpha.max() <= 1
    assert matte.foreground.shape == rgb.shape
    expected = Matter()(rgb).alpha
    assert np.abs(matte.alpha - expected).mean() < 0.01


def test_a_small_frame_is_not_enlarged() -> None:
    matter = Matter()
    live_presets(matter)["balanced"](disc(160, 240))
    assert matter.sizes == [(240, 160)]


def test_the_dearest_comes_first() -> None:
    assert list(live_presets(Matter())) == ["quality", "balanced", "fast"]
