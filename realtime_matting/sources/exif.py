"""The EXIF orientation of a JPEG, PNG or WebP file, read from its bytes.

OpenCV applies it only where it also drops the alpha channel and the 16-bit depth, so it is read here.
"""

import struct
from collections.abc import Iterator

from realtime_matting.sources.orientation import UPRIGHT, Orientation, from_exif

_ORIENTATION_TAG = 0x0112


def orientation_of(data: bytes) -> Orientation:
    """The orientation stored in a picture file's bytes; upright where there is none or it cannot be read."""
    try:
        for block in _exif_blocks(data):
            return _from_tiff(block)
    except struct.error:  # cut off or malformed: such pictures are shown as they are stored
        pass
    return UPRIGHT


def _exif_blocks(data: bytes) -> Iterator[bytes]:
    """Each EXIF block, from its TIFF header on."""
    if data.startswith(b"\xff\xd8"):
        yield from _in_jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        yield from _in_png(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        yield from _in_webp(data)


def _in_jpeg(data: bytes) -> Iterator[bytes]:
    at = 2
    while at + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, at)
        if marker >> 8 != 0xFF or marker == 0xFFDA:  # the picture's own data begins: no more headers
            return
        if marker == 0xFFE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            yield data[at + 10 : at + 2 + length]
        at += 2 + length


def _in_png(data: bytes) -> Iterator[bytes]:
    at = 8
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"eXIf":
            yield data[at + 8 : at + 8 + length]
        at += 12 + length


def _in_webp(data: bytes) -> Iterator[bytes]:
    at = 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        if name == b"EXIF":
            yield data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0")
        at += 8 + length + length % 2


def _from_tiff(tiff: bytes) -> Orientation:
    """Look the tag up in the first directory of a TIFF block (TIFF 6.0, section 2)."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return UPRIGHT
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, directory)
    for entry in range(entries):
        tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * entry)
        if tag == _ORIENTATION_TAG:
            return from_exif(value)
    return UPRIGHT
