"""Folders that data tools fill: whole files only, made with one setting, so that a run can be taken up again."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import InputError, OutputError

_UNFINISHED = ".partial"


class OutputFolder:
    """A folder in which every file is whole: files are written under another name and then renamed.

    ``TOOL.json`` in it keeps the settings; taking the work up again with other settings is refused, since the folder
    would then hold a mixture.
    """

    def __init__(self, path: Path, tool: str, settings: Mapping[str, object]) -> None:
        """Make the folder, or find it as an earlier run with the same settings left it.

        Args:
            tool: name of the command.
            settings: what the files depend on; JSON values. Keys are named like the options.

        Raises:
            InputError: other settings were used, or the folder holds something else.
            OutputError: the folder cannot be made.
        """
        self.path = path
        manifest = path / f"{tool}.json"
        try:
            if path.is_dir() and not manifest.is_file() and any(p.name != _UNFINISHED for p in path.iterdir()):
                raise InputError(f"{path}: holds other files; name a new or an empty folder with --out")
            path.mkdir(parents=True, exist_ok=True)
            (path / _UNFINISHED).mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path}: cannot be made ({error.strerror}); choose another folder with --out") from error
        wanted = json.loads(json.dumps(dict(settings)))
        if manifest.is_file():
            try:
                before = json.loads(manifest.read_text())
            except ValueError as error:
                raise InputError(f"{manifest}: is damaged; remove {path} and start again") from error
            for key in wanted:
                if before.get(key) != wanted[key]:
                    raise InputError(
                        f"{path}: was made with {key} {before.get(key)}, not {wanted[key]}; "
                        "give the same to go on, or another folder with --out"
                    )
        else:
            self.write_text(manifest.name, json.dumps(wanted, indent=1) + "\n")

    def write(self, name: str, content: bytes) -> None:
        """Write a file (``name``: relative, its folder is made) in one step.

        Raises:
            OutputError: no space, no permission.
        """
        unfinished = self._unfinished(name)
        try:
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(content)
            os.replace(unfinished, self.path / name)
        except OSError as error:
            raise self._failure(name, error) from error

    def write_text(self, name: str, text: str) -> None:
        """Write text, UTF-8."""
        self.write(name, text.encode("utf-8", "surrogateescape"))

    def write_png(self, name: str, picture: NDArray[np.uint8]) -> None:
        """Write grey (H, W), RGB (H, W, 3) or straight RGBA (H, W, 4) as PNG."""
        if picture.ndim == 3:
            code = cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
            picture = cv2.cvtColor(picture, code)  # type: ignore[assignment]
        self.write(name, cv2.imencode(".png", picture)[1].tobytes())

    def repeat(self, name: str, again: str) -> None:
        """Give the file ``name`` another name: a hard link, or a copy where the file system has none."""
        unfinished = self._unfinished(again)
        try:
            (self.path / again).parent.mkdir(parents=True, exist_ok=True)
            unfinished.unlink(missing_ok=True)
            try:
                os.link(self.path / name, unfinished)
            except OSError:
                shutil.copyfile(self.path / name, unfinished)
            os.replace(unfinished, self.path / again)
        except OSError as error:
            raise self._failure(again, error) from error

    def _unfinished(self, name: str) -> Path:
        # Without a picture's extension, so that no listing of pictures ever finds it.
        return self.path / _UNFINISHED / (name.replace("/", "_") + ".partial")

    def _failure(self, name: str, error: OSError) -> OutputError:
        return OutputError(f"{self.path / name}: cannot be written ({error.strerror}); check space and permissions")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path / _UNFINISHED, ignore_errors=True)


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A name for each picture: its stem, with as many folders in front as it takes to tell them apart ("a_head").

    Raises:
        InputError: a picture is listed twice.
    """
    absolute = [Path(os.path.abspath(path)) for path in paths]
    twice = [path for path, count in Counter(absolute).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: is listed {Counter(absolute)[twice[0]]} times; list it once")
    depth = max((len(path.parts) for path in absolute), default=1)
    for parts in range(1, depth + 1):
        for extension in (False, True):
            names = ["_".join([*path.parts[-parts:-1], _stem(path, extension)]).lstrip("/_") for path in absolute]
            if len(set(names)) == len(names):
                return names
    raise InputError(f"{paths[0]} and others: their names cannot be told apart; rename a folder")


def _stem(path: Path, extension: bool) -> str:
    return path.name.replace(".", "_") if extension else path.stem
