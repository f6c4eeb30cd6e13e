"""``rtmatte doctor``: what it finds on this machine, and on machines that lack something."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import get_args

import pytest

from realtime_matting.cli.cameras import check_cameras, check_virtual_cameras
from realtime_matting.engines import EngineName

Rtmatte = Callable[..., CompletedProcess[str]]


def test_every_engine_is_listed_and_openvino_was_really_run(rtmatte: Rtmatte) -> None:
    done = rtmatte("doctor", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    engines = {engine["name"]: engine for engine in report["engines"]}
    assert engines.keys() == set(get_args(EngineName)) - {"auto"}
    assert engines["openvino"]["usable"]
    assert engines["openvino"]["detail"].startswith("OpenVINO CPU ")
    assert engines[report["auto"]]["usable"]
    for engine in report["engines"]:
        assert engine["detail"]
        assert "\n" not in engine["detail"]
    assert report["packages"]["openvino"]
    assert report["cores"] >= 1
    assert report["compiled"].startswith("compiled for ")


def test_people_get_a_line_each_and_the_fix_below(rtmatte: Rtmatte, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_matting.engines.availability.driver_is_installed", lambda: False)
    monkeypatch.setattr("realtime_matting.engines.availability.sys.platform", "linux")
    lines = rtmatte("doctor").stdout.splitlines()
    place = next(index for index, line in enumerate(lines) if line.split()[:2] == ["no", "tensorrt"])
    assert lines[place].endswith("there is no NVIDIA driver")
    assert lines[place + 1].strip() == "fix: install the NVIDIA driver: https://www.nvidia.com/drivers"
    assert any(line.split()[:2] == ["yes", "openvino"] for line in lines)
    assert "auto takes openvino" in lines
    directml = next(line for line in lines if line.split()[:2] == ["no", "onnxruntime-directml"])
    assert directml.endswith("there is none for this system, only for Windows")


def test_without_any_engine_it_leaves_with_one_and_names_the_commands(
    rtmatte: Rtmatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("openvino", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(sys.modules, f"realtime_matting.engines.{package}", raising=False)
    monkeypatch.setattr("realtime_matting.engines.availability.driver_is_installed", lambda: False)
    done = rtmatte("doctor")
    assert done.returncode == 1
    assert done.stderr == ""
    assert "auto finds no engine" in done.stdout
    assert "fix: pip install openvino" in done.stdout
    assert "fix: pip install 'rtmatte[onnxruntime]'" in done.stdout


def test_a_package_that_is_broken_is_a_finding_and_not_a_failure(
    rtmatte: Rtmatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("libopenvino.so:\n wrong architecture")

    monkeypatch.setattr("realtime_matting.engines.availability.open_engine", broken)
    report = json.loads(rtmatte("doctor", "--json").stdout)
    openvino = next(engine for engine in report["engines"] if engine["name"] == "openvino")
    assert openvino["detail"] == "OSError: libopenvino.so: wrong architecture"
    assert openvino["fix"] == "pip install openvino"


def test_an_engine_with_wrong_numbers_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    from realtime_matting.engines import availability

    class Wrong:
        name = "Wrong"

        def __call__(self, inputs):
            return {"alpha": inputs["rgb"]}

        def close(self):
            pass

    monkeypatch.setattr(availability, "open_engine", lambda *_, **__: Wrong())
    assert availability._check_engine("openvino").detail == "Wrong computes wrong numbers"


def test_help_stays_light() -> None:
    code = (
        "import sys\nfrom realtime_matting.cli import main\n"
        "try:\n    main(['doctor', '--help'])\nexcept SystemExit:\n    pass\n"
        "print('loaded:', [n for n in ('numpy', 'cv2', 'openvino', 'tensorrt_rtx', 'cuda') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--json" in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded: []"


@pytest.fixture
def video_devices(tmp_path: Path) -> tuple[Path, Path]:
    """/dev and /sys/class/video4linux with a camera, its second device that is gone, and a loopback device."""
    devices, described = tmp_path / "dev", tmp_path / "class"
    devices.mkdir()
    described.mkdir()
    for number, name, parent in [(0, "USB Camera", "pci"), (1, "gone", "pci"), (10, "rtmatte", "virtual")]:
        folder = tmp_path / "devices" / parent / f"video{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (described / f"video{number}").symlink_to(folder)
        if name != "gone":
            (devices / f"video{number}").touch()
    return devices, described


def test_cameras_are_told_from_virtual_ones(video_devices: tuple[Path, Path]) -> None:
    (camera,) = check_cameras(*video_devices)
    assert (Path(camera.name).name, camera.usable, camera.detail) == ("video0", True, "USB Camera")


def test_a_camera_without_permission_names_the_group(
    video_devices: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_matting.cli.cameras.os.access", lambda *_: False)
    (camera,) = check_cameras(*video_devices)
    assert not camera.usable
    assert camera.detail == "USB Camera: no permission"
    assert camera.fix == 'sudo usermod -aG video "$USER"'


def test_a_machine_without_video_devices_has_no_cameras(tmp_path: Path) -> None:
    assert check_cameras(tmp_path, tmp_path / "missing") == []


def test_the_virtual_camera_needs_a_package_and_a_loopback_device(
    video_devices: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.metadata

    from realtime_matting.sinks.v4l2loopback import MODPROBE

    monkeypatch.setattr("realtime_matting.cli.cameras.sys.platform", "linux")

    def missing(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    with monkeypatch.context() as patched:
        patched.setattr("realtime_matting.cli.cameras.importlib.metadata.version", missing)
        assert check_virtual_cameras(*video_devices)[0].fix == "pip install 'rtmatte[virtualcam]'"
    monkeypatch.setattr("realtime_matting.cli.cameras.importlib.metadata.version", lambda package: "0.15.0")
    found = check_virtual_cameras(*video_devices)[0]
    assert found.usable
    assert found.detail.endswith("video10 (rtmatte), pyvirtualcam 0.15.0")
    absent = check_virtual_cameras(tmp_path, tmp_path / "none")[0]
    assert not absent.usable
    assert absent.fix == f"sudo apt install v4l2loopback-dkms && {MODPROBE}", "what rtmatte webcam says, too"
    with monkeypatch.context() as patched:
        patched.setattr("realtime_matting.cli.cameras.sys.platform", "darwin")
        assert [camera.name for camera in check_virtual_cameras(*video_devices)] == ["obs"]


@pytest.mark.parametrize(
    ("reason", "detail", "fix"),
    [
        (None, "runs for this user; no kernel module is needed", ""),
        ("pipewire: pw-dump not found: sudo apt install pipewire", "pw-dump not found", "sudo apt install pipewire"),
    ],
)
def test_pipewire_is_the_other_virtual_camera(
    monkeypatch: pytest.MonkeyPatch, reason: str | None, detail: str, fix: str
) -> None:
    monkeypatch.setattr("realtime_matting.cli.cameras.sys.platform", "linux")
    monkeypatch.setattr("realtime_matting.sinks.pipewire.why_not", lambda: reason)
    pipewire = check_virtual_cameras()[1]
    assert (pipewire.name, pipewire.usable, pipewire.detail, pipewire.fix) == (
        "pipewire",
        reason is None,
        detail,
        fix,
    )
