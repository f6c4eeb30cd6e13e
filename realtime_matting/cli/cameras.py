"""What of cameras and virtual cameras can be seen without opening any."""

import importlib.metadata
import os
import sys
from pathlib import Path

from realtime_matting.engines.availability import Availability

DEVICES = Path("/dev")
VIDEO_DEVICES = Path("/sys/class/video4linux")
LOAD_LOOPBACK = "sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=rtmatte"


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


def check_virtual_camera(devices: Path = DEVICES, described: Path = VIDEO_DEVICES) -> Availability:
    """Whether other programs can be given a camera: the Python package, and the driver it writes to."""
    name = "virtual camera"
    try:
        version = importlib.metadata.version("pyvirtualcam")
    except importlib.metadata.PackageNotFoundError:
        return Availability(name, False, "pyvirtualcam is not installed", "pip install 'rtmatte[virtualcam]'")
    if not sys.platform.startswith("linux"):
        detail = f"pyvirtualcam {version}; it needs OBS Studio, of which the virtual camera was started once"
        return Availability(name, True, detail)
    loopbacks = [(device, label) for device, label, virtual in _video_devices(devices, described) if virtual]
    if not loopbacks:
        return Availability(name, False, "there is no v4l2loopback device", LOAD_LOOPBACK)
    for device, label in loopbacks:
        if os.access(device, os.W_OK):
            return Availability(name, True, f"{device} ({label}), pyvirtualcam {version}")
    return Availability(name, False, f"{loopbacks[0][0]}: no permission", 'sudo usermod -aG video "$USER"')


def _video_devices(devices: Path, described: Path) -> list[tuple[Path, str, bool]]:
    """(device, its name, whether it is virtual), in the order of their numbers."""
    entries = sorted(described.glob("video*"), key=lambda entry: (len(entry.name), entry.name))
    return [
        (devices / entry.name, (entry / "name").read_text().strip(), "virtual" in entry.resolve().parts)
        for entry in entries
        if (devices / entry.name).exists()
    ]
