"""`python -m train.evaluate` with checkpoints, folders as sets, and the scale of the unknown region."""

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from train import evaluate as command
from train.checkpoints import Checkpoint, save_checkpoint
from train.cli import run
from train.data.trimaps import UNKNOWN, trimap_from_alpha
from train.evaluation.measure import evaluate
from train.evaluation.report import legend, rows, title
from train.evaluation.sets import load_sets
from train.networks import build_network

SIZE = (160, 144)


@pytest.fixture
def people(tmp_path, monkeypatch) -> Path:
    """The current folder: people/{a,b}.png with alphas, validation/ (empty), backgrounds/validation/room.png."""
    monkeypatch.chdir(tmp_path)
    for folder in ("people", "validation", "backgrounds/validation"):
        Path(folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number, name in enumerate("ab"):
        alpha = np.zeros((90, 80), np.uint8)
        cv2.circle(alpha, (40, 45), 30 + number, 255, -1)
        cv2.imwrite(f"people/{name}.png", np.full((90, 80, 3), (60, 90, 220), np.uint8))
        cv2.imwrite(f"people/{name}_alpha.png", cv2.blur(alpha, (5, 5)))
    room = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite("backgrounds/validation/room.png", room)
    return tmp_path


@pytest.fixture
def checkpoints(people) -> Path:
    """In the current folder: the checkpoints dim (needs a trimap), u2netp (automatic) and t_net (no alpha)."""
    for network, phase, options in (("dim", "stage1", {"widths": [4] * 5}), ("u2netp", "fine", {})):
        torch.manual_seed(1)
        weights = build_network(network, options).state_dict()
        save_checkpoint(Path(network), Checkpoint(network, phase, 3, {}, options=options), weights, None, None)
    weights = {name: one for name, one in build_network("shm-mobile").state_dict().items() if name.startswith("t_net.")}
    save_checkpoint(Path("t_net"), Checkpoint("shm-mobile", "t_net", 3, {}), weights, None, None)
    return people


def load(*names: str, limit: int | None = None):
    return load_sets(list(names), Path("validation"), Path("backgrounds/validation"), size=SIZE, limit=limit)


class Half:
    """Says 0.5 where it does not know, and notes the trimaps it is given."""

    def __init__(self, name: str, needs_trimap: bool) -> None:
        self.name, self.needs_trimap = name, needs_trimap
        self.given: list[np.ndarray | None] = []

    def __call__(self, rgb, trimap=None):
        self.given.append(trimap)
        return np.full(rgb.shape[:2], 0.5, np.float32) if trimap is None else np.float32(trimap == 255)

    def reset(self) -> None:
        pass


def test_only_what_needs_the_trimap_of_the_truth_is_given_it(people):
    (chosen,) = load("people")
    helped, alone = Half("helped", True), Half("alone", False)
    evaluation = evaluate([helped, alone], [chosen], scale="unknown")
    truths = [clip.sample(0).truth for clip in chosen.clips]
    assert len(truths) == 4  # two composites of each picture
    assert alone.given == [None] * 4
    # 10 pixels at 720 lines are 2 at 144.
    trimaps = [trimap_from_alpha(truth, 2, 2) for truth in truths]
    assert all(np.array_equal(one, other) for one, other in zip(helped.given, trimaps, strict=True))
    (result,) = evaluation.sets
    for name, alphas in (("alone", [np.full(SIZE[::-1], 0.5)] * 4), ("helped", [one == 255 for one in trimaps])):
        unknown = [one == UNKNOWN for one in trimaps]
        errors = [np.abs(a - t)[u] for a, t, u in zip(alphas, truths, unknown, strict=True)]
        means = result.means(name)
        assert set(means) == {"sad", "mse", "grad", "conn"}
        assert means["sad"] == pytest.approx(np.mean([one.sum() / 1000 for one in errors]), rel=1e-5)
        assert means["mse"] == pytest.approx(np.mean([np.square(one).mean() for one in errors]), rel=1e-5)
    assert evaluation.worst["alone"].sorted()[0].error >= result.means("alone")["sad"]


def test_headings_say_which_scale_it_is_and_who_was_helped(people):
    evaluation = evaluate([Half("helped", True), Half("alone", False)], load("people", limit=2), scale="unknown")
    headings, table = rows(evaluation, evaluation.sets[0], None)
    assert headings == ["SAD", "MSE", "Grad", "Conn"]
    assert [name for name, _ in table] == ["helped (given the trimap)", "alone"]
    assert title(evaluation, evaluation.sets[0]).endswith(", unknown region")
    assert "given to helped; the others made their alpha without" in legend(evaluation)
    whole = evaluate([Half("alone", False)], load("people", limit=2))
    assert rows(whole, whole.sets[0], None)[0][0] == "MAD"
    assert legend(whole).startswith("Whole image")
    assert "unknown" not in title(whole, whole.sets[0])


def test_pictures_are_the_same_on_both_scales(people):
    digests = {
        evaluate([Half("a", False)], load("people"), scale=scale).sets[0].digest for scale in ("whole", "unknown")
    }
    assert len(digests) == 1


def test_a_picture_without_anything_unknown_stays_out_of_the_means(people):
    for name, level in (("empty", 0), ("full", 128)):
        for kind in ("merged", "alpha", "trimaps"):
            Path("set", kind).mkdir(parents=True, exist_ok=True)
            picture = np.full((8, 10), level if kind == "trimaps" else 0, np.uint8)
            cv2.imwrite(f"set/{kind}/{name}.png", picture)
    evaluation = evaluate([Half("alone", False)], load("set"), scale="unknown")
    assert evaluation.sets[0].means("alone")["sad"] == pytest.approx(80 * 0.5 / 1000)
    assert [case.label for case in evaluation.worst["alone"].sorted()] == ["set: full"]


@pytest.mark.parametrize("names", [("merged", "trimaps", "alpha"), ("input", "trimap", "gt")])
def test_a_data_set_with_trimaps_is_taken_as_it_is(people, names):
    rng = np.random.default_rng(4)
    files = dict(zip(names, (rng.integers(0, 256, (20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8),
                             rng.integers(0, 256, (20, 30), np.uint8)), strict=True))  # fmt: skip
    files[names[1]][5:9] = UNKNOWN
    for name, picture in files.items():
        Path("set", name).mkdir(parents=True)
        cv2.imwrite(f"set/{name}/one_0.png", picture)
    (chosen,) = load("set")
    sample = chosen.clips[0].sample(0)
    assert np.array_equal(sample.image, files[names[0]][..., ::-1])
    assert np.array_equal(sample.trimap, files[names[1]])
    helped = Half("helped", True)
    evaluation = evaluate([helped], [chosen], scale="unknown")
    assert np.array_equal(helped.given[0], files[names[1]])
    assert title(evaluation, evaluation.sets[0]).startswith("set (1 pictures, ")


def call(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["evaluate", "--data", "validation", "--size", "160x144", *arguments])
    with pytest.raises(SystemExit) as exit_:
        run(command.app, extra="train")
    return exit_.value.code or 0


def test_bundles_and_checkpoints_stand_in_one_table(checkpoints, green_bundle, monkeypatch, capsys):
    arguments = [str(green_bundle), "u2netp", "--set", "people", "--limit", "2", "--device", "cpu", "--out", "report"]
    assert call(monkeypatch, *arguments) == 0
    assert "people (2 pictures, digest " in capsys.readouterr().out
    report = json.loads(Path("report/evaluation.json").read_text())
    assert report["scale"] == "whole"
    assert report["given_trimap"] == []
    means = report["sets"]["people"]["means"]
    assert list(means) == [str(green_bundle), "u2netp"]
    assert all("mad" in one and "sad" not in one for one in means.values())
    assert Path("report/worst_u2netp.png").is_file()


def test_in_the_unknown_region_all_can_be_compared(checkpoints, green_bundle, monkeypatch):
    models = [str(green_bundle), "u2netp", "dim"]
    assert call(monkeypatch, *models, "--set", "people", "--limit", "2", "--scale", "unknown", "--out", "report") == 0
    report = json.loads(Path("report/evaluation.json").read_text())
    assert report["scale"] == report["settings"]["scale"] == "unknown"
    assert report["given_trimap"] == ["dim"]
    assert all(set(one) == {"sad", "mse", "grad", "conn"} for one in report["sets"]["people"]["means"].values())
    markdown = Path("report/evaluation.md").read_text()
    assert "| dim (given the trimap) |" in markdown
    assert "given to dim; the others made their alpha without" in markdown


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["u2netp", "dim", "--set", "people"], "dim: needs a trimap, so its figures cannot stand in one table"),
        (["dim", "--set", "people"], "dim: needs a trimap"),
        (["t_net", "--set", "people"], "t_net: gives a trimap and no alpha; test it with python -m train.test"),
        (["u2netp", "--set", "nobody", "--scale", "unknown"], "nobody: has no unknown region"),
        (["u2netp", "--set", "pets"], "pets: no such set; there are openpeople, "),
        (["u2netp", "--set", "people", "--set", "more/people"], "people: two sets have this name"),
        (["u2netp", "--set", "people", "--device", "tpu"], "tpu: no such device"),
        (["u2netp", "--set", "backgrounds"], "backgrounds/validation/room.png: has no alpha channel"),
    ],
)
def test_bad_input_ends_in_one_line_and_exit_code_2(checkpoints, monkeypatch, capsys, arguments, complaint):
    shutil.copytree("people", "more/people")
    assert call(monkeypatch, *arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {complaint}")
