"""A checkpoint made of a bundle's folded networks."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn
from typer.testing import CliRunner

from export.restore import app, restore
from export.roles import TrimapOf
from realtime_matting.engines import open_engine
from realtime_matting.errors import InputError, OutputError
from realtime_matting.models.bundle import Role
from realtime_matting.models.registry import find_bundle
from train.checkpoints import load_network
from train.config import TrainConfig
from train.networks.shm import SHM
from train.recipes.shm import train_shm

OPTIONS = {"widths": [8, 16, 32, 64, 96], "depths": [1, 2, 2, 2, 2]}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """The shipped networks' shape, and a few drawn people."""
    root = tmp_path_factory.mktemp("people")
    (root / "people").mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:90, :80].astype(np.float32)
    for number in range(4):
        alpha = (np.clip((30 - np.hypot(x - 40, y - 50)) / 4, 0, 1) * 255).astype(np.uint8)
        colour = rng.integers(0, 255, (90, 80, 3), np.uint8)
        cv2.imwrite(str(root / f"people/person{number}.png"), np.dstack([cv2.blur(colour, (5, 5)), alpha]))
    (root / "behind").mkdir()
    cv2.imwrite(str(root / "behind/wall.png"), cv2.blur(rng.integers(0, 255, (96, 128, 3), np.uint8), (9, 9)))
    phase = {
        "steps": 1, "batch_size": 4, "learning_rate": 1e-4, "warmup_steps": 1, "size": [96, 64], "crop": 64,
        "crops": [64], "validate_samples": 4, "ema": 0,
    }  # fmt: skip
    return TrainConfig.model_validate(
        {
            "network": "shm-mobile",
            "network_options": OPTIONS,
            "precision": "32-true",
            "workers": 0,
            "holdout": 0.0,
            "data": {"foregrounds": [{"path": str(root / "people")}], "backgrounds": [{"path": str(root / "behind")}]},
            "phases": {"end_to_end": phase},
        }
    )


@pytest.fixture(scope="module")
def restored(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("restored")
    (root / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    done = CliRunner().invoke(
        app, ["shm-fast", "--config", str(root / "config.yaml"), "--out", str(root / "made"), "--samples", "16"]
    )
    assert done.exit_code == 0, done.output
    return root / "made"


def test_the_checkpoint_gives_what_the_bundle_gives(restored: Path) -> None:
    network, about = load_network(restored)
    assert isinstance(network, SHM)
    assert (about.network, about.phase, about.step) == ("shm-mobile", "end_to_end", 0)
    assert about.config["restored_from"].startswith("shm-fast ")
    rgb = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    trimap = torch.softmax(3 * torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(2)), dim=1)
    with torch.no_grad():
        answers: dict[Role, Tensor] = {
            "trimap": TrimapOf(network.t_net)(rgb),
            "matting": network.m_net(rgb, trimap),
        }
    bundle = find_bundle("shm-fast")
    for role, answer in answers.items():
        engine = open_engine(bundle.path(role), engine="onnxruntime", threads=1)
        inputs = {"rgb": rgb.numpy()} | ({"trimap": trimap.numpy()} if role == "matting" else {})
        np.testing.assert_allclose(answer.numpy(), next(iter(engine(inputs).values())), atol=1e-4)
        engine.close()


def test_every_batch_norm_normalises_again(restored: Path) -> None:
    network, _ = load_network(restored)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    variances = torch.cat([norm.running_var for norm in norms])
    assert len(norms) > 70
    assert (variances > 0.9).float().mean() > 0.8
    assert torch.cat([norm.weight for norm in norms]).std() > 0.1


def test_training_goes_on_from_it_where_it_was(restored: Path, config: TrainConfig, tmp_path: Path) -> None:
    train_shm(
        config, "end_to_end", tmp_path / "run", resume=False, steps=1, device="cpu", t_net=restored, m_net=restored
    )
    trained, about = load_network(tmp_path / "run/end_to_end/last")
    assert about.step == 1
    start = dict(load_network(restored)[0].named_parameters())
    moved = torch.cat([(value - start[name]).abs().flatten() for name, value in trained.named_parameters()])
    assert 0 < moved.max() < 1e-3  # one step of Adam moves no weight by much more than the learning rate


def test_what_cannot_be_restored_is_told_in_one_line(config: TrainConfig, tmp_path: Path) -> None:
    wider = config.model_copy(update={"network_options": {**OPTIONS, "widths": [16, 32, 48, 64, 64]}})
    with pytest.raises(InputError, match="does not fit the configuration's at encoder"):
        restore(find_bundle("shm-fast"), wider, tmp_path / "out", samples=8)
    with pytest.raises(InputError, match="has no trimap network"):
        restore(find_bundle("u2netp-human"), config, tmp_path / "out", samples=8)
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        restore(find_bundle("shm-fast"), config, tmp_path / "file" / "out", samples=8)
