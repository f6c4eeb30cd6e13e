"""ImageSink: single pictures, folders and numbered names."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from realtime_matting.errors import InputError, OutputError
from realtime_matting.frames import Frame, StreamInfo
from realtime_matting.sinks import open_sink
from realtime_matting.sources import open_source

MakeInfo = Callable[..., StreamInfo]
At = Callable[..., Frame]

GENERATOR = np.random.default_rng(5)
PICTURES = {
    "composite": GENERATOR.integers(0, 256, (48, 64, 3), dtype=np.uint8),
    "foreground": GENERATOR.integers(0, 256, (48, 64, 3), dtype=np.uint8),
    "rgba": GENERATOR.integers(0, 256, (48, 64, 4), dtype=np.uint8),
    "alpha": GENERATOR.integers(0, 256, (48, 64), dtype=np.uint8),
}


def load(path: Path) -> np.ndarray:
    """The file as it is stored, channels in the order red, green, blue, alpha."""
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    if stored.ndim == 2:
        return stored
    return cv2.cvtColor(stored, cv2.COLOR_BGRA2RGBA if stored.shape[2] == 4 else cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("kind", list(PICTURES))
def test_a_folder_of_png_holds_every_kind_without_loss(tmp_path: Path, info: MakeInfo, at: At, kind: Any) -> None:
    with open_sink(f"{tmp_path}/frames/", info=info(), kind=kind) as sink:
        for index in range(12):
            sink.write(np.roll(PICTURES[kind], index, axis=0), at(index))
        assert not (tmp_path / "frames").exists()
    assert sorted(os.listdir(tmp_path / "frames")) == [f"{index:06d}.png" for index in range(12)]
    for index in range(12):
        assert np.array_equal(load(tmp_path / "frames" / f"{index:06d}.png"), np.roll(PICTURES[kind], index, axis=0))
    assert os.listdir(tmp_path) == ["frames"]


def test_two_sequences_fit_into_one_folder_and_can_be_read_back(tmp_path: Path, info: MakeInfo, at: At) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with (
        open_sink(str(tmp_path / "fg_%04d.png"), info=info(), kind="foreground") as colours,
        open_sink(str(tmp_path / "alpha_%04d.webp"), info=info(), kind="composite") as alphas,
    ):
        for index in range(3):
            colours.write(PICTURES["foreground"], at(index))
            alphas.write(PICTURES["composite"], at(index))
    names = [f"alpha_{i:04d}.webp" for i in range(3)] + [f"fg_{i:04d}.png" for i in range(3)] + ["notes.txt"]
    assert sorted(os.listdir(tmp_path)) == names
    with open_source(str(tmp_path / "fg_%04d.png")) as source:
        assert [np.array_equal(frame.rgb, PICTURES["foreground"]) for frame in source] == [True] * 3


def test_pictures_that_are_there_are_not_overwritten(tmp_path: Path, info: MakeInfo) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "000007.png").write_bytes(b"old")
    with pytest.raises(InputError, match=r"holds 000007\.png already, and pictures are not overwritten; remove them"):
        open_sink(str(tmp_path / "frames"), info=info(), kind="alpha")
    assert os.listdir(tmp_path / "frames") == ["000007.png"]


def test_the_folder_being_read_is_refused(tmp_path: Path, info: MakeInfo) -> None:
    with pytest.raises(InputError, match="is also the input"):
        open_sink(f"{tmp_path}/", info=info(uri=str(tmp_path)), kind="composite")


@pytest.mark.parametrize(
    ("name", "kind", "loss"),
    [
        ("o.png", "composite", 0),
        ("o.png", "rgba", 0),
        ("o.png", "alpha", 0),
        ("O.PNG", "alpha", 0),
        ("o.webp", "rgba", 0),
        ("o.jpg", "composite", 3),
        ("o.jpeg", "alpha", 3),
    ],
)
def test_a_single_picture(tmp_path: Path, info: MakeInfo, at: At, name: str, kind: Any, loss: int) -> None:
    picture = np.full_like(PICTURES[kind], 77)
    picture[..., :24, :] = 180 if kind != "alpha" else picture[..., :24, :]
    with open_sink(str(tmp_path / name), info=info(), kind=kind) as sink:
        sink.write(picture, at(0))
        assert not (tmp_path / name).exists()
    assert np.abs(load(tmp_path / name).astype(np.int16) - picture).max() <= loss
    assert os.listdir(tmp_path) == [name]


def test_a_second_picture_into_a_single_file_is_refused(tmp_path: Path, info: MakeInfo, at: At) -> None:
    with open_sink(str(tmp_path / "o.png"), info=info(), kind="alpha") as sink:
        sink.write(PICTURES["alpha"], at(0))
        with pytest.raises(OutputError, match="holds one picture but there are more; name a folder/"):
            sink.write(PICTURES["alpha"], at(1))
    assert os.listdir(tmp_path) == []


def test_finishing_early_keeps_the_pictures_written(tmp_path: Path, info: MakeInfo, at: At) -> None:
    with open_sink(f"{tmp_path}/frames/", info=info(), kind="alpha") as sink:
        sink.write(PICTURES["alpha"], at(0))
        assert sink.finish_early() == tmp_path / "frames"
    assert os.listdir(tmp_path / "frames") == ["000000.png"]


def test_pictures_hold_no_sound_and_say_so(
    tmp_path: Path, info: MakeInfo, at: At, make_sound: Callable[..., str]
) -> None:
    loud = make_sound("sound.mp4", seconds=0.2, pictures=2)
    with open_sink(str(tmp_path / "o.png"), info=info(), kind="alpha", audio_from=loud) as sink:
        sink.write(PICTURES["alpha"], at(0))
    assert [warning.endswith("pictures hold no sound; it is left out") for warning in sink.warnings] == [True]


def test_where_there_is_no_sound_none_is_said_to_be_left_out(
    tmp_path: Path, info: MakeInfo, at: At, make_sound: Callable[..., str]
) -> None:
    silent = make_sound("silent.mp4", pictures=2, tracks=0)
    with open_sink(str(tmp_path / "o.png"), info=info(), kind="alpha", audio_from=silent) as sink:
        sink.write(PICTURES["alpha"], at(0))
    assert sink.warnings == []


def test_an_empty_name_is_not_the_current_folder(
    tmp_path: Path, info: MakeInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="the name of the output is empty; name a video file"):
        open_sink("", info=info(), kind="alpha")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "kind", "options", "reason"),
    [
        ("o.jpg", "rgba", {}, r"JPEG cannot carry transparency; use \.png or \.webp"),
        ("a_%03d.gif", "composite", {}, "unknown extension"),
        ("o.png", "composite", {"crf": 20}, "pictures have no crf"),
        ("frames/", "composite", {"preset": "fast"}, "pictures have no crf and no preset"),
    ],
)
def test_what_pictures_cannot_do_is_refused(
    tmp_path: Path, info: MakeInfo, name: str, kind: Any, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        open_sink(f"{tmp_path}/{name}", info=info(), kind=kind, **options)
    assert os.listdir(tmp_path) == []


def test_wrong_shapes_are_refused(tmp_path: Path, info: MakeInfo, at: At) -> None:
    with open_sink(str(tmp_path / "o.png"), info=info(), kind="rgba") as sink:
        with pytest.raises(ValueError, match=r"rgba pictures are uint8 \(48, 64, 4\)"):
            sink.write(PICTURES["composite"], at(0))
        sink.write(PICTURES["rgba"], at(0))
