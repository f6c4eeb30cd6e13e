"""``rtmatte image``: one picture or a folder of them."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pytest

Rtmatte = Callable[..., CompletedProcess[str]]

INSIDE = (48, 64)
OUTSIDE = (8, 8)


@pytest.fixture
def folder(picture: Path, tmp_path: Path) -> Path:
    """Two pictures of different size and format, and a text file."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "anna.png").write_bytes(picture.read_bytes())
    bgr = cv2.imread(str(picture))
    assert cv2.imwrite(str(folder / "Bert.jpg"), cv2.resize(bgr, (64, 48)))
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_a_picture_is_cut_out_with_transparency(
    rtmatte: Rtmatte, green_bundle: Path, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    done = rtmatte("image", picture, out, "--model", green_bundle)
    assert done.returncode == 0, done.stderr
    bgra = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    assert bgra[INSIDE].tolist() == [30, 230, 20, 255]
    assert bgra[OUTSIDE].tolist() == [0, 0, 0, 0]


def test_with_a_background_it_is_a_composite(
    rtmatte: Rtmatte, green_bundle: Path, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    assert rtmatte("image", picture, out, "--bg", "#0000C8", "--model", green_bundle).returncode == 0
    bgr = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    assert bgr[INSIDE].tolist() == [30, 230, 20]
    assert bgr[OUTSIDE].tolist() == [200, 0, 0]


def test_a_transparent_background_is_a_cut_out(
    rtmatte: Rtmatte, green_bundle: Path, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    assert rtmatte("image", picture, out, "--bg", "transparent", "--model", green_bundle).returncode == 0
    bgra = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    assert bgra[OUTSIDE].tolist() == [0, 0, 0, 0]
    done = rtmatte("image", picture, tmp_path / "out.jpg", "--bg", "transparent", "--model", green_bundle)
    assert done.returncode == 2
    assert "JPEG holds no transparency" in done.stderr


def test_a_preset_and_a_look_are_used_and_auto_is_for_video(
    rtmatte: Rtmatte, green_bundle: Path, picture: Path, tmp_path: Path
) -> None:
    preset, out = tmp_path / "mine.yaml", tmp_path / "out.png"
    preset.write_text(f"model: {green_bundle}\nreuse: always\nlight_wrap: 1\n")
    rim = (48, 64 + 32)
    pixels = []
    for words in ((), ("--light-wrap", 0)):
        done = rtmatte("image", picture, out, "--bg", "#FFFFFF", "--preset", preset, *words)
        assert done.returncode == 0, done.stderr
        pixels.append(cv2.imread(str(out)).astype(np.int16)[rim])
    assert (pixels[0] - pixels[1]).max() > 20
    done = rtmatte("image", picture, out, "--preset", "auto")
    assert done.returncode == 2
    assert "--preset auto goes by the speed of video" in done.stderr


def test_the_alpha_of_a_picture_is_grey(rtmatte: Rtmatte, green_bundle: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    assert rtmatte("image", picture, out, "--output", "alpha", "--model", green_bundle).returncode == 0
    alpha = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    assert alpha.ndim == 2
    assert (alpha[INSIDE], alpha[OUTSIDE]) == (255, 0)


def test_a_jpeg_without_background_is_refused_with_both_ways_out(
    rtmatte: Rtmatte, green_bundle: Path, picture: Path, tmp_path: Path
) -> None:
    done = rtmatte("image", picture, tmp_path / "out.jpg", "--model", green_bundle)
    assert done.returncode == 2
    assert ".png" in done.stderr
    assert "--bg" in done.stderr


def test_every_picture_of_a_folder_keeps_its_name_and_size(
    rtmatte: Rtmatte, green_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    done = rtmatte("image", folder, tmp_path / "cut", "--model", green_bundle, "--profile")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["Bert.png", "anna.png"]
    assert cv2.imread(str(tmp_path / "cut" / "Bert.png"), cv2.IMREAD_UNCHANGED).shape == (48, 64, 4)
    assert done.stdout.splitlines()[-1] == f"{tmp_path / 'cut'}: 2 of 2 pictures"
    assert "2 frames in" in done.stdout


def test_a_broken_picture_of_a_folder_is_named_and_passed_over(
    rtmatte: Rtmatte, green_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG nothing more")
    done = rtmatte("image", folder, tmp_path / "cut", "--model", green_bundle)
    assert done.returncode == 2
    assert "broken.png" in done.stderr
    assert done.stdout.splitlines()[-1] == f"{tmp_path / 'cut'}: 2 of 3 pictures"


def test_one_picture_into_a_folder_keeps_its_name(
    rtmatte: Rtmatte, green_bundle: Path, picture: Path, tmp_path: Path
) -> None:
    assert rtmatte("image", picture, f"{tmp_path}/cut/", "--model", green_bundle).returncode == 0
    assert (tmp_path / "cut" / "in.png").is_file()


def test_two_pictures_that_would_get_one_name_are_refused(
    rtmatte: Rtmatte, green_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "anna.jpg").write_bytes((folder / "Bert.jpg").read_bytes())
    done = rtmatte("image", folder, tmp_path / "cut", "--model", green_bundle)
    assert done.returncode == 2
    assert "anna.jpg and anna.png would both become" in done.stderr
    assert not (tmp_path / "cut").exists()


def test_a_folder_cannot_become_one_picture(rtmatte: Rtmatte, green_bundle: Path, folder: Path, tmp_path: Path) -> None:
    done = rtmatte("image", folder, tmp_path / "out.png", "--model", green_bundle)
    assert done.returncode == 2
    assert "name a folder" in done.stderr


def test_a_video_is_sent_to_the_right_command(
    rtmatte: Rtmatte, green_bundle: Path, video: Path, tmp_path: Path
) -> None:
    done = rtmatte("image", video, tmp_path / "out.png", "--model", green_bundle)
    assert done.returncode == 2
    assert "rtmatte video" in done.stderr


def test_a_picture_is_not_overwritten_by_its_own_cut_out(rtmatte: Rtmatte, green_bundle: Path, picture: Path) -> None:
    before = picture.read_bytes()
    assert rtmatte("image", picture, picture.parent, "--model", green_bundle).returncode == 2
    assert picture.read_bytes() == before


def test_the_soft_edge_is_between_the_two(rtmatte: Rtmatte, green_bundle: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    assert rtmatte("image", picture, out, "--output", "alpha", "--model", green_bundle).returncode == 0
    row = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)[48].astype(np.int16)
    assert ((row > 20) & (row < 235)).any()


def test_a_background_is_not_overwritten_by_the_picture_put_on_it(
    rtmatte: Rtmatte, green_bundle: Path, picture: Path, tmp_path: Path
) -> None:
    beach = tmp_path / "beach.png"
    beach.write_bytes(picture.read_bytes())
    done = rtmatte("image", picture, beach, "--bg", beach, "--model", green_bundle)
    assert done.returncode == 2
    assert done.stderr == f"rtmatte: {beach}: is also the input, which would be overwritten; choose another output\n"
    assert beach.read_bytes() == picture.read_bytes()


def test_a_folder_that_would_overwrite_its_own_pictures_is_refused_before_any_is_made(
    rtmatte: Rtmatte, green_bundle: Path, folder: Path
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = rtmatte("image", folder, folder, "--model", green_bundle)
    assert done.returncode == 2
    assert (
        done.stderr
        == f"rtmatte: {folder}/anna.png: is also an input, which would be overwritten; choose another folder\n"
    )
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_picture_too_small_to_matte_is_named_and_the_others_are_done(
    rtmatte: Rtmatte, green_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    assert cv2.imwrite(str(folder / "aa.png"), np.zeros((8, 20, 3), np.uint8))
    done = rtmatte("image", folder, tmp_path / "out", "--model", green_bundle)
    assert done.returncode == 2
    assert f"{folder}/aa.png: is 20x8, and at least 16 pixels a side are needed; scale it up first" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["Bert.png", "anna.png"]


def test_hidden_files_of_a_folder_are_passed_over(
    rtmatte: Rtmatte, green_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "._anna.png").write_bytes(b"what macOS leaves on memory cards")
    assert rtmatte("image", folder, tmp_path / "out", "--model", green_bundle).returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["Bert.png", "anna.png"]


def test_an_empty_name_is_not_the_current_folder(
    rtmatte: Rtmatte, green_bundle: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    done = rtmatte("image", picture, "", "--model", green_bundle)
    assert done.returncode == 2
    assert done.stderr == "rtmatte: the name of the output is empty; name a picture or a folder\n"
    assert list((tmp_path / "here").iterdir()) == []
