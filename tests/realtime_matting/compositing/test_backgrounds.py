from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime_matting.compositing.backgrounds import Background, open_background
from realtime_matting.compositing.blurred import blurred_room
from realtime_matting.errors import InputError

FRAME = np.random.default_rng(0).integers(0, 256, (36, 64, 3), dtype=np.uint8)
ALPHA = np.zeros((36, 64), np.float32)
ALPHA[10:, 20:40] = 1


def at(background: Background, time: float = 0, frame: NDArray[np.uint8] = FRAME) -> NDArray[np.uint8]:
    return background.at(time, frame, np.zeros(frame.shape[:2], np.float32))


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_a_colour_fills_the_frame(red: int, green: int, blue: int) -> None:
    for spec in (f"#{red:02x}{green:02x}{blue:02x}", f"#{red:02X}{green:02X}{blue:02X}"):
        picture = at(open_background(spec))
        assert picture.shape == FRAME.shape
        assert picture.dtype == np.uint8
        assert (picture == (red, green, blue)).all()


def test_three_digits_of_a_colour_are_doubled() -> None:
    assert at(open_background("#1aF"))[0, 0].tolist() == [0x11, 0xAA, 0xFF]


def test_none_is_the_frame_itself() -> None:
    assert at(open_background("none")) is FRAME


@pytest.mark.parametrize(("spec", "strength"), [("blur", 0.5), ("blur:0.5", 0.5), ("blur:1", 1), ("blur:.2", 0.2)])
def test_blur_is_the_room_without_the_person(spec: str, strength: float) -> None:
    picture = open_background(spec).at(0, FRAME, ALPHA)
    np.testing.assert_array_equal(picture, blurred_room(FRAME, ALPHA, strength))


@pytest.mark.parametrize("spec", ["blur:0", "blur:-1", "blur:1.1", "blur:much", "blur:", "blur:nan", "blur:inf"])
def test_a_blur_of_impossible_strength_is_refused(spec: str) -> None:
    with pytest.raises(InputError, match="above 0, to 1"):
        open_background(spec)


def test_a_picture_is_fitted_and_in_the_right_channel_order(tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    cv2.imwrite(str(path), np.full((50, 50, 3), (10, 20, 200), np.uint8))  # blue, green, red
    assert (at(open_background(str(path))) == (200, 20, 10)).all()


def test_a_fitted_picture_is_kept_until_the_frame_size_changes(tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    cv2.imwrite(str(path), np.random.default_rng(1).integers(0, 256, (50, 80, 3), dtype=np.uint8))
    background = open_background(str(path))
    first = at(background, 0)
    assert at(background, 1) is first
    assert at(background, 2, np.zeros((20, 20, 3), np.uint8)).shape == (20, 20, 3)
    np.testing.assert_array_equal(at(background, 3), first)


def test_a_transparent_picture_is_flattened(tmp_path: Path) -> None:
    path = tmp_path / "logo.png"
    cv2.imwrite(str(path), np.full((50, 50, 4), (0, 0, 0, 0), np.uint8))
    assert (at(open_background(str(path))) == 255).all()


def test_a_video_runs_by_time_and_is_fitted(tmp_path: Path) -> None:
    path = tmp_path / "sea.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        for index, level in enumerate((40, 200)):
            frame = av.VideoFrame.from_ndarray(np.full((96, 96, 3), level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    background = open_background(str(path))
    pictures = [at(background, time) for time in (0, 0.04, 0.1, 0.2)]
    assert all(picture.shape == FRAME.shape for picture in pictures)
    assert [round(float(picture.mean()) / 40) for picture in pictures] == [1, 1, 5, 1]
    assert pictures[0] is pictures[1]
    background.close()
    background.close()


@pytest.mark.parametrize("spec", ["", "#12", "#12345g", "#1234567", "red", "bluur", "missing.jpg", "missing.mp4", "."])
def test_anything_else_is_refused_in_one_line_that_tells_what_is_accepted(spec: str) -> None:
    with pytest.raises(InputError, match=r"picture or video file, a colour .*blur.*none") as caught:
        open_background(spec)
    assert repr(spec) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["garbage.jpg", "garbage.png", "garbage.mp4", "garbage"])
def test_a_file_that_is_neither_picture_nor_video_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing to look at" * 50)
    with pytest.raises(InputError, match=name) as caught:
        open_background(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["#123", "blur", "none"])
def test_closing_twice_is_harmless(spec: str) -> None:
    background = open_background(spec)
    background.close()
    background.close()
