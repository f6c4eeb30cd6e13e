"""Where output is written until it is complete, and how it gets to where the user wants it.

Both kinds of destination write under a hidden temporary name in the folder of the destination, so that the last step
is a rename inside one file system: the old output stays whole until the new one is, whatever happens in between.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from realtime_matting.errors import InputError, OutputError


class FileDestination:
    """One file. ``temporary`` exists, empty, from the start: a folder that cannot be written to is found out early.

    Attributes:
        target: the destination, with symbolic links followed.
        temporary: where to write, same folder and extension.
    """

    def __init__(self, uri: str, inputs: Iterable[str]) -> None:
        """Check the destination and reserve the temporary name.

        Args:
            uri: path of the file to make.
            inputs: paths that are being read and must not be overwritten; names that are no paths are passed over.

        Raises:
            InputError: the destination is one of the inputs, it is a folder, or its folder is missing.
            OutputError: its folder cannot be written to.
        """
        refuse_inputs(uri, inputs)
        self.target = Path(os.path.realpath(uri))
        if self.target.is_dir():
            raise InputError(f"{uri}: is a folder; name a file in it")
        _check_parent(self.target, uri)
        self._existed = self.target.exists()
        self.temporary = self.target.with_name(f".{self.target.stem}.{secrets.token_hex(4)}{self.target.suffix}")
        try:
            os.close(os.open(self.temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except OSError as error:
            raise cannot_write(uri, error) from error

    def commit(self) -> Path:
        """Put the finished temporary file at the destination, replacing what is there."""
        os.replace(self.temporary, self.target)
        return self.target

    def commit_partial(self) -> Path:
        """Put it at the destination if nothing was there at the start, else beside as NAME.partial.EXT."""
        if not self._existed:
            return self.commit()
        beside = self.target.with_name(f"{self.target.stem}.partial{self.target.suffix}")
        os.replace(self.temporary, beside)
        return beside

    def discard(self) -> None:
        """Remove the temporary file, if it is still there."""
        self.temporary.unlink(missing_ok=True)


class FolderDestination:
    """A folder of numbered pictures; it is made if it is not there, and other files in it are left alone.

    Pictures are never overwritten: a folder that holds pictures named alike is refused, since a shorter sequence
    would leave the end of the longer one behind.

    Attributes:
        target: the folder.
        temporary: the folder to write the pictures to.
    """

    def __init__(self, folder: str, name: re.Pattern[str], inputs: Iterable[str]) -> None:
        """Check the folder and make the temporary one.

        Args:
            folder: path of the folder; its parent must exist.
            name: matches the names of the pictures that will be written.
            inputs: paths that are being read and must not be written over.

        Raises:
            InputError: the folder is one of the inputs, already holds pictures named alike, is a file, or its own
                folder is missing.
            OutputError: it cannot be made or written to.
        """
        refuse_inputs(folder, inputs)
        self.target = Path(os.path.realpath(folder))
        _check_parent(self.target, folder)
        if self.target.exists() and not self.target.is_dir():
            raise InputError(f"{folder}: is a file, and a folder for pictures is needed; choose another name")
        self._existed = self.target.exists()
        taken = sorted(filter(name.fullmatch, os.listdir(self.target))) if self._existed else []
        if taken:
            raise InputError(
                f"{folder}: holds {taken[0]} already, and pictures are not overwritten; "
                "remove them, or name a new folder"
            )
        home = self.target if self._existed else self.target.parent
        self.temporary = home / f".{self.target.name}.{secrets.token_hex(4)}"
        try:
            self.temporary.mkdir()
        except OSError as error:
            raise cannot_write(folder, error) from error

    def commit(self) -> Path:
        """Put the pictures into the destination."""
        if self._existed:
            for picture in sorted(self.temporary.iterdir()):
                picture.rename(self.target / picture.name)
            self.temporary.rmdir()
        else:
            self.temporary.rename(self.target)
        return self.target

    def commit_partial(self) -> Path:
        """The same as ``commit``: nothing can be in the way."""
        return self.commit()

    def discard(self) -> None:
        """Remove the temporary folder, if it is still there."""
        shutil.rmtree(self.temporary, ignore_errors=True)


Destination = FileDestination | FolderDestination


def refuse_inputs(uri: str, inputs: Iterable[str]) -> None:
    """Raise ``InputError`` if ``uri`` is the same file or folder as one of ``inputs``, by whatever name."""
    for path in inputs:
        if os.path.exists(uri) and os.path.exists(path) and os.path.samefile(uri, path):
            raise InputError(f"{uri}: is also the input, which would be overwritten; choose another output")


def cannot_write(uri: str, error: Exception) -> OutputError:
    """The one-line error for a failure of the system or of FFmpeg."""
    reason = getattr(error, "strerror", None) or str(error)
    return OutputError(
        f"{uri}: cannot be written ({reason}); check free space and permissions, or choose another place"
    )


def _check_parent(target: Path, uri: str) -> None:
    if not target.parent.is_dir():
        raise InputError(f"{uri}: the folder {target.parent} does not exist; make it first, or choose another place")
