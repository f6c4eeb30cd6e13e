"""``synthesize`` through the real command line, and its arithmetic."""

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import realtime_matting
from train.data.cutout import Limits, Unsuitable, cut_out, without_islands
from train.data.records import list_foregrounds, read_foreground

Draw = Callable[..., np.ndarray]
SAMPLE = Path(realtime_matting.__file__).parent / "sample"
needs_pymatting = pytest.mark.skipif(importlib.util.find_spec("pymatting") is None, reason="needs the extra synthesize")
COLORS = ["blur-fusion", pytest.param("multilevel", marks=needs_pymatting)]


@pytest.fixture
def photos(tmp_path: Path, disc_alpha: Draw, scene: Draw) -> Path:
    """``photos``: an orange disc before three rooms, cut at the bottom; ``mattes``: its alpha."""
    for name in ("photos", "mattes"):
        (tmp_path / name).mkdir()
    alpha = np.vstack([np.zeros((60, 200), np.uint8), disc_alpha(240, 200, 60.0)[:140]])
    share = alpha[..., None] / 255
    for number in range(3):
        behind = scene(number, 200, 200) // 2  # dark, so that what shines through shows
        photo = share * np.array([40, 130, 230]) + (1 - share) * behind
        cv2.imwrite(str(tmp_path / f"photos/disc_{number}.png"), (photo + 0.5).astype(np.uint8))
        cv2.imwrite(str(tmp_path / f"mattes/disc_{number}_alpha.png"), alpha)
    return tmp_path


@pytest.mark.parametrize("colors", COLORS)
def test_given_mattes_yield_foregrounds_with_the_persons_own_colours(
    tool: Callable, photos: Path, tmp_path: Path, colors: str
) -> None:
    out = tmp_path / "people"
    done = tool("synthesize", photos / "photos", "--alpha", photos / "mattes", "--out", out, "--colors", colors,
                "--min-side", 64)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3 foregrounds of 3 photos" in done.stdout
    assert "cut off at the bottom: 3" in done.stdout
    entry = json.loads((out / "photos.jsonl").read_text().splitlines()[0])
    left, top, right, bottom = entry["box"]
    assert entry["cut"] == "B"
    assert bottom == 200
    found = list_foregrounds(out / "foregrounds.txt")
    assert [record.color.name for record in found] == [f"disc_{n}.png" for n in range(3)]
    for number, record in enumerate(found):
        rgba = read_foreground(record)
        matte = cv2.imread(str(photos / f"mattes/disc_{number}_alpha.png"), cv2.IMREAD_GRAYSCALE)
        assert (rgba[..., 3] == matte[top:bottom, left:right]).all()
        photo = cv2.imread(str(photos / f"photos/disc_{number}.png"))[top:bottom, left:right, ::-1]
        assert (rgba[..., :3][rgba[..., 3] == 255] == photo[rgba[..., 3] == 255]).all()
        soft = (rgba[..., 3] > 25) & (rgba[..., 3] < 230)
        truth = np.array([230, 130, 40])
        error, before = (np.abs(x[soft].astype(float) - truth).mean() for x in (rgba[..., :3], photo))
        assert error < 0.25 * before


def test_the_built_in_model_is_a_teacher_and_empty_photos_are_skipped(
    tool: Callable, tmp_path: Path, scene: Draw
) -> None:
    (tmp_path / "photos").mkdir()
    capture = cv2.VideoCapture(str(SAMPLE / "talk.mp4"))
    ok, frame = capture.read()
    capture.release()
    assert ok
    cv2.imwrite(str(tmp_path / "photos/talk.png"), frame)
    cv2.imwrite(str(tmp_path / "photos/beach.jpg"), cv2.imread(str(SAMPLE / "beach.jpg")))
    (tmp_path / "photos/broken.jpg").write_text("not a picture")
    done = tool("synthesize", tmp_path / "photos", "--out", tmp_path / "people", "--colors", "blur-fusion")
    assert done.returncode == 2, done.stderr  # for the broken file
    assert "1 foregrounds of 3 photos" in done.stdout
    assert re.search(r"skipped, (no person found|person too small): 1", done.stdout)
    assert "not usable:" in done.stdout
    assert "broken.jpg" in done.stdout
    rgba = read_foreground(list_foregrounds(tmp_path / "people/foregrounds.txt")[0])
    assert 0.2 < (rgba[..., 3] > 127).mean() < 0.95


def test_taking_it_up_again_makes_only_what_is_missing(tool: Callable, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "people"
    arguments = ("synthesize", photos / "photos", "--alpha", photos / "mattes", "--out", out, "--colors", "blur-fusion",
                 "--min-side", 64)  # fmt: skip
    tool(*arguments)
    first = {path.name: path.read_bytes() for path in out.glob("*.png")}
    kept_since = (out / "disc_0.png").stat().st_mtime_ns
    # As if killed in the middle of a line of the log, and one picture lost.
    (out / "disc_1.png").unlink()
    log = (out / "photos.jsonl").read_text()
    (out / "photos.jsonl").write_text(log[: len(log) - 30])
    done = tool(*arguments)
    assert "(1 photos were done before)" in done.stdout
    assert {path.name: path.read_bytes() for path in out.glob("*.png")} == first
    assert (out / "disc_0.png").stat().st_mtime_ns == kept_since
    assert len([json.loads(line) for line in (out / "photos.jsonl").read_text().splitlines()]) == 3

    refused = tool(*arguments, "--margin", 0.5)
    assert refused.returncode == 2
    assert "was made with margin 0.04, not 0.5" in refused.stderr


def test_without_the_extra_one_line_names_it(tool: Callable, photos: Path, tmp_path: Path) -> None:
    done = tool(
        "synthesize", photos / "photos", "--alpha", photos / "mattes", "--out", tmp_path / "o", hide="pymatting"
    )
    assert done.returncode == 2
    assert "rtmatte[synthesize]" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()


def test_mattes_that_are_missing_or_of_another_size_are_told(tool: Callable, photos: Path, tmp_path: Path) -> None:
    (photos / "mattes/disc_0_alpha.png").unlink()
    cv2.imwrite(str(photos / "mattes/disc_1_alpha.png"), np.full((50, 60), 255, np.uint8))
    done = tool("synthesize", photos / "photos", "--alpha", photos / "mattes", "--out", tmp_path / "o", "--colors",
                "blur-fusion", "--min-side", 64)  # fmt: skip
    assert done.returncode == 2
    assert "skipped, no matte of this name: 1" in done.stdout
    assert "is 60×50, but its photo 200×200" in done.stdout
    assert "1 foregrounds of 3 photos" in done.stdout


LIMITS = Limits(min_person=0.02, min_side=32, max_soft=0.5, margin=0.1)


def keep_photo(photo: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return photo


@pytest.mark.parametrize(
    ("rectangle", "value", "reason"),
    [
        ((0, 0, 0, 0), 1.0, "no person found"),
        ((40, 40, 50, 50), 1.0, "person too small"),
        ((40, 10, 50, 90), 1.0, "person too small"),
        ((20, 20, 80, 80), 0.6, "matte too uncertain"),
    ],
)
def test_unsuitable_mattes_say_why(rectangle: tuple[int, int, int, int], value: float, reason: str) -> None:
    left, top, right, bottom = rectangle
    alpha = np.zeros((100, 100), np.float32)
    alpha[top:bottom, left:right] = value
    with pytest.raises(Unsuitable, match=reason):
        cut_out(np.zeros((100, 100, 3), np.uint8), alpha, LIMITS, keep_photo)


def test_the_crop_has_a_margin_and_knows_the_cut_sides() -> None:
    alpha = np.zeros((100, 120), np.float32)
    alpha[40:, 30:70] = 1
    made = cut_out(np.zeros((100, 120, 3), np.uint8), alpha, LIMITS, keep_photo)
    assert made.box == (24, 34, 76, 100)
    assert made.cut == "B"
    assert made.rgba.shape == (66, 52, 4)


def test_small_islands_go_and_a_second_person_stays() -> None:
    alpha = np.zeros((100, 200), np.float32)
    alpha[20:90, 10:80] = 1
    alpha[30:80, 120:170] = 0.9
    expected = alpha.copy()
    alpha[2:6, 180:184] = 0.8
    alpha[6, 180:184] = 0.05
    assert (without_islands(alpha) == expected).all()
