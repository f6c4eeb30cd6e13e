"""Sound copied beside the pictures: payloads, times, order, refusals, memory."""

import os
import struct
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.errors import InputError
from realtime_matting.frames import Frame, StreamInfo
from realtime_matting.sinks import open_sink
from realtime_matting.sinks.audio import AudioClock
from realtime_matting.sources import open_source

MakeInfo = Callable[..., StreamInfo]
At = Callable[..., Frame]
MakeSound = Callable[..., str]

PICTURE = np.full((48, 64, 3), 90, np.uint8)


def packets_of(path: str | Path, stream: int = 0) -> list[tuple[Fraction, bytes]]:
    """Time in seconds and payload of every packet of an audio stream."""
    with av.open(str(path)) as container:
        audio = container.streams.audio[stream]
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(audio)
            if packet.size and packet.pts is not None and packet.time_base
        ]


def copy(sound: str, output: Path, info: StreamInfo, at: At, pictures: int = 25) -> Any:
    with open_sink(str(output), info=info, kind="composite", audio_from=sound, preset="ultrafast") as sink:
        for index in range(pictures):
            sink.write(PICTURE, at(index))
    return sink


@pytest.mark.parametrize(
    ("source", "codec", "output", "resolution"),
    [
        ("in.mp4", "aac", "out.mp4", 0),
        ("in.mp4", "aac", "out.mov", 0),
        ("in.mp4", "aac", "out.mkv", 1),
        ("in.mkv", "aac", "out.mp4", 1),
        ("in.mkv", "libopus", "out.webm", 1),
        ("in.mkv", "libopus", "out.mp4", 1),
        ("in.mkv", "flac", "out.mkv", 1),
        ("in.mov", "pcm_s16le", "out.mov", 0),
        ("in.mkv", "libmp3lame", "out.mp4", 1),
    ],
)
def test_audio_is_copied_bit_for_bit(
    tmp_path: Path,
    make_sound: MakeSound,
    info: MakeInfo,
    at: At,
    source: str,
    codec: str,
    output: str,
    resolution: int,
) -> None:
    sound = make_sound(source, codec)
    sink = copy(sound, tmp_path / output, info(), at)
    before, after = packets_of(sound), packets_of(tmp_path / output)
    assert len(before) > 20
    assert [payload for _, payload in after] == [payload for _, payload in before]
    with av.open(str(tmp_path / output)) as container:
        pictures = [packet.pts * packet.time_base for packet in container.demux(video=0) if packet.size]
    # Where sound begins before 0, Matroska moves everything by as much: compare with the first picture.
    moved = min(pictures)
    assert moved == 0 or output.endswith((".mkv", ".webm"))
    for (time, _), (copied, _) in zip(before, after, strict=True):
        assert abs(copied - moved - time) <= Fraction(resolution, 1000)
    assert sink.warnings == []


def test_several_audio_tracks_are_all_copied(tmp_path: Path, make_sound: MakeSound, info: MakeInfo, at: At) -> None:
    sound = make_sound("two.mkv", tracks=2)
    copy(sound, tmp_path / "out.mp4", info(), at)
    for track in (0, 1):
        before, after = packets_of(sound, track), packets_of(tmp_path / "out.mp4", track)
        assert [payload for _, payload in after] == [payload for _, payload in before]


@pytest.mark.parametrize("output", ["out.mp4", "out.mkv"])
def test_sound_that_starts_late_starts_late(
    tmp_path: Path, make_sound: MakeSound, info: MakeInfo, at: At, output: str
) -> None:
    sound = make_sound("late.mkv", start=0.5, seconds=0.4)
    copy(sound, tmp_path / output, info(), at)
    assert packets_of(sound)[0][0] > Fraction(4, 10)
    assert abs(packets_of(tmp_path / output)[0][0] - packets_of(sound)[0][0]) <= Fraction(1, 1000)


@pytest.mark.parametrize(("seconds", "pictures"), [(4.0, 10), (0.3, 100)])
def test_sound_longer_or_shorter_than_the_pictures_is_copied_whole(
    tmp_path: Path, make_sound: MakeSound, info: MakeInfo, at: At, seconds: float, pictures: int
) -> None:
    sound = make_sound("in.mp4", seconds=seconds)
    copy(sound, tmp_path / "out.mp4", info(), at, pictures)
    assert len(packets_of(tmp_path / "out.mp4")) == len(packets_of(sound))
    with open_source(str(tmp_path / "out.mp4")) as source:
        assert len(list(source)) == pictures


def test_a_video_without_sound_is_copied_without_sound(
    tmp_path: Path, make_sound: MakeSound, info: MakeInfo, at: At
) -> None:
    copy(make_sound("silent.mp4", tracks=0), tmp_path / "out.mp4", info(), at)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.streams) == 1


def test_sound_lies_beside_its_pictures_in_the_file(
    tmp_path: Path, make_sound: MakeSound, info: MakeInfo, at: At
) -> None:
    copy(make_sound("in.mp4", seconds=8), tmp_path / "out.mp4", info(), at, pictures=200)
    reached = {"video": 0.0, "audio": 0.0}
    with av.open(str(tmp_path / "out.mp4")) as container:
        in_file_order = sorted((packet for packet in container.demux() if packet.size), key=lambda packet: packet.pos)
        assert len(in_file_order) > 500
        for packet in in_file_order:
            reached[packet.stream.type] = float(packet.dts * packet.time_base)
            assert abs(reached["video"] - reached["audio"]) < 1.0


def test_sound_is_read_no_further_than_the_pictures_have_got(
    tmp_path: Path, make_sound: MakeSound, info: MakeInfo, at: At
) -> None:
    """So memory stays flat: of a minute of sound, little is in the file after one second of pictures."""
    sound = make_sound("long.mkv", "pcm_s16le", seconds=60, rate=8000)
    with open_sink(str(tmp_path / "out.mkv"), info=info(), kind="composite", audio_from=sound) as sink:
        for index in range(25):
            sink.write(PICTURE, at(index))
        left = sink.finish_early()
    times = [time for time, _ in packets_of(left)]
    assert 0.9 < times[-1] - times[0] < 1.6


@pytest.mark.parametrize(
    ("codec", "source", "output", "kind", "reason"),
    [
        ("aac", "in.mp4", "out.webm", "alpha", r"\.webm cannot carry the sound \(aac\); use \.mkv, or leave the sound"),
        ("aac", "in.mp4", "out.webm", "rgba", r"\.webm cannot carry the sound \(aac\); use \.mov, or leave the sound"),
        ("pcm_alaw", "in.mov", "out.mp4", "alpha", r"\.mp4 cannot carry the sound \(pcm_alaw\); use \.mov, or leave"),
        ("wmav2", "in.asf", "out.mp4", "alpha", r"\.mp4 cannot carry the sound \(wmav2\); leave the sound out"),
        ("wmav2", "in.asf", "out.mov", "rgba", r"\.mov cannot carry the sound \(wmav2\); leave the sound out"),
    ],
)
def test_sound_that_the_container_cannot_carry_is_refused_up_front(
    tmp_path: Path,
    make_sound: MakeSound,
    info: MakeInfo,
    codec: str,
    source: str,
    output: str,
    kind: Any,
    reason: str,
) -> None:
    sound = make_sound(source, codec)
    with pytest.raises(InputError, match=reason) as caught:
        open_sink(str(tmp_path / output), info=info(), kind=kind, audio_from=sound)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == [source]


def test_sound_that_only_the_header_refuses_is_refused_up_front_too(
    tmp_path: Path, make_sound: MakeSound, info: MakeInfo
) -> None:
    """FFmpeg lists TrueHD among the codecs of MP4, but refuses to write it."""
    sound = Path(make_sound("in.mkv", "libmp3lame"))
    sound.write_bytes(sound.read_bytes().replace(b"A_MPEG/L3", b"A_TRUEHD\0"))
    with pytest.raises(InputError, match=r"\.mp4 cannot carry the sound \(truehd\); use \.mkv, or leave"):
        open_sink(str(tmp_path / "out.mp4"), info=info(), kind="composite", audio_from=str(sound))
    assert os.listdir(tmp_path) == ["in.mkv"]


def test_sound_from_a_file_that_is_not_there_is_refused_up_front(tmp_path: Path, info: MakeInfo) -> None:
    with pytest.raises(InputError, match=r"gone\.mp4: no such file"):
        open_sink(str(tmp_path / "o.mp4"), info=info(), kind="composite", audio_from=str(tmp_path / "gone.mp4"))
    assert os.listdir(tmp_path) == []


def test_sound_cut_off_is_copied_as_far_as_it_goes(
    tmp_path: Path, make_sound: MakeSound, info: MakeInfo, at: At
) -> None:
    sound = Path(make_sound("in.mkv", seconds=4, pictures=100))
    whole = packets_of(sound)
    data = sound.read_bytes()
    sound.write_bytes(data[: len(data) // 2])
    copy(str(sound), tmp_path / "out.mp4", info(), at, pictures=50)
    after = packets_of(tmp_path / "out.mp4")
    assert 0.3 * len(whole) < len(after) < 0.7 * len(whole)
    assert [payload for _, payload in after] == [payload for _, payload in whole[: len(after)]]


def test_sound_that_cannot_be_read_on_is_copied_up_to_there(
    tmp_path: Path, make_sound: MakeSound, info: MakeInfo, at: At
) -> None:
    sound = Path(make_sound("in.mp4", seconds=3))
    whole = packets_of(sound)
    data = bytearray(sound.read_bytes())
    place = data.rindex(b"stsz") + 16 + 4 * 50  # the size of the second track's sample 50
    data[place : place + 4] = struct.pack(">I", 0x20000000)
    sound.write_bytes(data)
    sink = copy(str(sound), tmp_path / "out.mp4", info(), at, pictures=50)
    after = packets_of(tmp_path / "out.mp4")
    assert [payload for _, payload in after] == [payload for _, payload in whole[:50]]
    assert any("sound of the input is damaged or cut off" in warning for warning in sink.warnings)


def test_sound_from_a_transport_stream_goes_into_mp4(
    tmp_path: Path, make_sound: MakeSound, info: MakeInfo, at: At
) -> None:
    """Its AAC packets carry headers of their own there (ADTS) and none in MP4; what they decode to is the same."""
    sound = make_sound("in.ts")
    copy(sound, tmp_path / "out.mp4", info(), at)

    def samples(path: str | Path) -> np.ndarray:
        with av.open(str(path)) as container:
            return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)

    before, after = samples(sound), samples(tmp_path / "out.mp4")
    assert after.size > 100_000
    assert np.array_equal(before[:, -after.shape[1] :], after[:, -before.shape[1] :])


def test_joined_recordings_keep_their_sound_in_order(
    tmp_path: Path, make_sound: MakeSound, info: MakeInfo, at: At
) -> None:
    parts = [Path(make_sound(name, seconds=3, pictures=75)) for name in ("one.ts", "two.ts")]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    sink = copy(str(joined), tmp_path / "out.mp4", info(), at, pictures=150)
    times = [time for time, _ in packets_of(tmp_path / "out.mp4")]
    assert all(later > earlier for earlier, later in pairwise(times))
    assert 5.5 < times[-1] - times[0] < 7
    assert any("ran backwards" in warning for warning in sink.warnings)


@given(
    st.lists(st.one_of(st.none(), st.fractions(-100, 1000, max_denominator=48000)), min_size=1, max_size=40),
    st.sampled_from([Fraction(0), Fraction(1, 48000), Fraction(1, 1000)]),
)
def test_packets_never_run_backwards(times: list[Fraction | None], step: Fraction) -> None:
    clock = AudioClock()
    placed = [clock.place(time, Fraction(1024, 48000), step) for time in times]
    assert all(later >= earlier + step for earlier, later in pairwise(placed))


@given(st.sets(st.integers(-1000, 10**6), min_size=1))
def test_good_packet_times_are_kept_exactly(stamps: set[int]) -> None:
    clock = AudioClock()
    times = [Fraction(stamp, 48000) for stamp in sorted(stamps)]
    assert [clock.place(time, Fraction(0), Fraction(1, 48000)) for time in times] == times
    assert clock.moved == 0


def test_packets_that_share_a_time_do_not_push_the_rest_away() -> None:
    clock = AudioClock()
    unit = Fraction(1, 48000)
    times = [Fraction(ms, 1000) for ms in (0, 1, 1, 2, 3)]
    assert [clock.place(time, Fraction(0), unit) for time in times] == [0, times[1], times[1] + unit, *times[3:]]
