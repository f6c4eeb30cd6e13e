"""ImageSource: pictures, folders and sequences, written by OpenCV with EXIF blocks put in by hand."""

import struct
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime_matting.errors import InputError
from realtime_matting.sources import ImageSource, open_source
from realtime_matting.sources.exif import orientation_of
from realtime_matting.sources.images import read_picture
from realtime_matting.sources.orientation import UPRIGHT


def picture(width: int = 24, height: int = 16) -> np.ndarray:
    """RGB quarters of four colours."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2], rgb[: height // 2, width // 2 :] = (220, 30, 40), (30, 200, 60)
    rgb[height // 2 :, : width // 2], rgb[height // 2 :, width // 2 :] = (40, 60, 210), (240, 230, 30)
    return rgb


def save(path: Path, rgb: np.ndarray) -> Path:
    swapped = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    cv2.imwrite(str(path), rgb if rgb.ndim == 2 else cv2.cvtColor(rgb, swapped[rgb.shape[2]]))
    return path


def tiff(orientation: int, order: str = "<") -> bytes:
    """A TIFF block with two tags: a width, then the orientation."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(order + "HHIHH", 0x0100, 3, 1, 24, 0) + struct.pack(
        order + "HHIHH", 0x0112, 3, 1, orientation, 0
    )
    return mark + struct.pack(order + "IH", 8, 2) + entries + bytes(4)


def with_exif(path: Path, orientation: int, order: str = "<") -> Path:
    """Put an EXIF block into the PNG, JPEG or WebP file at ``path``."""
    data, block = path.read_bytes(), tiff(orientation, order)
    if path.suffix == ".jpg":
        body = b"Exif\0\0" + block
        data = data[:2] + struct.pack(">HH", 0xFFE1, len(body) + 2) + body + data[2:]
    elif path.suffix == ".png":
        chunk = b"eXIf" + block
        data = data[:33] + struct.pack(">I", len(block)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    else:
        chunks = data[12:] + b"EXIF" + struct.pack("<I", len(block)) + block
        data = b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks
    path.write_bytes(data)
    return path


def only_frame(path: Path) -> np.ndarray:
    with open_source(str(path)) as source:
        (frame,) = source
    assert (source.info.width, source.info.height, source.info.frames) == (*frame.size, 1)
    assert frame.rgb.dtype == np.uint8
    assert frame.rgb.flags.c_contiguous
    return frame.rgb


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.tif", "A.PNG"])
def test_a_single_picture_is_one_frame(tmp_path: Path, name: str) -> None:
    rgb = picture()
    read = only_frame(save(tmp_path / name, rgb))
    tolerance = 12 if name == "a.jpg" else 0
    assert np.abs(read[::5, ::5].astype(np.int16) - rgb[::5, ::5]).max() <= tolerance


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_exif_rotation_is_applied(tmp_path: Path, name: str, order: str) -> None:
    path = with_exif(save(tmp_path / name, picture()), 6, order)
    expected = np.rot90(picture(), -1)
    read = only_frame(path)
    assert read.shape == expected.shape
    corners = np.ix_((2, 21), (2, 13))
    assert np.abs(read[corners].astype(np.int16) - expected[corners]).max() <= (12 if name == "a.jpg" else 0)


def test_exif_rotation_is_applied_to_transparent_pictures_too(tmp_path: Path) -> None:
    rgba = np.dstack([picture(), np.full((16, 24), 255, np.uint8)])
    rgba[:8, :, 3] = 0
    expected = np.rot90(np.where(rgba[:, :, 3:] > 0, rgba[:, :, :3], 255), -1)
    assert np.array_equal(only_frame(with_exif(save(tmp_path / "cut.png", rgba), 6)), expected)


def test_transparency_is_put_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((4, 256, 4), np.uint8)
    rgba[:, :, :3] = (10, 100, 200)
    rgba[:, :, 3] = np.arange(256)
    alpha = rgba[:, :, 3:] / 255
    expected = np.rint(alpha * (10, 100, 200) + (1 - alpha) * 255)
    assert np.array_equal(only_frame(save(tmp_path / "soft.png", rgba)), expected)


def test_sixteen_bits_are_rounded_to_eight(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 24 * 16 * 3).reshape(16, 24, 3).astype(np.uint16)
    assert np.array_equal(only_frame(save(tmp_path / "deep.png", deep)), np.rint(deep / 257))


def test_grey_becomes_rgb(tmp_path: Path) -> None:
    grey = np.arange(96, dtype=np.uint8).reshape(8, 12)
    assert np.array_equal(only_frame(save(tmp_path / "grey.png", grey)), np.dstack([grey] * 3))


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for number, name in enumerate(["shot1.png", "shot2.jpg", "Shot3.PNG", "shot10.png", "shot11.webp"]):
        save(tmp_path / name, np.full((16, 16, 3), 40 * number, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"junk")
    (tmp_path / "folder.png").mkdir()
    with open_source(str(tmp_path)) as source:
        frames = list(source)
        assert source.info.frames == 5
    assert [round(float(frame.rgb.mean()) / 40) for frame in frames] == [0, 1, 2, 3, 4]
    assert [(frame.pts, frame.index, frame.time) for frame in frames] == [(i, i, i / 25) for i in range(5)]


def test_a_numbered_sequence_is_read_in_order_and_alone(tmp_path: Path) -> None:
    for number in (0, 1, 2, 10):
        save(tmp_path / f"fg_{number:06d}.png", np.full((8, 8, 3), 20 * number, np.uint8))
    save(tmp_path / "alpha_000000.png", np.zeros((9, 9, 3), np.uint8))
    with open_source(str(tmp_path / "fg_%06d.png")) as source:
        assert [int(frame.rgb[0, 0, 0]) for frame in source] == [0, 20, 40, 200]


def test_a_picture_of_another_size_is_named(tmp_path: Path) -> None:
    save(tmp_path / "1.png", picture(24, 16))
    save(tmp_path / "2.png", picture(20, 16))
    with ImageSource(str(tmp_path)) as source, pytest.raises(InputError, match=r"2\.png: is 20x16 but 1\.png is 24x16"):
        list(source)


def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "junk.jpg").write_bytes(b"\xff\xd8 nothing")
    (tmp_path / "nothing").mkdir()
    cv2.imwrite(str(tmp_path / "float.tiff"), np.zeros((4, 4, 3), np.float32))
    for name, reason in {
        "absent.png": "no such file or folder",
        "empty.png": "the file is empty",
        "junk.jpg": "is not a picture that can be read",
        "nothing": "no pictures in this folder",
        "float.tiff": "has float32 pixels",
        "shot_%04d.png": "no file has such a name",
        "absent/shot_%04d.png": "no file has such a name",
    }.items():
        with pytest.raises(InputError) as caught:
            open_source(str(tmp_path / name))
        assert reason in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        assert "; " in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_a_cut_off_exif_block_is_passed_over(tmp_path: Path, name: str) -> None:
    data = with_exif(save(tmp_path / name, picture()), 6).read_bytes()
    start = data.index(b"II*\0")
    assert orientation_of(data) != UPRIGHT
    for end in range(start, start + 20):
        assert orientation_of(data[:end]) == UPRIGHT


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tiff"])
def test_the_libraries_that_decode_damaged_pictures_print_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    path = save(tmp_path / name, picture())
    data = path.read_bytes()
    for length in range(len(data) // 4, len(data), len(data) // 16):
        path.write_bytes(data[:length])
        with suppress(InputError):
            read_picture(path)
    print("still heard", file=sys.stderr)
    assert capfd.readouterr().err == "still heard\n"
