"""``preview`` through the real command line."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

PHASES = {
    "shm-mobile": "t_net: {steps: 1, batch_size: 1, learning_rate: 0.1, sizes: [[64, 64]]}",
    "dim": "stage1: {steps: 1, batch_size: 1, learning_rate: 0.1, crop: 64, crops: [64, 96]}",
    "u2netp": "fine: {steps: 1, batch_size: 1, learning_rate: 0.1, size: [64, 64], easy_to_hard: 0.5}",
}


@pytest.mark.parametrize("network", PHASES)
def test_a_sheet_is_drawn_for_every_recipe(tool: Callable, toy_data: Path, tmp_path: Path, network: str) -> None:
    (tmp_path / "c.yaml").write_text(
        f"network: {network}\ndata:\n  foregrounds: [{{path: {toy_data}/people}}]\n"
        f"  backgrounds: [{{path: {toy_data}/backgrounds}}]\nphases:\n  {PHASES[network]}\n"
    )
    out = tmp_path / "sheets/sheet.png"
    done = tool("preview", tmp_path / "c.yaml", out, "--count", 3, "--show", "image,trimap,alpha,foreground,background")
    assert done.returncode == 0, done.stderr
    assert f"3 samples of phase {PHASES[network].split(':')[0]}" in done.stdout
    sheet = cv2.imread(str(out))
    # Five square pictures a sample, drawn at one height, two samples side by side.
    assert sheet.shape[1] == 1826
    assert sheet.shape[0] == 2 * 176 + 6
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 500


def test_mistakes_are_one_line(tool: Callable, toy_data: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        f"network: dim\ndata:\n  foregrounds: [{{path: {toy_data}/people}}]\n"
        f"  backgrounds: [{{path: {toy_data}/backgrounds}}]\nphases:\n  {PHASES['dim']}\n"
    )
    for arguments, what in (
        (("c.yaml", "sheet.png", "--phase", "stage9"), "stage9"),
        (("c.yaml", "sheet.png", "--show", "image,depth"), "depth"),
        (("c.yaml", "sheet.txt"), "sheet.txt"),
    ):
        done = tool("preview", tmp_path / arguments[0], tmp_path / arguments[1], *arguments[2:])
        assert done.returncode == 2
        assert what in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
