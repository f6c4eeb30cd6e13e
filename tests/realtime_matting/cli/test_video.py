"""``rtmatte video`` from file to file, with a real model and real files."""

import csv
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.compositing.reloading import ReloadingBackground
from realtime_matting.sources import open_source

Rtmatte = Callable[..., CompletedProcess[str]]

INSIDE = (48, 64)
OUTSIDE = (8, 8)
PERSON = (20, 230, 30)
ROOM = (120, 110, 130)


def pictures_of(path: Path) -> list[NDArray[np.uint8]]:
    with open_source(str(path)) as source:
        return [frame.rgb for frame in source]


def sound_of(path: Path) -> list[bytes]:
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def close_to(colour: NDArray[np.uint8], expected: tuple[int, ...]) -> bool:
    """Within what 4:2:0 and a lossy codec change."""
    return bool(np.abs(colour.astype(np.int16) - expected).max() <= 12)


def test_the_person_is_put_on_the_colour_and_the_sound_is_kept(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    done = rtmatte("video", video, out, "--bg", "#C00000", "--model", green_bundle)
    assert done.returncode == 0, done.stderr
    pictures = pictures_of(out)
    assert len(pictures) == 15
    assert close_to(pictures[7][INSIDE], PERSON)
    assert close_to(pictures[7][OUTSIDE], (192, 0, 0))
    assert sound_of(out) == sound_of(video)


def test_it_says_what_it_runs_on_and_what_came_of_it(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    done = rtmatte("video", video, out, "--model", green_bundle)
    assert done.stderr.splitlines()[0].startswith("rtmatte: green-people 1.0.0 on OpenVINO")
    assert done.stdout.startswith(f"{out}: 15 frames in ")


def test_without_a_background_the_room_is_blurred(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    assert rtmatte("video", video, out, "--model", green_bundle).returncode == 0
    picture = pictures_of(out)[7]
    assert close_to(picture[INSIDE], PERSON)
    assert close_to(picture[OUTSIDE], ROOM)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_the_alpha_is_white_inside_and_black_outside(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path, engine: str
) -> None:
    out = tmp_path / "alpha.mkv"
    words = ("--output", "alpha", "--engine", engine, "--threads", 1, "--model", green_bundle)
    done = rtmatte("video", video, out, *words)
    assert done.returncode == 0, done.stderr
    picture = pictures_of(out)[7]
    assert picture[INSIDE].min() >= 250
    assert picture[OUTSIDE].max() <= 5


def test_rgba_goes_to_a_folder_of_pictures(rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path) -> None:
    words = ("--output", "rgba", "--no-audio", "--model", green_bundle)
    done = rtmatte("video", video, f"{tmp_path}/frames/", *words)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert len(names) == 15
    bgra = cv2.imread(str(tmp_path / "frames" / names[7]), cv2.IMREAD_UNCHANGED)
    assert bgra[INSIDE][3] == 255
    assert bgra[OUTSIDE].tolist() == [0, 0, 0, 0]


def test_a_folder_of_pictures_becomes_a_video(rtmatte: Rtmatte, green_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for index in range(4):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((96, 128, 3), ROOM[::-1], np.uint8))
    done = rtmatte("video", folder, tmp_path / "out.mp4", "--bg", "#0000C0", "--model", green_bundle)
    assert done.returncode == 0, done.stderr
    pictures = pictures_of(tmp_path / "out.mp4")
    assert len(pictures) == 4
    assert close_to(pictures[2][INSIDE], (0, 0, 192))


def test_no_audio_leaves_the_sound_out(rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    assert rtmatte("video", video, out, "--no-audio", "--model", green_bundle).returncode == 0
    with av.open(out) as container:
        assert not container.streams.audio


def test_a_higher_crf_makes_a_smaller_file(rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path) -> None:
    sizes = []
    for crf in (10, 45):
        out = tmp_path / f"{crf}.mp4"
        assert rtmatte("video", video, out, "--crf", crf, "--model", green_bundle).returncode == 0
        sizes.append(out.stat().st_size)
    assert sizes[1] < sizes[0]


def test_profile_prints_every_stage_and_the_memory(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    done = rtmatte("video", video, tmp_path / "out.mp4", "--profile", "--model", green_bundle)
    stages = [line.split()[0] for line in done.stdout.splitlines() if line]
    for stage in ("decode", "trimap", "matting", "refine", "foreground", "composite", "encode"):
        assert stage in stages
    assert "15 frames in " in done.stdout
    assert "MiB at start" in done.stdout
    assert "MiB at end" in done.stdout


@pytest.mark.parametrize("delay", [0, 1])
def test_the_statistics_have_a_line_for_each_frame(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path, delay: int
) -> None:
    table = tmp_path / "stats.csv"
    words = ("--stats", table, "--reuse", "--delay", delay, "--model", green_bundle)
    done = rtmatte("video", video, tmp_path / "out.mp4", *words)
    assert done.returncode == 0, done.stderr
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(15))
    assert rows[0]["why"] == "refresh: first frame"
    assert float(rows[0]["trimap_ms"]) > 0
    reused = [row for row in rows if row["refresh"] == "0"]
    assert reused
    assert all(float(row["trimap_ms"]) == 0 for row in reused)
    assert len(pictures_of(tmp_path / "out.mp4")) == 15


def test_without_reuse_the_trimap_network_runs_for_every_frame(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    table = tmp_path / "stats.csv"
    done = rtmatte("video", video, tmp_path / "out.mp4", "--no-reuse", "--stats", table, "--model", green_bundle)
    assert done.returncode == 0, done.stderr
    with table.open(newline="") as file:
        assert {row["why"] for row in csv.DictReader(file)} == {"refresh: every frame"}


def test_a_preset_from_a_file_is_used_and_options_go_before_it(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    preset, table = tmp_path / "mine.yaml", tmp_path / "stats.csv"
    preset.write_text(f"model: {green_bundle}\nreuse: always\n")

    def reasons(*words: str) -> set[str]:
        done = rtmatte("video", video, tmp_path / "out.mp4", "--preset", preset, "--stats", table, *words)
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith("rtmatte: green-people 1.0.0 on OpenVINO")
        assert done.stderr.splitlines()[0].endswith(f", preset {preset}")
        with table.open(newline="") as file:
            return {row["why"] for row in csv.DictReader(file)}

    assert any(why.startswith("reuse") for why in reasons())
    assert reasons("--no-reuse") == {"refresh: every frame"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--preset", "best"), "best: no such preset; choose quality, balanced, fast, or a file that ends in .yaml"),
        (("--preset", "missing.yaml"), "missing.yaml: cannot be read (No such file or directory)"),
        (("--preset", "auto"), "--preset auto chooses the model"),
        (("--output", "rgba", "--light-wrap", "0.5"), "--light-wrap has no use with rgba output"),
        (("--bg", "transparent", "--match-colours", "1"), "--match-colours has no use with rgba output"),
        (("--bg", "transparent", "--output", "alpha"), "a transparent background has no use with alpha output"),
        (("--bg", "transparent"), ".mp4"),
    ],
)
def test_options_that_contradict_each_other_are_told_in_one_line(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = rtmatte("video", video, tmp_path / "out.mp4", *words, "--model", green_bundle)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


def test_a_transparent_background_is_rgba_output(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    words = ("--bg", "transparent", "--no-audio", "--model", green_bundle)
    done = rtmatte("video", video, f"{tmp_path}/frames/", *words)
    assert done.returncode == 0, done.stderr
    bgra = cv2.imread(str(sorted((tmp_path / "frames").iterdir())[7]), cv2.IMREAD_UNCHANGED)
    assert bgra[INSIDE][3] == 255
    assert bgra[OUTSIDE].tolist() == [0, 0, 0, 0]


def test_light_and_colours_of_the_background_reach_the_person_and_nothing_else(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    def picture(*words: object) -> NDArray[np.int16]:
        out = tmp_path / "out.mkv"
        done = rtmatte("video", video, out, "--bg", "#F0F0FF", "--crf", 1, "--model", green_bundle, *words)
        assert done.returncode == 0, done.stderr
        return pictures_of(out)[7].astype(np.int16)

    rim = (48, 64 + 32)  # the ball has a radius of 32 pixels
    plain, wrapped, matched = picture(), picture("--light-wrap", 1), picture("--match-colours", 1)
    assert (wrapped[rim] - plain[rim]).max() > 20
    assert np.abs(wrapped[INSIDE] - plain[INSIDE]).max() <= 4
    assert matched[INSIDE].sum() > plain[INSIDE].sum() + 30
    for changed in (wrapped, matched):
        assert np.abs(changed[OUTSIDE] - plain[OUTSIDE]).max() <= 4


def test_a_background_that_is_replaced_under_way_is_shown_from_then_on(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beach = tmp_path / "beach.png"
    cv2.imwrite(str(beach), np.full((96, 128, 3), 60, np.uint8))
    looks: list[int] = []

    class ReplacedUnderWay(ReloadingBackground):
        def look(self) -> None:
            looks.append(1)
            if len(looks) == 5:
                cv2.imwrite(str(beach), np.full((96, 128, 3), 180, np.uint8))
            super().look()

    monkeypatch.setattr("realtime_matting.compositing.reloading._EVERY", 0.0)
    monkeypatch.setattr("realtime_matting.cli.job.ReloadingBackground", ReplacedUnderWay)
    out = tmp_path / "out.mp4"
    assert rtmatte("video", video, out, "--bg", beach, "--model", green_bundle).returncode == 0
    levels = [round(float(picture[OUTSIDE].mean()) / 60) for picture in pictures_of(out)]
    assert levels == [1] * 5 + [3] * 10


def test_the_statistics_can_be_a_picture(rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "stats.png"
    done = rtmatte("video", video, tmp_path / "out.mp4", "--stats", plot, "--model", green_bundle)
    assert done.returncode == 0, done.stderr
    drawn = cv2.imread(str(plot))
    assert drawn is not None
    assert drawn.std() > 10


def test_statistics_of_an_unknown_kind_or_over_an_input_are_refused(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    done = rtmatte("video", video, tmp_path / "out.mp4", "--stats", tmp_path / "stats.txt", "--model", green_bundle)
    assert done.returncode == 2
    assert ".csv" in done.stderr
    picture = tmp_path / "beach.png"
    cv2.imwrite(str(picture), np.full((96, 128, 3), 50, np.uint8))
    before = picture.read_bytes()
    words = ("--bg", picture, "--stats", picture, "--model", green_bundle)
    assert rtmatte("video", video, tmp_path / "out.mp4", *words).returncode == 2
    assert picture.read_bytes() == before


def test_an_existing_output_is_replaced_when_the_new_one_is_complete(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"old")
    assert rtmatte("video", video, out, "--model", green_bundle).returncode == 0
    assert len(pictures_of(out)) == 15


def test_an_existing_output_stays_as_it_was_when_the_run_fails(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from realtime_matting.errors import EngineError

    def failing(*_: object) -> None:
        raise EngineError("the device was lost")

    monkeypatch.setattr("realtime_matting.matting.stream.fuse", failing)
    out = tmp_path / "out.mp4"
    out.write_bytes(b"old")
    before = sorted(tmp_path.iterdir())
    done = rtmatte("video", video, out, "--model", green_bundle)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "rtmatte: the device was lost"
    assert out.read_bytes() == b"old"
    assert sorted(tmp_path.iterdir()) == before


def test_the_input_is_not_overwritten(rtmatte: Rtmatte, green_bundle: Path, video: Path) -> None:
    before = video.read_bytes()
    done = rtmatte("video", video, video, "--model", green_bundle)
    assert done.returncode == 2
    assert video.read_bytes() == before


def test_the_background_is_not_overwritten(rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path) -> None:
    beach = tmp_path / "beach.mp4"
    beach.write_bytes(video.read_bytes())
    done = rtmatte("video", video, beach, "--bg", beach, "--model", green_bundle)
    assert done.returncode == 2
    assert beach.read_bytes() == video.read_bytes()


def test_a_background_without_use_is_refused(rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path) -> None:
    words = ("--output", "alpha", "--bg", "#00FF00", "--model", green_bundle)
    done = rtmatte("video", video, tmp_path / "out.mp4", *words)
    assert done.returncode == 2
    assert "no use with alpha" in done.stderr


def test_a_model_that_is_not_there_is_named(rtmatte: Rtmatte, video: Path, tmp_path: Path) -> None:
    done = rtmatte("video", video, tmp_path / "out.mp4", "--model", "no-such-model")
    assert done.returncode == 2
    assert "no-such-model" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


def test_what_the_source_had_to_repair_is_told_at_the_end(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.mp4"
    # The index goes to the front, so that a file without its end can still be read.
    with av.open(video) as old, av.open(cut, "w", container_options={"movflags": "faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    content = cut.read_bytes()
    cut.write_bytes(content[: int(len(content) * 0.8)])
    done = rtmatte("video", cut, tmp_path / "out.mp4", "--model", green_bundle)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"rtmatte: warning: {cut}: ")
    assert 1 <= len(pictures_of(tmp_path / "out.mp4")) < 15


def test_a_video_too_small_to_matte_is_named(rtmatte: Rtmatte, green_bundle: Path, tmp_path: Path) -> None:
    tiny = tmp_path / "tiny.mkv"
    with av.open(tiny, "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 8, 32, "yuv444p"
        container.mux(stream.encode(av.VideoFrame(8, 32, "yuv444p")))
        container.mux(stream.encode(None))
    done = rtmatte("video", tiny, tmp_path / "out.mp4", "--model", green_bundle)
    assert done.returncode == 2
    assert done.stderr == (f"rtmatte: {tiny}: is 8x32, and at least 16 pixels a side are needed; scale it up first\n")


def test_an_empty_background_is_refused_and_not_taken_for_none(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    done = rtmatte("video", video, tmp_path / "out.mp4", "--bg", "", "--model", green_bundle)
    assert done.returncode == 2
    assert "'': not a background" in done.stderr
