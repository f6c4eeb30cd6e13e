"""Crops with a T-Net's trimaps, made once, and the M-Net that is trained on them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from realtime_matting.errors import InputError, OutputError
from train.config import PhaseConfig, TrainConfig, load_config
from train.data.bake import bake
from train.data.baked import LAYERS, BakedCrops
from train.networks.shm import SHM, probabilities_at, shm_mobile
from train.recipes.shm import train_shm

COUNT, EACH, SIDE = 5, 2, 48


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of both networks, with random weights."""
    folder = tmp_path_factory.mktemp("shipped")
    torch.manual_seed(3)
    save_file(shm_mobile().state_dict(), folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def config_file(toy_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy configuration, end to end on windows of patches, with the T-Net as it is."""
    config = toy_config.model_dump(mode="json")
    config["data"]["masks_share"] = 0
    config["phases"]["end_to_end"] |= {
        "sizes": [[96, 96]], "crops": [SIDE, 64], "crop": SIDE, "freeze_t_net": True, "steps": 4, "save_every": 2,
    }  # fmt: skip
    path = tmp_path_factory.mktemp("config") / "baked.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def baked(config_file: Path, shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("baked") / "crops"
    bake(config_file, t_net=shipped, out=out, count=COUNT, each=EACH)
    return out


def crops_of(folder: Path, config_file: Path, seed: int = 1) -> BakedCrops:
    config = load_config(config_file)
    return BakedCrops(folder, config.data, config.sample_spec("end_to_end"), seed=seed, batch_size=2)


def test_a_crop_holds_what_the_t_net_says_of_its_picture(baked: Path, config_file: Path, shipped: Path) -> None:
    crops = crops_of(baked, config_file)
    assert crops.crops.shape == (COUNT * EACH, sum(LAYERS.values()), SIDE, SIDE)
    sample = crops[0]
    assert {name: sample[name].shape[0] for name in LAYERS} == LAYERS
    total = sample["probabilities"].sum(dim=0, dtype=torch.int32)
    assert (total - 255).abs().max() <= 2, "three probabilities, rounded"
    composed = sample["alpha"] * sample["foreground"] + (1 - sample["alpha"]) * sample["background"]
    assert (composed - sample["image"]).abs().mean() < 25, "but for what the camera does"
    # The T-Net saw whole patches; a patch of which nearly all is in the window gives about the same.
    network = shm_mobile()
    assert isinstance(network, SHM)
    network.load_state_dict(load_file(shipped / "model.safetensors"))
    network.eval()
    with torch.no_grad():
        here = probabilities_at(network.trimap_logits(sample["image"][None] / 255), (SIDE, SIDE))[0]
    assert torch.corrcoef(torch.stack([here.flatten(), sample["probabilities"].flatten() / 255]))[0, 1] > 0.5


def test_each_pass_shows_every_crop_once_in_another_order(baked: Path, config_file: Path) -> None:
    crops = crops_of(baked, config_file)
    passes = [[crops[turn * COUNT * EACH + i]["name"] for i in range(COUNT * EACH)] for turn in range(3)]
    assert all(sorted(one) == sorted(passes[0]) for one in passes)
    assert len(set(passes[0])) == COUNT * EACH
    assert passes[0] != passes[1] != passes[2]
    again = crops_of(baked, config_file)[COUNT * EACH + 3]
    torch.testing.assert_close(again["image"], crops[COUNT * EACH + 3]["image"])
    other = crops_of(baked, config_file, seed=2)
    assert [other[i]["name"] for i in range(COUNT * EACH)] != passes[0]


def test_half_of_the_crops_are_mirrored_with_all_that_belongs_to_them(baked: Path, config_file: Path) -> None:
    crops = crops_of(baked, config_file)
    mirrored = 0
    for index in range(60):
        sample = crops[index]
        stored = crops.crops[int(sample["name"].split()[1])]
        layers = np.concatenate([(sample[n] * 255).round() if n == "alpha" else sample[n] for n in LAYERS])
        straight, flipped = np.array_equal(layers, stored), np.array_equal(layers, stored[..., ::-1])
        assert straight or flipped
        mirrored += flipped and not straight
    assert 15 < mirrored < 45


def test_the_m_net_learns_from_them_and_the_t_net_stays(
    baked: Path, config_file: Path, shipped: Path, tmp_path: Path
) -> None:
    config = load_config(
        config_file, [f"phases.end_to_end.baked={baked}", "phases.end_to_end.loss={laplacian: 1.0, filtered: 0.5}"]
    )
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    nets = {"t_net": shipped, "m_net": shipped, "device": "cpu"}
    figures = train_shm(config, "end_to_end", whole, resume=False, steps=None, **nets)
    assert figures["mad"] == figures["score"]
    train_shm(config, "end_to_end", halves, resume=False, steps=2, **nets)
    train_shm(config, "end_to_end", halves, resume=True, steps=None, **nets)
    first, second = (load_file(out / "end_to_end/last/model.safetensors") for out in (whole, halves))
    before = load_file(shipped / "model.safetensors")
    assert first.keys() == second.keys() == before.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], msg=f"{name} of a resumed run")
    assert all(torch.equal(first[name], value) for name, value in before.items() if name.startswith("t_net."))
    assert any(not torch.equal(first[name], value) for name, value in before.items() if name.startswith("m_net."))


def test_a_folder_without_crops_and_crops_of_another_size_are_one_line(
    baked: Path, config_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no crops are here; make them"):
        crops_of(tmp_path, config_file)
    config = load_config(config_file, ["phases.end_to_end.crop=64"])
    with pytest.raises(InputError, match="its crops have 48 pixels a side, and the phase's crop is 64"):
        BakedCrops(baked, config.data, config.sample_spec("end_to_end"), seed=1, batch_size=2)


def test_baking_that_was_interrupted_leaves_no_folder_that_looks_whole(
    config_file: Path, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.data.baked.os.posix_fallocate", full, raising=False)
    with pytest.raises(OutputError, match="cannot be written"):
        bake(config_file, t_net=shipped, out=tmp_path / "crops", count=1, each=1)
    with pytest.raises(InputError, match="no crops are here"):
        crops_of(tmp_path / "crops", config_file)


def test_windows_are_asked_for_and_baked_crops_need_a_frozen_t_net(config_file: Path, shipped: Path) -> None:
    with pytest.raises(InputError, match="has no crops; name the sides"):
        bake(config_file, t_net=shipped, out=Path("never"), count=1, each=1, set_=["phases.end_to_end.crops=[]"])
    with pytest.raises(ValidationError, match="set freeze_t_net"):
        PhaseConfig(steps=1, batch_size=1, learning_rate=1e-3, baked=Path("crops"))
    with pytest.raises(ValidationError, match="leave out hard"):
        PhaseConfig(steps=1, batch_size=1, learning_rate=1e-3, baked=Path("crops"), freeze_t_net=True, hard=0.3)


def test_the_other_data_tools_do_not_wait_for_pytorch() -> None:
    code = "import sys; import train.data.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode == 0
