"""Compiles ``realtime_matting/native``; all else about the package is in pyproject.toml.

The compiler is Zig's C compiler, a wheel that pip fetches for the time of the build: no system needs one of its own.
Where the environment names another (CC=gcc), that one is taken, and for this machine's system alone.
"""

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("realtime_matting/native")
FLAGS = ("-O3", "-std=c11", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math")
FLAGS += ("-fno-sanitize=all",)  # Zig adds some by itself
MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


def compiler() -> tuple[list[str], dict[str, str]]:
    """The command, and its option for the processor of each level in `dispatch.c`."""
    machine = MACHINES.get(platform.machine().lower(), platform.machine().lower())
    is_x86 = machine == "x86_64"
    if "CC" in os.environ:
        levels = {f"v{n}": f"-march=x86-64-v{n}" for n in (2, 3)} if is_x86 else {"v2": "-O3"}
        return shlex.split(os.environ["CC"]), levels
    if sys.platform == "linux":
        system = "linux-gnu.2.28" if platform.libc_ver()[0] == "glibc" else "linux-musl"
    else:
        system = {"darwin": "macos", "win32": "windows-gnu"}.get(sys.platform, sys.platform)
    levels = {f"v{n}": f"-mcpu=x86_64_v{n}" for n in (2, 3)} if is_x86 else {"v2": "-mcpu=baseline"}
    return [sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-{system}"], levels


class Compile(build_ext):
    """One library of the kernels at every level; not an extension module, so it serves any Python."""

    def get_ext_filename(self, fullname: str) -> str:
        suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
        return str(Path(*fullname.split("."))) + suffix

    def build_extension(self, ext: Extension) -> None:
        made, scratch = Path(self.get_ext_fullpath(ext.name)), Path(self.build_temp)
        made.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir(parents=True, exist_ok=True)
        command, levels = compiler()
        objects = []
        for name, processor in levels.items():
            for source in sorted(NATIVE.glob("*.c")):
                if source.stem != "dispatch":
                    objects.append(str(scratch / f"{source.stem}_{name}.o"))
                    how = (f"-DLEVEL={name}", processor, "-c", str(source), "-o", objects[-1])
                    subprocess.run([*command, *FLAGS, *how], check=True)
        linked = ("-shared", "-s", *objects, str(NATIVE / "dispatch.c"), "-o", str(made))
        subprocess.run([*command, *FLAGS, levels["v2"], *linked], check=True)


setup(
    ext_modules=[Extension("realtime_matting.native._kernels", [str(path) for path in NATIVE.glob("*.c")])],
    cmdclass={"build_ext": Compile},
)
