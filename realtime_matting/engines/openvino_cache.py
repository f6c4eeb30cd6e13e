"""Compiled networks on disk, so that what was compiled once is there at once the next time.

OpenVINO needs half a second to compile shm-balanced's trimap network for a size, and an eighth of one to take up what
it has exported. OpenVINO's own cache is not used: its files are written in place, so that a program that is killed, or
a second one that starts meanwhile, meets half a network, and they are never deleted.
"""

import contextlib
import functools
import hashlib
import io
import os
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

import openvino as ov  # type: ignore[import-untyped]
import openvino.properties as props  # type: ignore[import-untyped]

from realtime_matting.caches import cache_folder

LARGEST = 96 * 2**20
"""Bytes that are kept; shm-balanced in all sizes that two clips needed, one of them in a window, takes 12 MiB."""
_DIGEST = 32


def compiled_cache() -> Path:
    """The folder: ``openvino`` in rtmatte's cache. It may be deleted at any time."""
    return cache_folder() / "openvino"


class CompiledNetworks:
    """The compiled sizes of one network.

    Args:
        onnx_path: the network.
        core: compiles and takes up.
        config: of the compilation.
        told: what else the compiled network depends on.

    A folder that cannot be read or written, or a damaged file, is as if nothing had been kept: it is only slower.
    """

    def __init__(self, onnx_path: Path, core: ov.Core, config: dict[object, object], told: str) -> None:
        self._core = core
        self._config = config
        self._key = hashlib.blake2b(onnx_path.read_bytes(), digest_size=_DIGEST)
        self._key.update(f"{ov.get_version()} {_device(core)} {told}".encode())
        self._key.update(_rewriting())

    def recall(self, shapes: Iterable[tuple[int, ...]]) -> ov.CompiledModel | None:
        """The network for inputs of these shapes; None if it was not kept."""
        path = self._path(shapes)
        try:
            with path.open("rb") as file:
                digest, network = file.read(_DIGEST), file.read()
            os.utime(path)  # what is in use stays
        except OSError:
            return None
        if digest_of(network) != digest:
            return None
        try:
            return self._core.import_model(io.BytesIO(network), "CPU", self._config)
        except RuntimeError:
            return None

    def keep(self, shapes: Iterable[tuple[int, ...]], compiled: ov.CompiledModel) -> None:
        """Have a thread write the network down; programs wait for it at their end."""
        threading.Thread(target=self._write, args=(self._path(shapes), compiled), name="rtmatte cache").start()

    def _path(self, shapes: Iterable[tuple[int, ...]]) -> Path:
        key = self._key.copy()
        key.update(str(list(shapes)).encode())
        return compiled_cache() / f"{key.hexdigest()}.blob"

    def _write(self, path: Path, compiled: ov.CompiledModel) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            network = compiled.export_model().getvalue()
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_room(path.parent, len(network))
            handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(digest_of(network) + network)
                os.replace(name, path)  # whole or not at all, for another run may be reading it
            except OSError:
                os.unlink(name)
                raise


def digest_of(network: bytes) -> bytes:
    """What a file begins with, so that one that was cut or changed is known."""
    return hashlib.blake2b(network, digest_size=_DIGEST).digest()


def _make_room(folder: Path, size: int) -> None:
    """Delete what has not been used for longest until ``size`` bytes more are no more than `LARGEST`."""
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another run is making room too
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_size, path))
    total = size + sum(each for _, each, _ in found)
    for _, each, path in sorted(found):
        if total <= LARGEST:
            return
        path.unlink(missing_ok=True)
        total -= each


def _device(core: ov.Core) -> str:
    """The processor: which instructions it has decides how a network is computed."""
    capabilities = core.get_property("CPU", props.device.capabilities)
    return f"{core.get_property('CPU', props.device.full_name)} {' '.join(capabilities)}"


@functools.cache
def _rewriting() -> bytes:
    """A digest of how this package changes a network before it is compiled: of the code that does."""
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for path in sorted(Path(__file__).parent.glob("openvino*.py")):
        digest.update(path.read_bytes())
    return digest.digest()
