"""Where frames come from: ``open_source(uri)``."""

from pathlib import Path

from realtime_matting.sources.base import Source
from realtime_matting.sources.images import NUMBER, PICTURE_EXTENSIONS, ImageSource
from realtime_matting.sources.video import VideoSource

__all__ = ["ImageSource", "Source", "VideoSource", "open_source"]


def open_source(uri: str) -> Source:
    """Open a video file, a picture, a folder of pictures, or a numbered sequence (``shot_%06d.png``).

    A folder, and a name that ends like a picture (.png .jpg .webp …), is an ``ImageSource``; all else is a
    ``VideoSource``.

    Raises:
        InputError: missing, empty, or nothing that frames can be read from; one line with what to do.
    """
    path = Path(uri)
    is_sequence = NUMBER.search(path.name) is not None and path.suffix.lower() in PICTURE_EXTENSIONS
    if path.is_dir() or is_sequence or path.suffix.lower() in PICTURE_EXTENSIONS:
        return ImageSource(uri)
    return VideoSource(uri)
