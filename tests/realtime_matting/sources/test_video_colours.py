"""Decoded colours against what was encoded, for every matrix, range, depth and format a camera or editor makes."""

from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.sources import VideoSource
from realtime_matting.sources.colour import RgbConverter, matrix_of, square_pixel_size

MakeVideo = Callable[..., str]
Patches = Callable[..., list[np.ndarray]]

# Kr and Kb of ITU-R BT.709, BT.601 and BT.2020.
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
COLOURS = [(255, 255, 255), (0, 0, 0), (200, 30, 60), (20, 180, 90), (40, 60, 220), (230, 190, 160), (128, 128, 128)]


def yuv_of(rgb: tuple[int, int, int], matrix: int, full: bool, bits: int = 8) -> tuple[int, int, int]:
    """Y'CbCr by the definition (ITU-T H.273), not by any library."""
    kr, kb = WEIGHTS[matrix]
    r, g, b = (value / 255 for value in rgb)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    scale = 2 ** (bits - 8)
    if full:
        return round(y * (256 * scale - 1)), round((cb * 255 + 128) * scale), round((cr * 255 + 128) * scale)
    return round((16 + 219 * y) * scale), round((128 + 224 * cb) * scale), round((128 + 224 * cr) * scale)


def flat_picture(values: tuple[int, ...], pixel_format: str, size: tuple[int, int] = (32, 16)) -> av.VideoFrame:
    picture = av.VideoFrame(*size, pixel_format)
    dtype = np.uint8 if picture.format.components[0].bits == 8 else np.uint16
    for plane, value in zip(picture.planes, values, strict=True):
        plane.update(np.full(plane.buffer_size // np.dtype(dtype).itemsize, value, dtype).tobytes())
    return picture


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
@pytest.mark.parametrize("height", [16, 17])  # odd heights go another way inside swscale
def test_every_matrix_and_range_gives_the_defined_colours(matrix: int, full: bool, height: int) -> None:
    convert = RgbConverter(32, height)
    for colour in COLOURS:
        picture = flat_picture(yuv_of(colour, matrix, full), "yuv420p", (32, height))
        picture.colorspace, picture.color_range = matrix, 2 if full else 1
        rgb = convert(picture).astype(np.int16)
        assert rgb.shape == (height, 32, 3)
        assert np.abs(rgb - colour).max() <= 4, (colour, rgb[0, 0])


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv422p10le", "yuv444p10le"])
def test_ten_bits_become_eight(pixel_format: str) -> None:
    convert = RgbConverter(32, 16)
    for colour in COLOURS:
        picture = flat_picture(yuv_of(colour, 9, False, bits=10), pixel_format)
        picture.colorspace, picture.color_range = 9, 1
        assert np.abs(convert(picture).astype(np.int16) - colour).max() <= 4


def test_untagged_pictures_are_bt709_when_large_and_bt601_when_small() -> None:
    colour = (200, 30, 60)
    small = flat_picture(yuv_of(colour, 6, False), "yuv420p", (720, 576))
    large = flat_picture(yuv_of(colour, 1, False), "yuv420p", (1280, 720))
    assert np.abs(RgbConverter(720, 576)(small).astype(np.int16) - colour).max() <= 4
    assert np.abs(RgbConverter(1280, 720)(large).astype(np.int16) - colour).max() <= 4
    assert matrix_of(2, 720, 1280) == 1  # a telephone held upright


def test_yuvj_is_full_range_without_a_tag() -> None:
    for colour in COLOURS:
        picture = flat_picture(yuv_of(colour, 6, True), "yuvj420p")
        assert np.abs(RgbConverter(32, 16)(picture).astype(np.int16) - colour).max() <= 4


@pytest.mark.parametrize(("value_range", "stored"), [(0, 200), (2, 200), (1, 188)])
def test_grey_follows_its_range_tag(value_range: int, stored: int) -> None:
    picture = flat_picture((stored,), "gray")
    picture.color_range = value_range
    rgb = RgbConverter(32, 16)(picture)
    assert np.abs(rgb.astype(np.int16) - 200).max() <= 1


def test_rgb_and_transparent_pictures_keep_their_colours() -> None:
    rgba = np.zeros((16, 32, 4), np.uint8)
    rgba[:] = (10, 200, 90, 128)
    rgb = RgbConverter(32, 16)(av.VideoFrame.from_ndarray(rgba, format="rgba"))
    assert (rgb == (10, 200, 90)).all()


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "matrix", "value_range"),
    [
        ("hd.mp4", "libx264", "yuv420p", 1, 1),
        ("sd.mp4", "libx264", "yuv420p", 6, 1),
        ("full.mp4", "libx264", "yuv420p", 1, 2),
        ("deep.mkv", "libx264", "yuv420p10le", 1, 1),
        ("prores.mov", "prores_ks", "yuv422p10le", 1, 1),
        ("uhd.mkv", "ffv1", "yuv444p10le", 9, 1),
        ("motion.avi", "mjpeg", "yuvj420p", 5, 2),
    ],
)
def test_colours_survive_a_file(
    make_video: MakeVideo, patches: Patches, name: str, codec: str, pixel_format: str, matrix: int, value_range: int
) -> None:
    pictures = patches(3, 64, 48)
    options = {"mjpeg": {"qmin": "1", "qmax": "1"}}.get(codec)
    path = make_video(
        name, pictures, codec=codec, pixel_format=pixel_format, matrix=matrix, value_range=value_range, options=options
    )
    with VideoSource(path) as source:
        for picture, frame in zip(pictures, source, strict=True):
            for y, x in ((12, 16), (12, 48), (36, 16), (36, 48)):
                assert np.abs(frame.rgb[y, x].astype(np.int16) - picture[y, x]).max() <= 5
        assert source.warnings == []


def test_a_grey_video_is_read(make_video: MakeVideo) -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))
    path = make_video("grey.mkv", [ramp], codec="ffv1", pixel_format="gray")
    with VideoSource(path) as source:
        (frame,) = source
    assert np.array_equal(frame.rgb, np.repeat(ramp[:, :, None], 3, axis=2))


def test_high_dynamic_range_is_announced(make_video: MakeVideo, patches: Patches) -> None:
    path = make_video("pq.mkv", patches(2), matrix=9, value_range=1, transfer=16)
    with VideoSource(path) as source:
        assert ["HDR" in warning for warning in source.warnings] == [True]


@given(
    width=st.integers(1, 4096),
    height=st.integers(1, 4096),
    aspect=st.fractions(Fraction(1, 8), 8, max_denominator=1000),
)
def test_square_pixels_keep_the_shape_and_lose_no_pixels(width: int, height: int, aspect: Fraction) -> None:
    square = square_pixel_size(width, height, aspect)
    assert square[0] == width or square[1] == height
    if abs(aspect - 1) < Fraction(1, 100):
        assert square == (width, height)
    else:
        exact = (width * aspect, Fraction(height)) if aspect > 1 else (Fraction(width), height / aspect)
        assert all(abs(side - wanted) <= 1 for side, wanted in zip(square, exact, strict=True))
        assert square[0] >= width
        assert square[1] >= height


def test_a_matrix_that_is_not_supported_is_announced(make_video: MakeVideo, patches: Patches) -> None:
    path = make_video("ycgco.mkv", patches(2), matrix=8, value_range=1)
    with VideoSource(path) as source:
        assert ["colour matrix (H.273 number 8) is not supported" in warning for warning in source.warnings] == [True]
