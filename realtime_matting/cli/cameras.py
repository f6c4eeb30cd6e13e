"""What of cameras and virtual cameras can be seen without opening any."""

import importlib.metadata
import os
import sys
from pathlib import Path

from realtime_matting.engines.availability import Availability

DEVICES = Path("/dev")
VIDEO_DEVICES = Path("/sys/class/video4linux")
INSTALL = "pip install 'rtmatte[virtualcam]'"


def check_cameras(devices: Path = DEVICES, described: Path = VIDEO_DEVICES) -> list[Availability]:
    """The cameras Linux knows, without virtual ones; on other systems none is listed, for they have to be opened.

    One camera often has several devices, of which only the first gives pictures.
    """
    found = []
    for device, name, virtual in _video_devices(devices, described):
        if virtual:
            continue
        if os.access(device, os.R_OK | os.W_OK):
            found.append(Availability(str(device), True, name))
        else:
            found.append(Availability(str(device), False, f"{name}: no permission", 'sudo usermod -aG video "$USER"'))
    return found


def check_virtual_cameras(devices: Path = DEVICES, described: Path = VIDEO_DEVICES) -> list[Availability]:
    """What gives other programs a camera, in the order in which ``rtmatte webcam`` tries it."""
    if not sys.platform.startswith("linux"):
        return [_check_obs()]
    return [_check_loopback(devices, described), _check_pipewire()]


def _check_obs() -> Availability:
    version = _pyvirtualcam()
    if version is None:
        return Availability("obs", False, "pyvirtualcam is not installed", INSTALL)
    detail = f"pyvirtualcam {version}; it needs OBS Studio, of which the virtual camera was started once"
    return Availability("obs", True, detail)


def _check_loopback(devices: Path, described: Path) -> Availability:
    """A kernel module and a Python package."""
    name = "v4l2loopback"
    version = _pyvirtualcam()
    if version is None:
        return Availability(name, False, "pyvirtualcam is not installed", INSTALL)
    loopbacks = [(device, label) for device, label, virtual in _video_devices(devices, described) if virtual]
    if not loopbacks:
        from realtime_matting.sinks.v4l2loopback import LOAD_MODULE

        return Availability(name, False, "the kernel module is not loaded", LOAD_MODULE)
    for device, label in loopbacks:
        if os.access(device, os.W_OK):
            return Availability(name, True, f"{device} ({label}), pyvirtualcam {version}")
    return Availability(name, False, f"{loopbacks[0][0]}: no permission", 'sudo usermod -aG video "$USER"')


def _check_pipewire() -> Availability:
    from realtime_matting.sinks.pipewire import why_not

    # "pipewire: what is wrong: the command that mends it"
    reason = why_not()
    if reason is None:
        return Availability("pipewire", True, "runs for this user; no kernel module is needed")
    detail, _, fix = reason.removeprefix("pipewire: ").rpartition(": ")
    return Availability("pipewire", False, detail, fix)


def _pyvirtualcam() -> str | None:
    try:
        return importlib.metadata.version("pyvirtualcam")
    except importlib.metadata.PackageNotFoundError:
        return None


def _video_devices(devices: Path, described: Path) -> list[tuple[Path, str, bool]]:
    """(device, its name, whether it is virtual), in the order of their numbers."""
    entries = sorted(described.glob("video*"), key=lambda entry: (len(entry.name), entry.name))
    return [
        (devices / entry.name, (entry / "name").read_text().strip(), "virtual" in entry.resolve().parts)
        for entry in entries
        if (devices / entry.name).exists()
    ]
