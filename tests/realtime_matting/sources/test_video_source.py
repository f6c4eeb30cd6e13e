"""VideoSource against files made on the fly: times, geometry, damage."""

import struct
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from realtime_matting.errors import InputError
from realtime_matting.sources import VideoSource, open_source

MakeVideo = Callable[..., str]
Patches = Callable[..., list[np.ndarray]]


def read_all(path: str) -> tuple[VideoSource, list[Any]]:
    with VideoSource(path) as source:
        return source, list(source)


def corner_colours(rgb: np.ndarray) -> np.ndarray:
    """The colours well inside the four quarters: top left, top right, bottom left, bottom right."""
    height, width = rgb.shape[:2]
    ys, xs = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return np.array([rgb[y, x] for y in ys for x in xs], dtype=np.int16)


def stamp_matrix(path: str, a: int, b: int, c: int, d: int) -> None:
    """Overwrite the display matrix in an MP4's track header (version 0: 40 bytes after the box's name)."""
    data = bytearray(Path(path).read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    Path(path).write_bytes(data)


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
def test_time_stamps_of_a_variable_frame_rate_are_kept_exactly(
    make_video: MakeVideo, patches: Patches, name: str
) -> None:
    milliseconds = [0, 40, 47, 300, 301, 1000, 1040, 5000]
    path = make_video(name, patches(8), pts=milliseconds, time_base=Fraction(1, 1000))
    source, frames = read_all(path)
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(ms, 1000) for ms in milliseconds]
    assert [frame.index for frame in frames] == list(range(8))
    assert source.info.time_base == frames[0].time_base
    assert source.warnings == []


def test_frames_with_reordered_pictures_come_in_the_order_they_are_shown(
    make_video: MakeVideo, patches: Patches
) -> None:
    pictures = patches(20)
    _, frames = read_all(make_video("b.mp4", pictures, options={"preset": "medium", "bf": "3", "crf": "1"}))
    assert len(frames) == 20
    for picture, frame in zip(pictures, frames, strict=True):
        assert np.abs(corner_colours(frame.rgb) - corner_colours(picture)).max() <= 5


def test_a_stream_that_does_not_start_at_zero_keeps_its_start(make_video: MakeVideo, patches: Patches) -> None:
    _, frames = read_all(make_video("late.mkv", patches(3), pts=[250, 251, 252]))
    assert [frame.time for frame in frames] == [10.0, 10.04, 10.08]


def test_a_bare_stream_without_time_stamps_is_timed_by_its_rate(make_video: MakeVideo, patches: Patches) -> None:
    source, frames = read_all(make_video("bare.h264", patches(6)))
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(i, 25) for i in range(6)]
    assert source.warnings == []


def test_an_avi_with_reordered_pictures_is_timed_one_by_one(make_video: MakeVideo) -> None:
    path = make_video("b.avi", noise(30), options={"preset": "medium", "bf": "2"})
    source, frames = read_all(path)
    steps = {later.pts - earlier.pts for earlier, later in pairwise(frames)}
    assert len(frames) == 30
    assert max(steps) <= 2
    assert source.warnings == []


def test_recordings_joined_together_go_on_in_time(make_video: MakeVideo, patches: Patches, tmp_path: Path) -> None:
    part = Path(make_video("part.ts", patches(30)))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 2)
    source, frames = read_all(str(joined))
    assert len(frames) == 60
    assert {later.pts - earlier.pts for earlier, later in pairwise(frames)} == {3600}  # 1/25 s in units of 1/90000
    assert any("ran backwards" in warning for warning in source.warnings)


def test_info_tells_size_rate_and_number_of_frames(make_video: MakeVideo, patches: Patches) -> None:
    path = make_video("info.mp4", patches(10, 80, 60))
    with open_source(path) as source:
        info = source.info
    assert (info.width, info.height, info.average_rate, info.frames, info.uri) == (80, 60, 25, 10, path)


def test_the_number_of_frames_is_estimated_where_the_header_has_none(make_video: MakeVideo, patches: Patches) -> None:
    with open_source(make_video("info.mkv", patches(10))) as source:
        assert source.info.frames == 10


@pytest.mark.parametrize(
    ("matrix", "upright"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((0, 1, -1, 0), lambda p: cv2.rotate(p, cv2.ROTATE_90_CLOCKWISE)),
        ((-1, 0, 0, -1), lambda p: cv2.rotate(p, cv2.ROTATE_180)),
        ((0, -1, 1, 0), lambda p: cv2.rotate(p, cv2.ROTATE_90_COUNTERCLOCKWISE)),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
    ],
)
def test_the_display_matrix_turns_frames_upright(
    make_video: MakeVideo, patches: Patches, matrix: tuple[int, int, int, int], upright: Callable[..., np.ndarray]
) -> None:
    (picture,) = patches(1, 96, 64)
    path = make_video("phone.mp4", [picture])
    stamp_matrix(path, *matrix)
    source, (frame,) = read_all(path)
    expected = upright(picture)
    assert frame.rgb.shape == expected.shape
    assert (source.info.width, source.info.height) == frame.size
    assert frame.rgb.flags.c_contiguous
    assert np.abs(corner_colours(frame.rgb) - corner_colours(expected)).max() <= 5


@pytest.mark.parametrize(
    ("aspect", "shown"),
    [
        (Fraction(4, 3), (86, 48)),
        (Fraction(16, 15), (68, 48)),
        (Fraction(3, 4), (64, 64)),
        (Fraction(1, 100), (64, 48)),
    ],
)
def test_pixels_that_are_not_square_are_stretched(
    make_video: MakeVideo, patches: Patches, aspect: Fraction, shown: tuple[int, int]
) -> None:
    pictures = patches(2)
    _, frames = read_all(make_video("wide.mkv", pictures, pixel_aspect=aspect))
    assert [frame.size for frame in frames] == [shown, shown]
    assert np.abs(corner_colours(frames[1].rgb) - corner_colours(pictures[1])).max() <= 5


@pytest.mark.parametrize("size", [(65, 49), (64, 49), (65, 48), (3, 5)])
def test_odd_sizes_are_kept(make_video: MakeVideo, size: tuple[int, int]) -> None:
    width, height = size
    picture = np.full((height, width, 3), (200, 90, 40), np.uint8)
    _, (frame,) = read_all(make_video("odd.mkv", [picture], codec="libvpx-vp9", options={"lossless": "1"}))
    assert frame.rgb.shape == picture.shape
    assert frame.rgb.flags.c_contiguous
    assert np.abs(frame.rgb.astype(np.int16) - picture).max() <= 5


def test_frames_are_their_own_memory_and_can_be_written_to(make_video: MakeVideo, patches: Patches) -> None:
    pictures = patches(3)
    with VideoSource(make_video("own.mp4", pictures)) as source:
        first = next(iter(source))
        first.rgb[:] = 0
        rest = list(source)
    assert not first.rgb.any()
    assert np.abs(corner_colours(rest[0].rgb) - corner_colours(pictures[1])).max() <= 5


def test_a_stream_that_changes_size_is_scaled_to_the_first_size(
    make_video: MakeVideo, patches: Patches, tmp_path: Path
) -> None:
    small, large = patches(4, 64, 48), patches(4, 128, 96)
    joined = tmp_path / "joined.h264"
    parts = [make_video("small.h264", small), make_video("large.h264", large)]
    joined.write_bytes(b"".join(Path(part).read_bytes() for part in parts))
    source, frames = read_all(str(joined))
    assert [frame.size for frame in frames] == [(64, 48)] * 8
    assert np.abs(corner_colours(frames[7].rgb) - corner_colours(large[3])).max() <= 5
    assert any("scaled to 64x48" in warning for warning in source.warnings)


def noise(count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    return [generator.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "codec", "container_options"),
    [
        ("cut.mp4", "libx264", {"movflags": "faststart"}),
        ("cut.mkv", "libx264", {}),
        ("cut.avi", "mpeg4", {}),
        ("cut.webm", "libvpx-vp9", {}),
    ],
)
def test_a_truncated_file_gives_the_frames_there_are_and_a_warning(
    make_video: MakeVideo, name: str, codec: str, container_options: dict[str, str]
) -> None:
    options = {"libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "4M"}}.get(codec)
    path = Path(make_video(name, noise(60), codec=codec, options=options, container_options=container_options))
    assert read_all(str(path))[0].warnings == []
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    source, frames = read_all(str(path))
    assert 20 < len(frames) < 45
    assert len(source.warnings) == 1
    assert str(path) in source.warnings[0]
    assert "cut off" in source.warnings[0]
    assert "\n" not in source.warnings[0]


@pytest.mark.parametrize("order", [("video", "audio"), ("audio", "video")])
def test_sound_beside_the_pictures_costs_no_frame_and_no_warning(
    make_video: MakeVideo, patches: Patches, tmp_path: Path, order: tuple[str, str]
) -> None:
    pictures = make_video("silent.mkv", patches(20), options={"preset": "medium", "bf": "3"})
    path = tmp_path / "loud.mkv"
    with av.open(pictures) as silent, av.open(str(path), "w") as container:
        streams: dict[str, Any] = {}
        for kind in order:
            if kind == "video":
                streams[kind] = container.add_stream_from_template(silent.streams.video[0])
            else:
                streams[kind] = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 6400), np.int16), format="s16", layout="mono")
        silence.sample_rate = 8000
        packets: list[Any] = [*streams["audio"].encode(silence), *streams["audio"].encode(None)]
        for packet in silent.demux(video=0):
            if packet.size:
                packet.stream = streams["video"]
                packets.append(packet)
        container.mux(packets)
    source, frames = read_all(str(path))
    assert len(frames) == 20
    assert source.warnings == []


def test_damage_inside_a_file_does_not_end_it(make_video: MakeVideo) -> None:
    path = Path(make_video("holes.mkv", noise(60), options={"g": "5"}))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(data)
    _, frames = read_all(str(path))
    assert len(frames) >= 45
    assert frames[-1].time == pytest.approx(59 / 25, abs=0.002)


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0x20000000])  # FFmpeg takes one for the end, the other for an error
def test_a_file_that_cannot_be_read_on_gives_the_frames_before(make_video: MakeVideo, size: int) -> None:
    path = Path(make_video("unreadable.mp4", noise(60)))
    data = bytearray(path.read_bytes())
    at = data.index(b"stsz") + 16 + 4 * 40  # the size of sample 40
    data[at : at + 4] = struct.pack(">I", size)
    path.write_bytes(data)
    source, frames = read_all(str(path))
    assert len(frames) == 40
    assert ["cut off or damaged" in warning for warning in source.warnings] == [True]


def test_a_title_in_an_old_encoding_does_no_harm(make_video: MakeVideo, patches: Patches) -> None:
    path = Path(make_video("title.mkv", patches(2)))
    data = path.read_bytes()
    assert data.count(b"DURATION") == 1
    path.write_bytes(data.replace(b"DURATION", b"DUR\xe4TI\xf6"))
    assert len(read_all(str(path))[1]) == 2


def test_an_mp4_cut_before_its_index_is_refused(make_video: MakeVideo) -> None:
    path = Path(make_video("noindex.mp4", noise(30)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"noindex\.mp4: is not a video, or is cut off before its index .*; check"):
        VideoSource(str(path))


def test_leaving_in_the_middle_and_closing_twice_is_harmless(make_video: MakeVideo, patches: Patches) -> None:
    source = VideoSource(make_video("long.mp4", patches(50)))
    assert next(iter(source)).index == 0
    source.close()
    source.close()
    assert list(source) == []


def test_the_number_of_decoder_threads_does_not_change_the_frames(make_video: MakeVideo) -> None:
    path = make_video("threads.mp4", noise(12))
    with VideoSource(path, threads=1) as one, VideoSource(path, threads=3) as three:
        for single, several in zip(one, three, strict=True):
            assert np.array_equal(single.rgb, several.rgb)
            assert single.pts == several.pts


def test_a_name_with_a_colon_and_a_percent_sign_is_a_file(make_video: MakeVideo, patches: Patches) -> None:
    path = Path(make_video("plain.mp4", patches(2)))
    odd = path.rename(path.with_name("clip:2 %03d é.mp4"))
    with open_source(str(odd)) as source:
        assert len(list(source)) == 2
