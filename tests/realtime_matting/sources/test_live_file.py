"""A file as a camera: paced, looped, and never late for long."""

import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from realtime_matting.errors import InputError
from realtime_matting.sources.live_base import CameraGone, Shot
from realtime_matting.sources.live_file import LoopedFileCamera

FRAMES, RATE = 5, 50


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Five frames whose grey level is their number times 20, without loss."""
    path = tmp_path / "clip.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "bgr0"
        for number in range(FRAMES):
            rgb = np.full((24, 32, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="bgr0")))
        container.mux(stream.encode(None))
    return path


def read(camera: LoopedFileCamera, count: int) -> list[Shot]:
    shots: list[Shot] = []
    while len(shots) < count:
        shot = camera.read(0.05)
        if shot is not None:
            shots.append(shot)
    return shots


def test_frames_come_in_order_round_after_round(clip: Path) -> None:
    camera = LoopedFileCamera(str(clip))
    assert camera.size == (32, 24)
    levels = [int(shot.rgb[0, 0, 0]) // 20 for shot in read(camera, 13)]
    assert levels == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2]
    camera.close()


@pytest.mark.parametrize(("fps", "period"), [(None, 1 / RATE), (25.0, 1 / 25)])
def test_they_come_at_their_own_pace_or_the_one_asked_for(clip: Path, fps: float | None, period: float) -> None:
    camera = LoopedFileCamera(str(clip), fps=fps)
    times = [shot.captured for shot in read(camera, 16)]
    # The mean over three rounds: a busy machine may be late with one frame, and is not with the next.
    assert np.mean(np.diff(times)) == pytest.approx(period, rel=0.25)
    camera.close()


def test_a_read_does_not_wait_longer_than_asked_for(clip: Path) -> None:
    camera = LoopedFileCamera(str(clip), fps=1.0)
    read(camera, 1)
    began = time.monotonic()
    assert camera.read(0.05) is None
    assert time.monotonic() - began < 0.5
    camera.close()


def test_after_a_long_sleep_it_goes_on_at_its_pace(clip: Path) -> None:
    camera = LoopedFileCamera(str(clip))
    read(camera, 2)
    time.sleep(0.5)
    times = [shot.captured for shot in read(camera, 8)]
    assert times[-1] - times[0] > 5 / RATE  # not a burst of what was missed
    camera.close()


def test_a_picture_is_a_camera_too(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), np.full((24, 32, 3), 60, np.uint8))
    camera = LoopedFileCamera(str(path), fps=50.0)
    assert [int(shot.rgb[0, 0, 0]) for shot in read(camera, 4)] == [60] * 4
    camera.close()


def test_a_file_that_is_gone_at_its_end_is_a_lost_camera(clip: Path) -> None:
    camera = LoopedFileCamera(str(clip))
    read(camera, 2)
    clip.unlink()
    with pytest.raises(CameraGone, match="no such file"):
        read(camera, FRAMES)
    camera.close()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        LoopedFileCamera(str(tmp_path / "none.mp4"))
