"""`python -m train.test` on toy pictures, with networks of random weights."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from realtime_matting.metrics import unknown_region
from train import test as command
from train.checkpoints import Checkpoint, save_checkpoint
from train.cli import run
from train.data.trimaps import UNKNOWN, trimap_from_alpha
from train.evaluation.tables import Table, trimap_figures, unknown_figures
from train.evaluation.trial import Radii
from train.networks import build_network

DIM = {"widths": [4, 4, 4, 4, 4]}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("checkpoints")
    for network, phase, options in (("dim", "stage1", DIM), ("u2netp", "fine", {}), ("shm-mobile", "end_to_end", {})):
        torch.manual_seed(1)
        weights = build_network(network, options).state_dict()
        save_checkpoint(root / phase, Checkpoint(network, phase, 3, {}, options=options), weights, None, None)
    t_net = {name: tensor for name, tensor in weights.items() if name.startswith("t_net.")}
    save_checkpoint(root / "t_net", Checkpoint("shm-mobile", "t_net", 3, {}), t_net, None, None)
    return root


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Two pictures in ``rgb`` with discs as people, in ``alpha`` and ``trimap`` what belongs to them."""
    rng = np.random.default_rng(2)
    for name, center in (("one", 40), ("two", 60)):
        alpha = np.zeros((72, 96), np.uint8)
        cv2.circle(alpha, (center, 36), 20, 255, -1, cv2.LINE_AA)
        alpha = cv2.blur(alpha, (3, 3))
        trimap = trimap_from_alpha(alpha.astype(np.float32) / 255, 4, 4)
        for kind, picture in (
            ("rgb", rng.integers(0, 256, (72, 96, 3), np.uint8)),
            ("alpha", alpha),
            ("trimap", trimap),
        ):
            (tmp_path / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / kind / f"{name}.png"), picture)
    return tmp_path


def call(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["test", *map(str, arguments), "--device", "cpu"])
    with pytest.raises(SystemExit) as exit_:
        run(command.app, extra="train")
    return exit_.value.code or 0


def grey(path: Path):
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None, path
    return picture


def test_a_network_that_needs_trimaps_gets_those_made_from_the_alpha(checkpoints, pictures, monkeypatch, capsys):
    out = pictures / "out"
    code = call(
        monkeypatch, checkpoints / "stage1", "--rgb", pictures / "rgb", "--alpha", pictures / "alpha",
        "--erosion", "2-6", "--dilation", "3", "--seed", "5", "--out", out,
    )  # fmt: skip
    assert code == 0
    report = json.loads((out / "test.json").read_text())
    assert "whole_image" not in report  # most of it is given
    table = report["unknown_region"]
    assert "erosion 2–6 px, dilation 3 px, seed 5; given to the network" in table["title"]
    assert list(table["pictures"]) == ["one", "two"]
    assert table["mean"]["sad"] == pytest.approx(np.mean([one["sad"] for one in table["pictures"].values()]), rel=1e-4)
    for name in ("one", "two"):
        truth = grey(pictures / f"alpha/{name}.png").astype(np.float32) / 255
        trimap = Radii((2, 6), (3, 3), 5).trimap(name, truth)
        alpha = grey(out / f"alpha/{name}.png")
        known = trimap != UNKNOWN
        assert np.array_equal(alpha[known], trimap[known])
        saved = unknown_region(alpha.astype(np.float32) / 255, truth, trimap)  # but for rounding to 8 bits
        assert table["pictures"][name]["sad"] == pytest.approx(saved.sad, rel=0.02)
        assert grey(out / f"composite/{name}.png").shape == (72, 96, 3)
    assert not (out / "trimap").exists()  # the network made none
    assert grey(out / "sheet.png").shape[1] == 5 * 320  # picture, trimap, alpha, truth, composite at 240 rows
    markdown = (out / "test.md").read_text()
    assert "## Unknown region" in markdown
    assert "| | SAD | MSE | Grad | Conn |" in markdown
    assert "| mean of 2 |" in markdown
    assert "Unknown region" in capsys.readouterr().out


def test_trimaps_from_files_go_to_the_network_and_need_no_alpha(checkpoints, pictures, monkeypatch):
    out = pictures / "out"
    arguments = ["--rgb", pictures / "rgb/one.png", "--trimap", pictures / "trimap/one.png"]
    assert call(monkeypatch, checkpoints / "stage1", *arguments, "--method", "crop", "--size", "64", "--out", out) == 0
    trimap, alpha = grey(pictures / "trimap/one.png"), grey(out / "alpha/one.png")
    assert np.array_equal(alpha[trimap != UNKNOWN], trimap[trimap != UNKNOWN])
    assert "unknown_region" not in json.loads((out / "test.json").read_text())
    assert (
        call(monkeypatch, checkpoints / "stage1", *arguments, "--alpha", pictures / "alpha/one.png", "--out", out) == 0
    )
    report = json.loads((out / "test.json").read_text())
    assert report["unknown_region"]["title"] == "Unknown region (trimap as given in files; given to the network)"


def test_an_automatic_network_is_measured_on_both_scales_in_two_tables(checkpoints, pictures, monkeypatch):
    out = pictures / "out"
    arguments = ["--rgb", pictures / "rgb", "--alpha", pictures / "alpha", "--out", out]
    assert call(monkeypatch, checkpoints / "fine", *arguments) == 0
    report = json.loads((out / "test.json").read_text())
    assert set(report["unknown_region"]["mean"]) == {"sad", "mse", "grad", "conn"}
    assert set(report["whole_image"]["mean"]) == {"mad", "mse", "grad", "conn"}
    assert "not seen by the network" in report["unknown_region"]["title"]
    titles = [line for line in (out / "test.md").read_text().splitlines() if line.startswith("## ")]
    assert [title.split(" (")[0] for title in titles] == ["## Unknown region", "## Whole image"]


@pytest.mark.parametrize("automatic", [False, True])
def test_shm_takes_the_trimap_unless_it_is_told_to_do_without(checkpoints, pictures, monkeypatch, automatic):
    out = pictures / "out"
    arguments = ["--rgb", pictures / "rgb", "--trimap", pictures / "trimap", "--alpha", pictures / "alpha"]
    flags = ["--automatic"] if automatic else []
    assert call(monkeypatch, checkpoints / "end_to_end", *arguments, *flags, "--out", out) == 0
    trimap, alpha = grey(pictures / "trimap/one.png"), grey(out / "alpha/one.png")
    known = trimap != UNKNOWN
    assert np.array_equal(alpha[known], trimap[known]) is not automatic
    assert (out / "trimap/one.png").exists() is automatic
    assert ("whole_image" in json.loads((out / "test.json").read_text())) is automatic


def test_pictures_alone_are_enough_for_an_automatic_network(checkpoints, pictures, monkeypatch):
    out = pictures / "out"
    arguments = ["--rgb", pictures / "rgb", "--bg", "#00ff00", "--limit", "1", "--out", out]
    assert call(monkeypatch, checkpoints / "fine", *arguments) == 0
    assert sorted(path.name for path in out.iterdir()) == ["alpha", "composite", "sheet.png", "test.json", "test.md"]
    assert [path.name for path in (out / "alpha").iterdir()] == ["one.png"]


def test_a_t_net_is_measured_by_its_trimap(checkpoints, pictures, monkeypatch):
    out = pictures / "out"
    arguments = ["--rgb", pictures / "rgb", "--alpha", pictures / "alpha", "--out", out]
    assert call(monkeypatch, checkpoints / "t_net", *arguments) == 0
    report = json.loads((out / "test.json").read_text())
    assert set(report["trimap"]["mean"]) == {"wrong", "lost", "unknown"}
    assert set(np.unique(grey(out / "trimap/one.png"))) <= {0, 128, 255}
    assert not (out / "alpha").exists()


def test_data_sets_are_tested_by_their_root(checkpoints, pictures, monkeypatch):
    for kind, wanted in (("rgb", "merged"), ("trimap", "trimaps")):
        (pictures / kind).rename(pictures / wanted)
    out = pictures / "out"
    assert call(monkeypatch, checkpoints / "stage1", "--composition", pictures, "--out", out) == 0
    assert list(json.loads((out / "test.json").read_text())["unknown_region"]["pictures"]) == ["one", "two"]
    for kind, wanted in (("merged", "input"), ("trimaps", "trimap"), ("alpha", "gt")):
        (pictures / kind).rename(pictures / wanted)
    assert call(monkeypatch, checkpoints / "stage1", "--alphamatting", pictures, "--out", out) == 0
    assert call(monkeypatch, checkpoints / "stage1", "--alphamatting", pictures, "--highres", "--out", out) == 2


@pytest.mark.parametrize(
    ("checkpoint", "arguments", "complaint"),
    [
        ("stage1", [], "say what to test on"),
        ("stage1", ["--rgb", "rgb", "--composition", "."], "say what to test on"),
        ("stage1", ["--composition", "rgb"], "rgb: has no folder merged or image"),
        ("stage1", ["--alphamatting", ".", "--alpha", "alpha"], "--trimap and --alpha go with --rgb"),
        ("stage1", ["--rgb", "rgb"], "dim (stage1) needs trimaps; give --trimap, or --alpha"),
        ("stage1", ["--rgb", "rgb", "--alpha", "alpha", "--automatic"], "{}: needs a trimap, so --automatic"),
        ("stage1", ["--rgb", "rgb", "--alpha", "trimap/one.png"], "trimap/one.png: is one alpha"),
        ("stage1", ["--rgb", "rgb", "--trimap", "rgb"], "rgb/one.png: no trimap of this name in rgb"),
        ("stage1", ["--rgb", "rgb", "--alpha", "alpha", "--erosion", "9-3"], "--erosion 9-3: not a number"),
        ("stage1", ["--rgb", "rgb", "--alpha", "alpha", "--method", "tiles"], "tiles: no such method"),
        ("stage1", ["--rgb", "rgb", "--alpha", "alpha", "--out", "."], "alpha/one.png: is also an input"),
        ("stage1", ["--rgb", "rgb", "--alpha", "alpha", "--bg", "mauve", "--out", "o"], "'mauve': not a background"),
        ("fine", ["--rgb", "rgb", "--trimap", "trimap"], "{}: takes no trimap; leave --trimap out"),
        ("fine", ["--rgb", "rgb"], "nothing to measure and nowhere to save"),
        ("fine", ["--rgb", "rgb", "--highres"], "--highres goes with --alphamatting"),
        ("none", ["--rgb", "rgb"], "{}: no checkpoint here"),
    ],
)
def test_bad_input_ends_in_one_line_and_exit_code_2(
    checkpoints, pictures, monkeypatch, capsys, checkpoint, arguments, complaint
):
    monkeypatch.chdir(pictures)
    before = {path: path.read_bytes() for path in pictures.rglob("*.png")}
    assert call(monkeypatch, checkpoints / checkpoint, *arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {complaint.format(checkpoints / checkpoint)}")
    assert {path: path.read_bytes() for path in before} == before


def test_radii_depend_on_the_seed_and_on_the_name_and_on_nothing_else():
    alpha = np.zeros((80, 80), np.float32)
    cv2.circle(alpha, (40, 40), 25, 1, -1)
    drawn = Radii((1, 12), (1, 12), 4)
    trimaps = {name: drawn.trimap(name, alpha) for name in ("a", "b", "c")}
    assert np.array_equal(drawn.trimap("a", alpha), trimaps["a"])
    assert not all(np.array_equal(one, trimaps["a"]) for one in trimaps.values())
    assert not all(np.array_equal(Radii((1, 12), (1, 12), 5).trimap(n, alpha), t) for n, t in trimaps.items())
    assert np.array_equal(Radii((3, 3), (5, 5), 0).trimap("a", alpha), trimap_from_alpha(alpha, 3, 5))


def test_figures_of_a_trimap_by_hand():
    truth = np.array([[0, 0, 0.5, 0.5, 1, 1, 1, 1]], np.float32)
    trimap = np.array([[0, 255, 0, 128, 0, 255, 128, 255]], np.uint8)
    # A background pixel called foreground, a foreground pixel called background; one of two soft pixels called known.
    assert trimap_figures(trimap, truth) == {"wrong": 250.0, "lost": 50.0, "unknown": 25.0}


def test_where_nothing_is_unknown_figures_are_undefined_and_stay_out_of_the_mean():
    alpha, truth = np.full((1, 4), 0.5, np.float32), np.zeros((1, 4), np.float32)
    table = Table("unknown_region", "title", "legend", (("sad", "SAD", 2), ("mse", "MSE", 4)))
    table.rows["known"] = unknown_figures(alpha, truth, np.zeros((1, 4), np.uint8))
    table.rows["unknown"] = unknown_figures(alpha, truth, np.full((1, 4), 128, np.uint8))
    assert table.lines() == [
        ("known", ["–", "–"]),
        ("unknown", ["0.00", "0.2500"]),
        ("mean of 2", ["0.00", "0.2500"]),
    ]
    assert table.as_json()["pictures"]["known"]["sad"] is None
    assert table.mean()["sad"] == pytest.approx(0.002)
