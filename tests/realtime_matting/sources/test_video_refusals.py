"""What is no video is refused in one line that names it, says why, and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from realtime_matting.errors import InputError
from realtime_matting.sources import VideoSource, open_source

MakeVideo = Callable[..., str]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp4", b"", "the file is empty"),
        ("junk.mp4", bytes(range(256)) * 20, "is not a video"),
        ("words.txt", b"hello there\n" * 40, "is not a video"),
        ("titles.srt", b"1\n00:00:01,000 --> 00:00:02,000\nhi\n", "no video stream"),
    ],
)
def test_files_that_are_no_video_are_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_source(str(path))
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert reason in text
    assert "; " in text
    assert "\n" not in text


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.mp4: no such file; check the name"):
        open_source(str(tmp_path / "absent.mp4"))
    with pytest.raises(InputError, match="is a folder, not a video"):
        VideoSource(str(tmp_path))


def make_sound(path: Path, cover: np.ndarray | None = None) -> None:
    with av.open(str(path), "w") as container:
        sound: Any = container.add_stream("aac", rate=8000)
        picture: Any = None
        if cover is not None:
            picture = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = cover.shape[1], cover.shape[0], "yuvj420p"
            picture.disposition = 0x400
        for index in range(8):
            samples = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            samples.sample_rate, samples.pts = 8000, 1024 * index
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
        if picture is not None:
            frame = av.VideoFrame.from_ndarray(cover, format="rgb24").reformat(format="yuvj420p")
            frame.pts = 0
            container.mux([*picture.encode(frame), *picture.encode(None)])


def test_a_sound_file_is_refused(tmp_path: Path) -> None:
    make_sound(tmp_path / "song.m4a")
    with pytest.raises(InputError, match=r"song\.m4a: has no video stream \(only audio\)"):
        open_source(str(tmp_path / "song.m4a"))


@pytest.mark.skipif(not hasattr(av.stream.Stream, "disposition"), reason="PyAV 14 tells no disposition")
def test_the_cover_of_a_sound_file_is_no_video(tmp_path: Path) -> None:
    make_sound(tmp_path / "album.mp4", np.full((32, 32, 3), 90, np.uint8))
    with pytest.raises(InputError, match="has no video stream"):
        open_source(str(tmp_path / "album.mp4"))


def test_a_video_of_size_zero_is_refused(make_video: MakeVideo) -> None:
    path = Path(make_video("zero.avi", [np.zeros((16, 16, 3), np.uint8)] * 3, codec="rawvideo", pixel_format="rgb24"))
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 8  # BITMAPINFOHEADER: its size, then width and height
    data[at + 4 : at + 12] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"zero\.avi: no frame of its video could be decoded"):
        VideoSource(str(path))
