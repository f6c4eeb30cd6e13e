"""``composite`` through the real command line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from train.data.composition import PARTS, merge

levels = arrays(np.uint8, (3, 4, 3))


def contents(folder: Path) -> dict[str, bytes]:
    """All files by relative name, but for names.txt, which holds paths."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "names.txt")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@given(levels, arrays(np.uint8, (3, 4)), levels)
def test_merging_is_the_rounded_compositing_equation(color: np.ndarray, alpha: np.ndarray, behind: np.ndarray) -> None:
    share = alpha[..., None] / 255
    exact = share * color + (1 - share) * behind
    assert np.abs(merge(color, alpha, behind) - exact).max() <= 0.5 + 1e-9


def test_the_folder_holds_five_files_of_one_name_and_size(tool: Callable, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    done = tool("composite", pictures / "people", pictures / "rooms", "--out", out, "--count", 4)
    assert done.returncode == 0, done.stderr
    assert "12 composites of 3 foregrounds" in done.stdout
    names = sorted(path.name for path in (out / "merged").iterdir())
    assert names == sorted(f"P{n}_front_{i}.png" for n in range(3) for i in range(4))
    lines = [line.split("\t") for line in (out / "names.txt").read_text().splitlines()]
    assert sorted(line[0] for line in lines) == names
    for name, foreground, background in lines:
        merged, alpha, fg, bg, trimap = (
            cv2.imread(str(out / part / name), cv2.IMREAD_UNCHANGED)
            for part in ("merged", "alpha", "fg", "bg", "trimaps")
        )
        rgba = cv2.imread(foreground, cv2.IMREAD_UNCHANGED)
        assert (np.dstack([fg, alpha]) == rgba).all()
        share = alpha[..., None] / 255
        assert np.abs(merged - (share * fg + (1 - share) * bg)).max() <= 0.51
        assert (alpha[trimap == 255] >= 250).all()
        assert (alpha[trimap == 0] <= 5).all()
        # The background covers the frame, centred: 160×120 before 100×120 loses 30 columns on either side.
        assert (bg == cv2.imread(background)[:, 30:130]).all()
    for n in range(3):
        assert len({line[2] for line in lines if line[0].startswith(f"P{n}_")}) == 4, "a background was taken twice"
    assert not (out / ".partial").exists()


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(
    tool: Callable, pictures: Path, tmp_path: Path
) -> None:
    for out, workers, seed in (("one", 1, 5), ("three", 3, 5), ("other", 3, 6)):
        options = ("--out", tmp_path / out, "--count", 3, "--seed", seed, "--workers", workers)
        tool("composite", pictures / "people", pictures / "rooms", *options)
    assert contents(tmp_path / "one") == contents(tmp_path / "three")
    assert contents(tmp_path / "one") != contents(tmp_path / "other")


def test_missing_files_are_made_again_and_the_others_kept(tool: Callable, pictures: Path, tmp_path: Path) -> None:
    arguments = ("composite", pictures / "people", pictures / "rooms", "--out", tmp_path / "set", "--count", 3)
    tool(*arguments)
    before = contents(tmp_path / "set")
    kept = tmp_path / "set/merged/P2_front_0.png"
    kept_since = kept.stat().st_mtime_ns
    (tmp_path / "set/merged/P0_front_1.png").unlink()
    (tmp_path / "set/alpha/P1_front_0.png").unlink()
    done = tool(*arguments)
    assert "(7 of them were there)" in done.stdout
    assert contents(tmp_path / "set") == before
    assert kept.stat().st_mtime_ns == kept_since


def test_a_killed_run_leaves_whole_files_and_can_be_taken_up(tool: Callable, pictures: Path, tmp_path: Path) -> None:
    arguments = ["composite", pictures / "people", pictures / "rooms", "--count", 60, "--workers", 2, "--out"]
    command = [sys.executable, "-m", "train.data", *map(str, arguments), str(tmp_path / "set")]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])})
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("set/merged/*.png"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = [path for part in PARTS for path in (tmp_path / "set" / part).glob("*.png")]
    assert 5 <= len(list(tmp_path.glob("set/merged/*.png"))) < 180
    assert all(cv2.imread(str(path)) is not None and path.read_bytes().endswith(b"\xaeB`\x82") for path in there)
    assert tool(*arguments, tmp_path / "set").returncode == 0
    assert tool(*arguments, tmp_path / "whole").returncode == 0
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("changed", "what"),
    [(("--seed", 2), "seed 1, not 2"), (("--count", 3), "count 2, not 3"), (("--max-side", 50), "max-side")],
)
def test_other_settings_in_the_same_folder_are_refused(
    tool: Callable, pictures: Path, tmp_path: Path, changed: tuple[object, ...], what: str
) -> None:
    arguments = ("composite", pictures / "people", pictures / "rooms", "--out", tmp_path / "set", "--count", 2)
    tool(*arguments)
    done = tool(*arguments, *changed)
    assert done.returncode == 2
    assert what in done.stderr
    assert "another folder" in done.stderr
    assert json.loads((tmp_path / "set/composite.json").read_text())["seed"] == 1


def test_mistakes_are_one_line(tool: Callable, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("keep me")
    people, rooms = pictures / "people", pictures / "rooms"
    for arguments, what in (
        ((people, rooms, "--out", tmp_path / "mine"), "holds other files"),
        ((people, tmp_path / "nowhere", "--out", tmp_path / "set"), "nowhere"),
        ((people, rooms, "--out", tmp_path / "set", "--erosion", 9, 3), "--erosion"),
        ((rooms, rooms, "--out", tmp_path / "set2"), "has no alpha"),
    ):
        done = tool("composite", *arguments)
        assert done.returncode == 2, done.stdout
        assert what in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
