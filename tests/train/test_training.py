"""The loop: losses fall, a resumed run equals an uninterrupted one, mistakes are one line."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from realtime_matting.errors import InputError, MattingError
from train.checkpoints import load_network, read_checkpoint
from train.config import TrainConfig, load_config
from train.loop import StepSampler
from train.losses import prediction_loss, trimap_loss
from train.networks.shm import shm_mobile
from train.recipes.shm import train_shm


@pytest.fixture(scope="module")
def trained(toy_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three phases, 20 steps each."""
    out = tmp_path_factory.mktemp("run")
    for phase in ("t_net", "m_net", "end_to_end"):
        train_shm(toy_config, phase, out, resume=False, steps=None, device="cpu")
    return out


@pytest.mark.parametrize("part", ["t_net", "all"])
def test_the_loss_falls_on_a_fixed_batch(part: str) -> None:
    torch.manual_seed(0)
    network = shm_mobile().train()
    rgb, truth = torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    truth[..., 16:48, 16:48] = 1
    rgb = 0.3 * rgb + 0.7 * truth
    classes = (truth[:, 0] * 2).long()
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    losses = []
    for _ in range(20):
        prediction = network(rgb)
        loss = trimap_loss(prediction.trimap_logits, classes)
        if part == "all":
            loss = loss + prediction_loss(prediction.alpha, truth, rgb, 1 - rgb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_every_phase_keeps_its_last_and_best_checkpoint(trained: Path) -> None:
    for phase in ("t_net", "m_net", "end_to_end"):
        for name in ("last", "best"):
            about = read_checkpoint(trained / phase / name)
            assert about.phase == phase
            assert about.network == "shm-mobile"
        assert read_checkpoint(trained / phase / "last").step == 20
        assert any((trained / phase / "tensorboard").iterdir())


def test_end_to_end_starts_from_the_two_phases_before_it(toy_config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train phase t_net before"):
        train_shm(toy_config, "end_to_end", tmp_path, resume=False, steps=1, device="cpu")


def test_a_checkpoint_loads_as_the_network_it_was(trained: Path) -> None:
    network, about = load_network(trained / "end_to_end" / "last")
    assert about.phase == "end_to_end"
    with torch.no_grad():
        assert network(torch.rand(1, 3, 64, 64)).alpha.shape == (1, 1, 64, 64)


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    toy_config: TrainConfig, trained: Path, tmp_path: Path
) -> None:
    train_shm(toy_config, "m_net", tmp_path, resume=False, steps=10, device="cpu")
    train_shm(toy_config, "m_net", tmp_path, resume=True, steps=None, device="cpu")
    for file in ("model.safetensors", "raw.safetensors", "optimizer.safetensors"):
        whole, resumed = (load_file(run / "m_net" / "last" / file) for run in (trained, tmp_path))
        assert whole.keys() == resumed.keys()
        for name, value in whole.items():
            assert torch.allclose(value, resumed[name], atol=1e-6), f"{file}: {name}"


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_samples(toy_config: TrainConfig, tmp_path: Path) -> None:
    phases = {k: v.model_copy(update={"learning_rate": 1e12, "warmup_steps": 0}) for k, v in toy_config.phases.items()}
    wild = toy_config.model_copy(update={"phases": phases})
    with pytest.raises(MattingError, match="samples"):
        train_shm(wild, "m_net", tmp_path, resume=False, steps=None, device="cpu")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network: shm-mobile\nnetwork: [", "not valid YAML"),
        ("network: vgg\n", "network"),
        ("network: shm-mobile\nlearning: 3\n", "learning"),
        ("- 1\n", "keys and values"),
    ],
)
def test_a_wrong_configuration_is_one_line_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_shipped_configuration_is_valid_and_can_be_overridden() -> None:
    path = Path(__file__).parents[2] / "configs/train/shm_mobile.yaml"
    config = load_config(path, ["phases.t_net.batch_size=3", "seed=9"])
    assert config.phase("t_net").batch_size == 3
    assert config.seed == 9


def test_processes_share_each_step_without_overlap() -> None:
    alone = list(StepSampler(3, 6, 4))
    first, second = (list(StepSampler(3, 6, 4, rank, 2)) for rank in (0, 1))
    assert alone == list(range(12, 24))
    assert sorted(first + second) == alone
    assert first[:2] + second[:2] == alone[:4]
