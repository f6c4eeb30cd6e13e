"""`benchmarks/one_run.py` and what `benchmarks/video.py` makes of it."""

import sys
from pathlib import Path

import av
import pytest

from realtime_matting.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from one_run import Clock, Result, Task, run
from video import parse_size, scaled_clip, stages_of, summary

SAMPLE = Path(__file__).parents[1] / "realtime_matting" / "sample" / "talk.mp4"


@pytest.mark.parametrize("text", ["", "640", "640x", "641x360", "640x361", "640x360x2"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="WIDTHxHEIGHT"):
        parse_size(text)


def test_a_clip_is_scaled_and_shortened(tmp_path: Path) -> None:
    scaled_clip(SAMPLE, (160, 90), 7, tmp_path / "small.mp4")
    with av.open(tmp_path / "small.mp4") as container:
        assert [(picture.width, picture.height) for picture in container.decode(video=0)] == 7 * [(160, 90)]


def test_rounds_are_summed_up_by_their_medians_and_memory_by_its_largest() -> None:
    rounds = [
        Result(fps=fps, cpu=50, first_frame=1, memory=memory, growth=0, stages={"decode": fps / 10})
        for fps, memory in ((10, 300), (40, 200), (20, 250))
    ]
    assert summary(rounds) == {"fps": 20, "cpu ms": 50, "first frame s": 1, "RSS MiB": 300, "growth MiB": 0}
    assert stages_of(rounds) == {"decode": 2}


def test_the_first_frames_count_in_no_stage() -> None:
    seconds: dict[str, float] = {}
    clock = Clock(Task("fast", "clip.mp4", frames=12), seconds)
    for frame in range(1, 13):
        seconds["matting"] = seconds.get("matting", 0.0) + (1.0 if frame == 1 else 0.01)
        clock.frame_done(frame)
    assert clock.stop().stages["matting"] == pytest.approx(10)


def test_a_run_has_a_process_of_its_own_and_says_all_it_measured(tmp_path: Path) -> None:
    scaled_clip(SAMPLE, (160, 90), 12, tmp_path / "small.mp4")
    result = run(Task("shm-fast", str(tmp_path / "small.mp4"), frames=12))
    assert result.fps > 0
    assert result.cpu > 0
    assert result.memory > 50
    assert {"decode", "trimap", "matting", "encode"} <= set(result.stages)


def test_the_live_path_is_a_live_run_and_its_stages_count_once(tmp_path: Path) -> None:
    scaled_clip(SAMPLE, (160, 90), 12, tmp_path / "small.mp4")
    result = run(Task("shm-fast", str(tmp_path / "small.mp4"), frames=16, path="live"))
    assert 0 < result.fps < 250
    assert result.first_frame > 0
    assert {"fit", "trimap", "matting", "refine", "foreground", "composite"} <= set(result.stages)
    assert not {"decode", "encode", "draft", "finish"} & set(result.stages)


def test_a_run_that_fails_says_why_in_one_line() -> None:
    with pytest.raises(SystemExit, match=r"no-such\.mp4.*failed"):
        run(Task("shm-fast", "no-such.mp4", frames=12))
