"""What a live run writes to a file."""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from realtime_matting.errors import InputError
from realtime_matting.sinks.live_file import NoSink, RecordingSink


def test_pictures_have_the_times_at_which_they_went_out(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = RecordingSink(str(path), width=64, height=48, fps=30, camera="camera")
    for time in (100.0, 100.033, 100.5, 100.5, 101.0):
        sink.send(np.full((48, 64, 3), 120, np.uint8), time)
    sink.close()
    with av.open(path) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([0, 0.033, 0.5, 0.5, 1.0], abs=1e-3)
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


def test_without_a_picture_nothing_is_left(tmp_path: Path) -> None:
    RecordingSink(str(tmp_path / "out.mp4"), width=64, height=48, fps=30, camera="camera").close()
    assert list(tmp_path.iterdir()) == []


def test_the_camera_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "talk.mp4"
    path.write_bytes(b"video")
    with pytest.raises(InputError, match="is also the input"):
        RecordingSink(str(path), width=64, height=48, fps=30, camera=str(path))


def test_none_is_always_watched_so_that_it_can_be_measured() -> None:
    assert NoSink().watched()
