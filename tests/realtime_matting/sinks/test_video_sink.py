"""VideoSink: what is read back from the files it writes."""

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_matting.errors import InputError, OutputError
from realtime_matting.frames import Frame, StreamInfo
from realtime_matting.sinks import VideoSink, open_sink
from realtime_matting.sinks.formats import PRESETS, video_format
from realtime_matting.sources import VideoSource

MakeInfo = Callable[..., StreamInfo]
At = Callable[..., Frame]

COLOURS = [(200, 30, 60), (20, 180, 90), (40, 60, 220), (255, 255, 255), (0, 0, 0), (230, 190, 160)]


def flat(colour: tuple[int, ...], width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, len(colour)), colour, np.uint8)


def read_frames(path: Path | str) -> list[Frame]:
    with VideoSource(str(path)) as source:
        frames = list(source)
        assert source.warnings == []
    return frames


def read_rgba(path: Path, decoder: str | None = None) -> list[np.ndarray]:
    """Every picture as RGBA, with a given decoder where the default one drops the alpha."""
    pictures = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context: Any = av.CodecContext.create(decoder, "r") if decoder else stream.codec_context
        for packet in container.demux(stream):
            for picture in context.decode(packet if packet.size else None):
                rgba = picture.reformat(
                    format="rgba", src_colorspace=1, dst_colorspace=1, src_color_range=1, dst_color_range=2
                )
                pictures.append(rgba.to_ndarray())
    return pictures


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov", "out.webm"])
def test_colours_and_times_survive(tmp_path: Path, info: MakeInfo, at: At, name: str) -> None:
    path = tmp_path / name
    with open_sink(str(path), info=info(), kind="composite") as sink:
        for index, colour in enumerate(COLOURS):
            sink.write(flat(colour), at(index))
        assert not path.exists()
    frames = read_frames(path)
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(i, 25) for i in range(len(COLOURS))]
    for frame, colour in zip(frames, COLOURS, strict=True):
        assert np.abs(frame.rgb.astype(np.int16) - colour).max() <= 5
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov", "out.webm"])
def test_the_file_says_what_its_colours_are(tmp_path: Path, info: MakeInfo, at: At, name: str) -> None:
    path = tmp_path / name
    with open_sink(str(path), info=info(), kind="foreground") as sink:
        sink.write(flat((10, 200, 30)), at(0))
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        assert context.pix_fmt == "yuv420p"
        luma, *_ = (np.frombuffer(plane, np.uint8)[0] for plane in next(container.decode(video=0)).planes)
    # ITU-R BT.709: 16 + 219 * (0.2126 R + 0.7152 G + 0.0722 B)
    assert abs(int(luma) - (16 + 219 * (0.2126 * 10 + 0.7152 * 200 + 0.0722 * 30) / 255)) <= 2


@pytest.mark.parametrize(("name", "resolution"), [("v.mp4", 0), ("v.mov", 0), ("v.mkv", 1), ("v.webm", 1)])
@pytest.mark.parametrize("time_base", [Fraction(1, 1000), Fraction(1, 90000), Fraction(1001, 30000)])
def test_a_variable_frame_rate_is_kept(
    tmp_path: Path, info: MakeInfo, at: At, name: str, resolution: int, time_base: Fraction
) -> None:
    wanted = [Fraction(value) for value in ("0", "0.04", "0.0733", "0.5", "0.533", "3", "3.04", "60")]
    stamps = [round(time / time_base) for time in wanted]
    with open_sink(str(tmp_path / name), info=info(time_base=time_base), kind="composite") as sink:
        for index, pts in enumerate(stamps):
            sink.write(flat(COLOURS[index % 6]), at(pts, time_base))
    written = [frame.pts * frame.time_base for frame in read_frames(tmp_path / name)]
    for got, pts in zip(written, stamps, strict=True):
        assert abs(got - pts * time_base) <= Fraction(resolution, 2000)


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.webm"])
def test_a_late_start_is_kept(tmp_path: Path, info: MakeInfo, at: At, name: str) -> None:
    with open_sink(str(tmp_path / name), info=info(), kind="composite") as sink:
        for index in range(250, 256):
            sink.write(flat(COLOURS[0]), at(index))
    assert [frame.time for frame in read_frames(tmp_path / name)] == [index / 25 for index in range(250, 256)]


def test_the_last_picture_is_shown_as_long_as_the_others(tmp_path: Path, info: MakeInfo, at: At) -> None:
    with open_sink(str(tmp_path / "n.mp4"), info=info(), kind="composite") as sink:
        for index in range(30):
            sink.write(flat(COLOURS[index % 6]), at(index))
    with av.open(str(tmp_path / "n.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(30, 25)
        assert stream.frames == 30


@pytest.mark.parametrize(
    ("name", "size", "written"),
    [
        ("o.mp4", (65, 49), (66, 50)),
        ("o.mkv", (1, 1), (2, 2)),
        ("o.webm", (65, 49), (65, 49)),
        ("o.mp4", (64, 49), (64, 50)),
    ],
)
def test_odd_sizes_are_padded_only_where_the_codec_needs_it(
    tmp_path: Path, info: MakeInfo, at: At, name: str, size: tuple[int, int], written: tuple[int, int]
) -> None:
    width, height = size
    picture = flat((40, 60, 220), width, height)
    picture[:, -5:] = picture[-5:] = (200, 190, 180)
    with open_sink(str(tmp_path / name), info=info(width, height), kind="composite", crf=2) as sink:
        sink.write(picture, at(0))
    (frame,) = read_frames(tmp_path / name)
    assert frame.size == written
    assert np.abs(frame.rgb[-1, -1].astype(np.int16) - (200, 190, 180)).max() <= 8


@pytest.mark.parametrize("name", ["alpha.mp4", "alpha.mkv", "alpha.webm", "alpha.mov"])
def test_an_alpha_video_is_grey_and_right_at_every_level(tmp_path: Path, info: MakeInfo, at: At, name: str) -> None:
    ramp = np.repeat(np.repeat(np.arange(0, 256, 8, dtype=np.uint8), 16)[None], 48, axis=0)
    with open_sink(str(tmp_path / name), info=info(512, 48), kind="alpha", crf=2) as sink:
        sink.write(ramp, at(0))
        sink.write(np.full((48, 512), 255, np.uint8), at(1))
        sink.write(np.zeros((48, 512), np.uint8), at(2))
    frames = read_frames(tmp_path / name)
    assert np.abs(frames[0].rgb[:, 8::16].astype(np.int16) - ramp[:, 8::16, None]).max() <= 3
    assert frames[1].rgb.min() >= 254
    assert frames[2].rgb.max() <= 1


def test_prores_carries_colours_and_alpha(tmp_path: Path, info: MakeInfo, at: At) -> None:
    path = tmp_path / "cut.mov"
    pictures = [flat((*colour, alpha)) for colour, alpha in zip(COLOURS, (255, 0, 128, 64, 1, 254), strict=True)]
    with open_sink(str(path), info=info(), kind="rgba") as sink:
        for index, picture in enumerate(pictures):
            sink.write(picture, at(index))
    read = read_rgba(path)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert context.name == "prores"
        assert context.colorspace == 1
    for got, picture in zip(read, pictures, strict=True):
        assert np.abs(got[:, :, 3].astype(np.int16) - picture[:, :, 3]).max() <= 1
        assert np.abs(got[:, :, :3].astype(np.int16) - picture[:, :, :3]).max() <= 4


def test_prores_takes_the_worst_picture_there_is(tmp_path: Path, info: MakeInfo, at: At) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 4), dtype=np.uint8)
    with open_sink(str(tmp_path / "noise.mov"), info=info(320, 240), kind="rgba") as sink:
        sink.write(noise, at(0))
    (read,) = read_rgba(tmp_path / "noise.mov")
    assert np.abs(read[:, :, 3].astype(np.int16) - noise[:, :, 3]).max() <= 1


def test_webm_carries_colours_and_alpha(tmp_path: Path, info: MakeInfo, at: At) -> None:
    path = tmp_path / "cut.webm"
    pictures = [flat((*colour, alpha)) for colour, alpha in zip(COLOURS, (255, 0, 128, 64, 1, 254), strict=True)]
    with open_sink(str(path), info=info(), kind="rgba", crf=4) as sink:
        for index, picture in enumerate(pictures):
            sink.write(picture, at(index))
    read = read_rgba(path, "libvpx-vp9")
    for got, picture in zip(read, pictures, strict=True):
        assert np.abs(got[:, :, 3].astype(np.int16) - picture[:, :, 3]).max() <= 3
        assert np.abs(got[:, :, :3].astype(np.int16) - picture[:, :, :3]).max() <= 8


def test_a_better_crf_makes_a_larger_file_and_a_slower_preset_is_accepted(
    tmp_path: Path, info: MakeInfo, at: At
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for name, settings_given in {
        "good.mp4": {"crf": 5, "preset": "slow", "threads": 1},
        "poor.mp4": {"crf": 45, "preset": "ultrafast", "threads": 2},
    }.items():
        with open_sink(str(tmp_path / name), info=info(), kind="composite", **settings_given) as sink:  # type: ignore[arg-type]
            for index in range(5):
                sink.write(noise, at(index))
        assert len(read_frames(tmp_path / name)) == 5
    assert (tmp_path / "good.mp4").stat().st_size > 2 * (tmp_path / "poor.mp4").stat().st_size


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_works_for_vp9(tmp_path: Path, info: MakeInfo, at: At, preset: str) -> None:
    with open_sink(str(tmp_path / "p.webm"), info=info(), kind="composite", preset=preset) as sink:
        sink.write(flat(COLOURS[0]), at(0))
    assert len(read_frames(tmp_path / "p.webm")) == 1


def test_pictures_are_not_kept_and_may_be_overwritten_after_the_call(tmp_path: Path, info: MakeInfo, at: At) -> None:
    picture = flat(COLOURS[0])
    with open_sink(str(tmp_path / "reuse.mp4"), info=info(), kind="composite") as sink:
        for index, colour in enumerate(COLOURS):
            picture[:] = colour
            sink.write(picture, at(index))
    for frame, colour in zip(read_frames(tmp_path / "reuse.mp4"), COLOURS, strict=True):
        assert np.abs(frame.rgb.astype(np.int16) - colour).max() <= 5


def test_pictures_that_are_not_contiguous_are_written_right(tmp_path: Path, info: MakeInfo, at: At) -> None:
    wide = np.zeros((48, 128, 3), np.uint8)
    wide[:, ::2] = COLOURS[1]
    with open_sink(str(tmp_path / "s.mp4"), info=info(), kind="composite") as sink:
        sink.write(wide[:, ::2], at(0))
    assert np.abs(read_frames(tmp_path / "s.mp4")[0].rgb.astype(np.int16) - COLOURS[1]).max() <= 5


def test_wrong_shapes_and_times_that_stand_still_are_refused(tmp_path: Path, info: MakeInfo, at: At) -> None:
    with open_sink(str(tmp_path / "w.mp4"), info=info(), kind="composite") as sink:
        sink.write(flat(COLOURS[0]), at(5))
        with pytest.raises(ValueError, match=r"composite pictures are uint8 \(48, 64, 3\), not uint8 \(48, 64\)"):
            sink.write(np.zeros((48, 64), np.uint8), at(6))
        with pytest.raises(ValueError, match="float32"):
            sink.write(np.zeros((48, 64, 3), np.float32), at(6))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"came after one at 0\.2 s"):
            sink.write(flat(COLOURS[0]), at(5))
    assert len(read_frames(tmp_path / "w.mp4")) == 1


@pytest.mark.parametrize(
    ("name", "kind", "options", "reason"),
    [
        ("x.mp4", "rgba", {}, r"\.mp4 cannot carry transparency; use \.mov"),
        ("x.mkv", "rgba", {}, r"\.mkv cannot carry transparency; use \.mov"),
        ("x.xyz", "composite", {}, r"unknown extension; use \.mp4 \.mkv \.mov \.webm"),
        ("x", "composite", {}, r"has no extension; add one"),
        ("x.mp4", "composite", {"crf": 52}, "crf 52 is out of range; use 0"),
        ("x.webm", "composite", {"crf": 64}, "crf 64 is out of range; use 0"),
        ("x.mp4", "composite", {"preset": "fastest"}, "unknown preset fastest: use one of ultrafast"),
        ("x.mov", "rgba", {"crf": 18}, "ProRes 4444 has no crf"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_made(
    tmp_path: Path, info: MakeInfo, name: str, kind: Any, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        open_sink(str(tmp_path / name), info=info(), kind=kind, **options)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_pictures_too_large_for_the_codec_are_refused(tmp_path: Path, info: MakeInfo) -> None:
    with pytest.raises(OutputError, match=r"libx264 does not take pictures of 20000x20000 .*; scale the input"):
        open_sink(str(tmp_path / "huge.mp4"), info=info(20000, 20000), kind="composite")
    assert os.listdir(tmp_path) == []


def test_a_file_without_pictures_is_not_made(tmp_path: Path, info: MakeInfo) -> None:
    with (
        pytest.raises(OutputError, match="no picture was written"),
        open_sink(str(tmp_path / "none.mp4"), info=info(), kind="composite"),
    ):
        pass
    assert os.listdir(tmp_path) == []


def test_a_name_with_a_colon_and_a_percent_sign_is_a_file(tmp_path: Path, info: MakeInfo, at: At) -> None:
    with open_sink(str(tmp_path / "take:2 100% é.mp4"), info=info(), kind="composite") as sink:
        sink.write(flat(COLOURS[0]), at(0))
    assert os.listdir(tmp_path) == ["take:2 100% é.mp4"]


@settings(max_examples=15)
@given(
    gaps=st.lists(st.integers(1, 10**6), min_size=1, max_size=12),
    start=st.integers(0, 10**7),
    denominator=st.sampled_from([600, 1000, 12800, 30000, 48000, 90000, 1200000]),
)
def test_mp4_keeps_any_times_exactly(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int], start: int, denominator: int
) -> None:
    path = tmp_path_factory.mktemp("times") / "t.mp4"
    time_base = Fraction(1, denominator)
    stamps = [start + sum(gaps[:count]) for count in range(len(gaps) + 1)]
    info = StreamInfo(16, 16, time_base, None, None, "camera")
    with VideoSink(
        str(path), info=info, kind="alpha", video_format=video_format(str(path), "alpha", None, "ultrafast")
    ) as sink:
        for index, pts in enumerate(stamps):
            sink.write(np.full((16, 16), index, np.uint8), Frame(np.zeros((1, 1, 3), np.uint8), pts, time_base, index))
    assert [frame.pts * frame.time_base for frame in read_frames(path)] == [pts * time_base for pts in stamps]
