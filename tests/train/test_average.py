"""The mean of checkpoints."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from realtime_matting.errors import InputError, OutputError
from train.average import app, average
from train.checkpoints import Checkpoint, load_network, save_checkpoint
from train.networks import build_network


def checkpoint(folder: Path, seed: int, *, phase: str = "end_to_end", **options: object) -> Path:
    torch.manual_seed(seed)
    network = build_network("shm-mobile", options)
    about = Checkpoint("shm-mobile", phase, 10 * seed, {"seed": seed}, {"score": 1.0}, dict(options))
    save_checkpoint(folder, about, network.state_dict(), None, None)
    return folder


def test_every_weight_is_the_mean_and_the_network_loads(tmp_path: Path) -> None:
    parts = [checkpoint(tmp_path / str(seed), seed) for seed in (1, 2, 3)]
    done = CliRunner().invoke(app, [*map(str, parts), "--out", str(tmp_path / "mean")])
    assert done.exit_code == 0, done.output
    weights = [load_file(part / "model.safetensors") for part in parts]
    made = load_file(tmp_path / "mean/model.safetensors")
    assert made.keys() == weights[0].keys()
    for name, value in made.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, sum(w[name].double() for w in weights).float() / 3)
        else:
            assert torch.equal(value, weights[0][name])
    _, about = load_network(tmp_path / "mean")
    assert about.config["mean_of"] == [str(part) for part in parts]
    assert about.metrics == {}


def test_the_mean_of_equal_checkpoints_is_bit_for_bit_the_checkpoint(tmp_path: Path) -> None:
    part = checkpoint(tmp_path / "one", 1)
    average([part, part, part], tmp_path / "mean")
    for name, value in load_file(part / "model.safetensors").items():
        assert torch.equal(value, load_file(tmp_path / "mean/model.safetensors")[name])


def test_what_has_no_mean_is_told_in_one_line(tmp_path: Path) -> None:
    one = checkpoint(tmp_path / "one", 1)
    with pytest.raises(InputError, match="nothing to average"):
        average([one], tmp_path / "mean")
    for other in (
        checkpoint(tmp_path / "narrow", 2, widths=[8, 8, 16, 16, 16]),
        checkpoint(tmp_path / "phase", 2, phase="m_net"),
    ):
        with pytest.raises(InputError, match="another network or phase"):
            average([one, other], tmp_path / "mean")
    with pytest.raises(InputError, match="no checkpoint here"):
        average([one, tmp_path / "none"], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        average([one, one], tmp_path / "file" / "mean")
