"""Pictures to picture files: one, or a numbered sequence in a folder."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import OutputError
from realtime_matting.frames import Frame, StreamInfo
from realtime_matting.sinks.base import Kind
from realtime_matting.sinks.destination import Destination, FileDestination, FolderDestination, cannot_write
from realtime_matting.sinks.formats import CONTAINERS, PICTURE_EXTENSIONS, check_picture_extension, picture_shape

NUMBER = re.compile(r"%0?(\d*)d")
_DEFAULT_NAME = "%06d.png"

_SETTINGS: dict[str, list[int]] = {
    ".png": [],
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # above 100 OpenCV writes without loss
}


class ImageSink:
    """Writes pictures of 8 bits a channel (a ``Sink``): ``rgba`` with straight alpha, ``alpha`` as grey.

    ``folder/`` and ``folder/shot_%06d.png`` make a sequence, counted from 0 and without gaps; any other name makes
    one picture. PNG and WebP are without loss, JPEG has quality 95. Pictures hold neither times nor sound.
    """

    def __init__(self, uri: str, *, info: StreamInfo, kind: Kind) -> None:
        """Reserve the temporary file or folder.

        Args:
            uri: a folder (a name that ends in ``/``, or one that is there), a name with ``%06d`` or the like, or the
                name of one picture.
            info: size of the frames to come.
            kind: what the pictures are; decides their shape.

        Raises:
            InputError: the extension is unknown or cannot carry ``kind``, the input would be overwritten, or the
                folder holds pictures named alike.
            OutputError: nothing can be written there.
        """
        self.warnings: list[str] = []
        self._uri = uri
        self._kind = kind
        self._shape = picture_shape(kind, info.width, info.height)
        self._count = 0
        self._open = True
        self._destination: Destination
        path = Path(uri) / _DEFAULT_NAME if is_folder(uri) else Path(uri)
        self._settings = _SETTINGS[check_picture_extension(str(path), kind)]
        self._name = path.name
        self._numbered = NUMBER.search(self._name) is not None
        if self._numbered:
            before, _, after = NUMBER.split(self._name, maxsplit=1)
            alike = re.compile(re.escape(before) + r"\d+" + re.escape(after))
            self._destination = FolderDestination(str(path.parent), alike, [info.uri])
        else:
            self._destination = FileDestination(uri, [info.uri])

    def write(self, image: NDArray[np.uint8], frame: Frame) -> None:
        """Write one picture; see ``Sink.write``. The frame's time is not kept."""
        del frame
        if not self._open:
            raise ValueError(f"{self._uri}: this sink is closed")
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(f"{self._kind} pictures are uint8 {self._shape}, not {image.dtype} {image.shape}")
        if self._count and not self._numbered:
            self.abort()
            raise OutputError(f"{self._uri}: holds one picture but there are more; name a folder/ or a video file")
        if image.ndim == 3:
            image = np.asarray(
                cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR), dtype=np.uint8
            )
        with self._failures():
            encoded = cv2.imencode(Path(self._name).suffix.lower(), image, self._settings)[1]
            self._path_of(self._count).write_bytes(encoded.tobytes())
        self._count += 1

    def _path_of(self, number: int) -> Path:
        if not self._numbered:
            return self._destination.temporary
        return self._destination.temporary / NUMBER.sub(lambda m: str(number).zfill(int(m[1] or 0)), self._name, 1)

    def close(self) -> None:
        """Put the pictures at their destination; see ``Sink.close``."""
        if self._open:
            self._refuse_empty()
            with self._failures():
                self._destination.commit()
            self._open = False

    def finish_early(self) -> Path:
        """Put what was written so far in its place; see ``Sink.finish_early``."""
        self._refuse_empty()
        with self._failures():
            left = self._destination.commit_partial()
        self._open = False
        return left

    def _refuse_empty(self) -> None:
        if not self._open:
            raise ValueError(f"{self._uri}: this sink is closed")
        if self._count == 0:
            self.abort()
            raise OutputError(f"{self._uri}: not made, since no picture was written; check that the input has frames")

    def abort(self) -> None:
        """Throw away what was written; see ``Sink.abort``."""
        if self._open:
            self._open = False
            with suppress(OSError):
                self._destination.discard()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (OSError, cv2.error) as error:
            self.abort()
            raise cannot_write(self._uri, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()


def is_folder(uri: str) -> bool:
    """Whether ``uri`` names a folder of pictures: it ends in a slash, or is a folder without a file's extension."""
    known = (*CONTAINERS, *PICTURE_EXTENSIONS)
    return uri.endswith(("/", "\\")) or (Path(uri).is_dir() and Path(uri).suffix.lower() not in known)
