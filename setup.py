"""Compiles ``realtime_matting/native``; all else about the package is in pyproject.toml.

The compiler is Zig's C compiler, a wheel that pip fetches for the time of the build: no system needs one of its own.
"""

import platform
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("realtime_matting/native")
FLAGS = ("-O3", "-std=c11", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math")
FLAGS += ("-fno-sanitize=all",)  # Zig adds some by itself
MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


def target() -> tuple[str, dict[str, str]]:
    """What to compile for, by Zig's names: the system, and the processor of each level in `dispatch.c`."""
    machine = MACHINES.get(platform.machine().lower(), platform.machine().lower())
    if sys.platform == "linux":
        system = "linux-gnu.2.28" if platform.libc_ver()[0] == "glibc" else "linux-musl"
    else:
        system = {"darwin": "macos", "win32": "windows-gnu"}.get(sys.platform, sys.platform)
    levels = {"v2": "x86_64_v2", "v3": "x86_64_v3"} if machine == "x86_64" else {"v2": "baseline"}
    return f"{machine}-{system}", levels


class Compile(build_ext):
    """One library of the kernels at every level; not an extension module, so it serves any Python."""

    def get_ext_filename(self, fullname: str) -> str:
        suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
        return str(Path(*fullname.split("."))) + suffix

    def build_extension(self, ext: Extension) -> None:
        made, scratch = Path(self.get_ext_fullpath(ext.name)), Path(self.build_temp)
        made.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir(parents=True, exist_ok=True)
        system, levels = target()
        compiler = [sys.executable, "-m", "ziglang", "cc", "-target", system]
        objects = []
        for name, processor in levels.items():
            for source in sorted(NATIVE.glob("*.c")):
                if source.stem != "dispatch":
                    objects.append(str(scratch / f"{source.stem}_{name}.o"))
                    how = (f"-DLEVEL={name}", f"-mcpu={processor}", "-c", str(source), "-o", objects[-1])
                    subprocess.run([*compiler, *FLAGS, *how], check=True)
        subprocess.run(
            [
                *compiler,
                *FLAGS,
                f"-mcpu={levels['v2']}",
                "-shared",
                "-s",
                *objects,
                str(NATIVE / "dispatch.c"),
                "-o",
                made,
            ],
            check=True,
        )


setup(
    ext_modules=[Extension("realtime_matting.native._kernels", [str(path) for path in NATIVE.glob("*.c")])],
    cmdclass={"build_ext": Compile},
)
