"""Drawing the curves of runs."""

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from train.curves import running_mean

pytest.importorskip("matplotlib")


def draw(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "train.curves", *arguments], capture_output=True, text=True)


@pytest.fixture
def phase(tmp_path: Path) -> Path:
    folder = tmp_path / "fine"
    folder.mkdir()
    (folder / "losses.csv").write_text("step,total\n" + "".join(f"{i},{9 / i}\n" for i in range(1, 40)))
    (folder / "validation.csv").write_text("step,score,mad\n20,7,3\n39,5,4\n")
    return folder


def test_two_runs_are_drawn_and_their_best_figures_told(phase: Path, tmp_path: Path) -> None:
    done = draw(str(phase), str(phase), "--out", str(tmp_path / "a/curve.png"), "--figure", "mad", "--label", "one",
                "--label", "two")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "one: mad 4.00 at the end, best 3.00 (step 20)"
    picture = cv2.imread(str(tmp_path / "a/curve.png"))
    assert picture.shape[1] > 800
    assert picture.std() > 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["PHASE", "--loss", "l2"], "has no column l2; there are step, total"),
        (["PHASE", "--label", "a", "--label", "b"], "2 labels for 1 runs"),
        (["nowhere"], "is nowhere the folder of a phase"),
    ],
)
def test_mistakes_are_one_line(phase: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = draw(*(str(phase) if a == "PHASE" else a for a in arguments), "--out", str(tmp_path / "curve.png"))
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_running_mean_looks_back() -> None:
    assert running_mean([1, 2, 3, 4, 5], 3) == [1, 1.5, 2, 3, 4]
