from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from realtime_matting.compositing.looped import LoopedVideo
from realtime_matting.errors import InputError

RATE = 10
LEVELS = [20, 60, 100, 140, 180]  # of the frames; 0.5 seconds in all


def write_video(path: Path, levels: list[int], first_pts: int = 0) -> str:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index, level in enumerate(levels):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = first_pts + index, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


@pytest.fixture
def video(tmp_path: Path) -> str:
    return write_video(tmp_path / "five.mp4", LEVELS)


def shown(looped: LoopedVideo, *times: float) -> list[int]:
    """Which of the frames is on at each time."""
    return [int(np.abs(looped.frame_at(time).mean() - LEVELS).argmin()) for time in times]


def test_frames_are_chosen_by_time_not_by_count(video: str) -> None:
    assert shown(LoopedVideo(video), 0, 0.05, 0.1, 0.19, 0.2, 0.45) == [0, 0, 1, 1, 2, 4]


def test_frames_are_skipped_where_the_stream_is_slower(video: str) -> None:
    assert shown(LoopedVideo(video), 0, 0.25, 0.4) == [0, 2, 4]


def test_it_begins_again_at_its_end_and_keeps_time(video: str) -> None:
    times = [index / 10 for index in range(23)]
    assert shown(LoopedVideo(video), *times) == [index % 5 for index in range(23)]


def test_several_rounds_may_pass_between_two_frames(video: str) -> None:
    assert shown(LoopedVideo(video), 0, 7.3, 100.1) == [0, 3, 1]


def test_time_counts_from_the_first_one_asked_for(video: str) -> None:
    assert shown(LoopedVideo(video), 1234.5, 1234.6, 1235.1) == [0, 1, 1]


def test_a_video_whose_own_time_starts_late_begins_at_once(tmp_path: Path) -> None:
    late = write_video(tmp_path / "late.mkv", LEVELS, first_pts=30)
    assert shown(LoopedVideo(late), 0, 0.1, 0.6) == [0, 1, 1]


def test_a_time_before_the_last_one_starts_it_again(video: str) -> None:
    assert shown(LoopedVideo(video), 5.0, 5.3, 2.0, 2.1) == [0, 3, 0, 1]


def test_the_same_rate_shows_each_frame_once_in_spite_of_rounding(video: str) -> None:
    times = [round(index / 10, 3) - 1e-4 * (index % 2) for index in range(15)]
    assert shown(LoopedVideo(video), *times) == [index % 5 for index in range(15)]


def test_an_unchanged_frame_is_the_same_array(video: str) -> None:
    looped = LoopedVideo(video)
    assert looped.frame_at(0) is looped.frame_at(0.05)


def test_a_single_frame_stays(tmp_path: Path) -> None:
    single = LoopedVideo(write_video(tmp_path / "one.mp4", LEVELS[:1]))
    assert single.frame_at(0) is single.frame_at(9)


def test_a_missing_file_and_garbage_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "garbage.mp4").write_bytes(b"not a video" * 99)
    for name in ("missing.mp4", "garbage.mp4"):
        with pytest.raises(InputError, match=name):
            LoopedVideo(str(tmp_path / name))


def test_closing_twice_is_harmless(video: str) -> None:
    looped = LoopedVideo(video)
    looped.frame_at(0)
    looped.close()
    looped.close()
