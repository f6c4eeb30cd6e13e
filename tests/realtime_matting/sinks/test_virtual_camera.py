"""Which virtual camera is taken, and what is said where none can be."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from realtime_matting.errors import InputError, MissingExtraError, OutputError
from realtime_matting.sinks import v4l2loopback, virtual_camera
from realtime_matting.sinks.v4l2loopback import MODPROBE, ObsSink, V4l2LoopbackSink
from realtime_matting.sinks.virtual_camera import open_virtual_camera


class Camera:
    """Stands in for pyvirtualcam's camera, which needs a kernel module or OBS."""

    device = "/dev/video10"
    error: Exception | None = None

    def __init__(self, **options: Any) -> None:
        if Camera.error is not None:
            raise Camera.error
        self.options = options
        self.sent: list[Any] = []
        self.closed = 0

    def send(self, rgb: Any) -> None:
        if Camera.error is not None:
            raise Camera.error
        self.sent.append(rgb)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def pyvirtualcam(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Camera]]:
    module = SimpleNamespace(Camera=Camera, PixelFormat=SimpleNamespace(RGB="rgb"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)
    yield Camera
    Camera.error = None


@pytest.fixture
def module_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v4l2loopback, "_loopback_devices", lambda: ["/dev/video10"])


def refusing(reason: str) -> Any:
    def opener(device: str, width: int, height: int, fps: float) -> Any:
        raise InputError(reason)

    return opener


def test_the_first_back_end_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(virtual_camera.BACK_ENDS, "v4l2loopback", refusing("v4l2loopback: no"))
    monkeypatch.setitem(virtual_camera.BACK_ENDS, "pipewire", lambda *words: ("pipewire", *words))
    assert open_virtual_camera("virtual", width=64, height=48, fps=30) == ("pipewire", "", 64, 48, 30)


def test_where_none_works_each_is_told_with_its_reason_and_its_command(
    monkeypatch: pytest.MonkeyPatch, pyvirtualcam: type[Camera]
) -> None:
    monkeypatch.setattr(v4l2loopback, "_loopback_devices", list)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError) as error:
        open_virtual_camera("virtual", width=64, height=48, fps=30)
    said = str(error.value)
    assert f"v4l2loopback: the kernel module is not loaded: sudo apt install v4l2loopback-dkms && {MODPROBE}." in said
    assert "exclusive_caps=1" in said
    assert "pipewire: gst-launch-1.0 and gst-inspect-1.0 and pw-dump not found: sudo apt install pipewire" in said
    assert said.endswith("Or see it with --output window")
    assert "\n" not in said


def test_elsewhere_it_is_obs(monkeypatch: pytest.MonkeyPatch, pyvirtualcam: type[Camera]) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert open_virtual_camera("virtual", width=64, height=48, fps=30).name == "OBS Virtual Camera"
    with pytest.raises(InputError, match="pipewire: not on this system; use obs"):
        open_virtual_camera("pipewire", width=64, height=48, fps=30)
    pyvirtualcam.error = RuntimeError("OBS Virtual Camera is not installed.")
    with pytest.raises(InputError, match=r"is not installed\): brew install --cask obs"):
        ObsSink(64, 48, 30)


def test_pyvirtualcam_is_asked_for_rgb_of_the_size_and_rate(
    pyvirtualcam: type[Camera], module_loaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_matting.sources.v4l2.is_output", lambda path: True)
    sink = open_virtual_camera("/dev/video10", width=64, height=48, fps=25)
    assert isinstance(sink, V4l2LoopbackSink)
    assert sink._camera.options == {
        "width": 64,
        "height": 48,
        "fps": 25,
        "fmt": "rgb",
        "backend": "v4l2loopback",
        "device": "/dev/video10",
    }
    picture = np.zeros((48, 64, 3), np.uint8)
    sink.send(picture, 0.0)
    assert len(sink._camera.sent) == 1
    assert sink.name == "v4l2loopback /dev/video10"
    sink.close()
    sink.close()
    assert sink._camera.closed == 1


def test_readers_of_the_device_are_noticed(
    pyvirtualcam: type[Camera], module_loaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    holders: list[str] = []
    monkeypatch.setattr("realtime_matting.sources.v4l2.holders", lambda path: holders)
    sink = V4l2LoopbackSink(64, 48, 30)
    give_up = time.monotonic() + 5
    while sink.watched():
        assert time.monotonic() < give_up
        time.sleep(0.02)
    holders.append("chrome (process 7)")
    while not sink.watched():
        assert time.monotonic() < give_up
        time.sleep(0.02)
    sink.close()


def test_a_device_that_nothing_can_be_written_to_is_refused(pyvirtualcam: type[Camera], module_loaded: None) -> None:
    with pytest.raises(InputError, match="/dev/null: pictures cannot be written to it; use one of /dev/video10"):
        V4l2LoopbackSink(64, 48, 30, device="/dev/null")


def test_a_device_in_use_is_told_with_the_command(pyvirtualcam: type[Camera], module_loaded: None) -> None:
    pyvirtualcam.error = RuntimeError("no v4l2loopback device is free.")
    with pytest.raises(InputError, match=r"no device is free .*sudo modprobe -r v4l2loopback && sudo modprobe"):
        V4l2LoopbackSink(64, 48, 30)


def test_a_device_that_fails_under_way_is_an_output_error(pyvirtualcam: type[Camera]) -> None:
    sink = ObsSink(64, 48, 30)
    pyvirtualcam.error = RuntimeError("gone")
    with pytest.raises(OutputError, match=r"takes no more pictures \(gone\)"):
        sink.send(np.zeros((48, 64, 3), np.uint8), 0.0)


def test_without_pyvirtualcam_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, module_loaded: None) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rtmatte\[virtualcam\]'"):
        V4l2LoopbackSink(64, 48, 30)


def test_the_real_pyvirtualcam_has_what_is_asked_of_it() -> None:
    real = pytest.importorskip("pyvirtualcam", reason="the extra virtualcam is not installed")
    assert real.PixelFormat.RGB
    with pytest.raises(RuntimeError):
        v4l2loopback._open("v4l2loopback", 64, 48, 30.0, "/dev/null")
