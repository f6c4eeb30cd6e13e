"""`python -m train.apply` on toy pictures, with networks of random weights."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from train import apply as command
from train.checkpoints import Checkpoint, save_checkpoint
from train.cli import run
from train.networks import build_network

DIM = {"widths": [4, 4, 4, 4, 4]}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("checkpoints")
    for network, phase, options in (("dim", "stage3", DIM), ("shm-mobile", "end_to_end", {})):
        torch.manual_seed(1)
        weights = build_network(network, options).state_dict()
        save_checkpoint(root / phase, Checkpoint(network, phase, 3, {}, options=options), weights, None, None)
    t_net = {name: tensor for name, tensor in weights.items() if name.startswith("t_net.")}
    save_checkpoint(root / "t_net", Checkpoint("shm-mobile", "t_net", 3, {}), t_net, None, None)
    return root


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, with photos/a.png and b.jpg: an orange disc on blue, and a trimap of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    photo = np.full((60, 80, 3), (200, 40, 30), np.uint8)
    cv2.circle(photo, (40, 30), 20, (30, 120, 240), -1, cv2.LINE_AA)
    trimap = np.zeros((60, 80), np.uint8)
    cv2.circle(trimap, (40, 30), 25, 128, -1)
    cv2.circle(trimap, (40, 30), 15, 255, -1)
    cv2.imwrite("photos/a.png", photo)
    cv2.imwrite("photos/b.jpg", photo)
    cv2.imwrite("trimap.png", trimap)
    return tmp_path


def call(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["apply", *map(str, arguments), "--device", "cpu"])
    with pytest.raises(SystemExit) as exit_:
        run(command.app, extra="train")
    return exit_.value.code or 0


def test_a_cut_out_has_the_pictures_colours_where_it_is_opaque(checkpoints, folder, monkeypatch):
    arguments = ["photos/a.png", "--trimap", "trimap.png", "--out", "cut", "--bg", "#00ff00"]
    assert call(monkeypatch, checkpoints / "stage3", *arguments) == 0
    photo, trimap = cv2.imread("photos/a.png"), cv2.imread("trimap.png", cv2.IMREAD_GRAYSCALE)
    rgba = cv2.imread("cut/rgba/a.png", cv2.IMREAD_UNCHANGED)
    alpha = cv2.imread("cut/alpha/a.png", cv2.IMREAD_UNCHANGED)
    composite = cv2.imread("cut/composite/a.png", cv2.IMREAD_UNCHANGED)
    assert np.array_equal(rgba[..., 3], alpha)
    inside, outside = trimap == 255, trimap == 0
    assert (alpha[inside] == 255).all()
    assert (alpha[outside] == 0).all()
    assert np.array_equal(rgba[inside][:, :3], photo[inside])
    assert np.array_equal(composite[inside], photo[inside])
    assert (composite[outside] == (0, 255, 0)).all()
    assert sorted(path.name for path in Path("cut").iterdir()) == ["alpha", "composite", "rgba"]


def test_folders_and_pictures_go_together_and_the_networks_own_trimap_is_kept(checkpoints, folder, monkeypatch):
    cv2.imwrite("c.png", cv2.imread("photos/a.png"))
    assert call(monkeypatch, checkpoints / "end_to_end", "photos", "c.png", "--out", "cut") == 0
    for kind in ("alpha", "rgba", "trimap"):
        assert sorted(path.name for path in Path("cut", kind).iterdir()) == ["a.png", "b.png", "c.png"]
    assert not Path("cut/composite").exists()


def test_a_t_net_gives_the_trimap_and_no_more(checkpoints, folder, monkeypatch):
    assert call(monkeypatch, checkpoints / "t_net", "photos/a.png", "--out", "cut") == 0
    assert [path.name for path in Path("cut").iterdir()] == ["trimap"]


@pytest.mark.parametrize(
    ("checkpoint", "arguments", "complaint"),
    [
        ("stage3", ["photos/a.png"], "{}: needs a trimap of each picture; give --trimap"),
        ("stage3", ["photos/a.png", "photos/b.jpg", "--trimap", "trimap.png"], "trimap.png: is one trimap for 2"),
        ("t_net", ["photos", "--bg", "blur"], "{}: gives a trimap and no alpha, so there is no composite"),
        ("t_net", ["photos/a.png", "--trimap", "trimap.png"], "{}: takes no trimap; leave --trimap out"),
        ("end_to_end", ["photos", "photos/a.png", "alpha/a.png"], "photos/a.png and alpha/a.png have the same name"),
        ("end_to_end", ["alpha/a.png", "--out", "."], "alpha/a.png: is also an input"),
        ("end_to_end", ["nothing.png"], "nothing.png: no such file or folder"),
        ("end_to_end", ["photos/a.png", "--bg", "mauve"], "'mauve': not a background"),
    ],
)
def test_bad_input_ends_in_one_line_and_leaves_the_inputs_alone(
    checkpoints, folder, monkeypatch, capsys, checkpoint, arguments, complaint
):
    Path("alpha").mkdir()
    before = Path("photos/a.png").read_bytes()
    Path("alpha/a.png").write_bytes(before)
    assert call(monkeypatch, checkpoints / checkpoint, "--out", "cut", *arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: {complaint.format(checkpoints / checkpoint)}")
    assert Path("alpha/a.png").read_bytes() == before
