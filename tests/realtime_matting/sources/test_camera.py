"""What ``--camera`` may be, and what is said where it cannot be."""

from pathlib import Path

import pytest

from realtime_matting.errors import InputError
from realtime_matting.sources import camera as cameras
from realtime_matting.sources import stream_camera
from realtime_matting.sources.camera import CameraInfo, open_camera
from realtime_matting.sources.live_base import CameraError
from realtime_matting.sources.live_file import LoopedFileCamera

HERE = [
    CameraInfo("/dev/video0", "HD Webcam"),
    CameraInfo("/dev/video2", "USB Capture"),
    CameraInfo("/dev/video4", "HD IR"),
]


@pytest.fixture
def three_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "list_cameras", lambda: HERE)


@pytest.mark.parametrize(
    ("spec", "device"), [(None, "/dev/video0"), ("capture", "/dev/video2"), ("HD IR", "/dev/video4")]
)
def test_a_camera_is_found_by_a_part_of_its_name_and_the_first_without_one(spec: str | None, device: str) -> None:
    assert cameras._device(spec, HERE) == device


def test_a_name_that_fits_several_is_refused_with_those(three_cameras: None) -> None:
    with pytest.raises(InputError, match=r"hd: 2 cameras have this name; there are /dev/video0 \(HD Webcam\)"):
        open_camera("hd")


def test_a_name_that_fits_none_is_refused_with_all(three_cameras: None) -> None:
    with pytest.raises(InputError, match=r"neither a file nor a camera; there are .*USB Capture"):
        open_camera("beach.mp4")


def test_without_a_camera_it_says_what_else_can_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "list_cameras", list)
    with pytest.raises(InputError, match="no camera was found; plug one in, or give --camera a video file"):
        open_camera(None)


@pytest.mark.parametrize("spec", ["93", "/dev/video93"])
def test_a_number_without_a_device_is_refused(spec: str) -> None:
    with pytest.raises(InputError, match="video93"):
        open_camera(spec)


def test_a_file_is_a_camera(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    path = tmp_path / "room.png"
    cv2.imwrite(str(path), np.zeros((24, 32, 3), np.uint8))
    camera = open_camera(str(path))
    assert isinstance(camera, LoopedFileCamera)
    camera.close()


def test_a_device_that_is_no_camera_is_told_with_the_reason() -> None:
    with pytest.raises(CameraError, match="/dev/null: cannot be used"):
        open_camera("/dev/null")


def test_a_busy_device_is_told_with_who_holds_it() -> None:
    busy = OSError(16, "Device or resource busy")
    assert cameras._why_not(busy, "/dev/video0", ["zoom (process 41)"]) == (
        "is in use by zoom (process 41); close that, or choose another camera"
    )
    assert "usermod -aG video" in cameras._why_not(PermissionError(13, "no"), "/dev/video0", [])
    assert "Device or resource busy" in cameras._why_not(busy, "/dev/video0", [])


def test_an_address_that_cannot_be_reached_is_told_without_its_password() -> None:
    with pytest.raises(
        CameraError, match=r"^http://127.0.0.1:9/live: cannot be opened \(Connection refused\)"
    ) as error:
        open_camera("http://me:secret@127.0.0.1:9/live")
    assert "secret" not in str(error.value)


def test_the_screen_needs_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(stream_camera, "_opencv_has_windows", lambda: False)
    with pytest.raises(InputError, match="without an X11 display"):
        open_camera("screen")


def test_the_screen_is_refused_where_it_would_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_camera, "_opencv_has_windows", lambda: True)
    with pytest.raises(InputError, match="pip install --force-reinstall opencv-python-headless"):
        open_camera("screen::0")
