"""What this machine is, as far as its speed goes."""

import os
import platform
from pathlib import Path


def processor_name() -> str:
    """The processor's name, as the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def core_count() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_busy() -> bool:
    """Whether other programs kept all cores at work in the last minute, so that a measurement would say little."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > core_count()
