"""The loop: losses fall, a resumed run equals an uninterrupted one, mistakes are one line."""

import csv
import json
from pathlib import Path

import pytest
import torch
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

from realtime_matting.errors import InputError, MattingError
from train.checkpoints import load_network, read_checkpoint
from train.config import TrainConfig
from train.data.dataset import MattingSamples
from train.loop import Job, train_phase
from train.losses import prediction_loss, trimap_loss
from train.meter import Batch, Losses
from train.networks.shm import SHM, probabilities_at, shm_mobile
from train.networks.u2net import U2NetP
from train.recipes.shm import train_shm
from train.recipes.shm_end_to_end import EndToEndPhase, cut_windows
from train.recipes.u2net import PHASE_OF_STAGE, deep_supervision, train_u2net
from train.steps import StepSampler


@pytest.fixture(scope="module")
def trained(toy_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three phases, 20 steps each."""
    out = tmp_path_factory.mktemp("run")
    for phase in ("t_net", "m_net", "end_to_end"):
        train_shm(toy_config, phase, out, resume=False, steps=None, device="cpu")
    return out


@pytest.fixture(scope="module")
def u2net_run(toy_u2net: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages of U2NetP, 20 steps each."""
    out = tmp_path_factory.mktemp("u2net")
    for stage in (1, 2):
        train_u2net(toy_u2net, stage, out, resume=False, steps=None, device="cpu")
    return out


def curve(folder: Path) -> list[dict[str, str]]:
    """Rows of a run's losses.csv."""
    with (folder / "losses.csv").open(newline="") as file:
        return list(csv.DictReader(file))


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


@pytest.mark.parametrize("resume", [False, True])
def test_end_to_end_starts_from_the_two_phases_before_it(toy_config: TrainConfig, tmp_path: Path, resume: bool) -> None:
    with pytest.raises(InputError, match="train phase t_net before"):
        train_shm(toy_config, "end_to_end", tmp_path, resume=resume, steps=1, device="cpu")


@pytest.mark.parametrize("resume", [False, True])
def test_end_to_end_can_take_its_networks_from_other_runs_also_where_there_is_nothing_to_resume_yet(
    toy_config: TrainConfig, trained: Path, tmp_path: Path, resume: bool
) -> None:
    trained_both = trained / "end_to_end" / "best"
    phase = toy_config.phase("end_to_end").model_copy(update={"ema": 0.0, "learning_rate": 1e-12})
    still = toy_config.model_copy(update={"phases": {**toy_config.phases, "end_to_end": phase}})
    both = {"t_net": trained_both, "m_net": trained_both}
    train_shm(still, "end_to_end", tmp_path, resume=resume, steps=1, device="cpu", **both)
    before, after = (load_file(p / "model.safetensors") for p in (trained_both, tmp_path / "end_to_end/last"))
    for name, value in before.items():
        if name.endswith("weight"):
            torch.testing.assert_close(value, after[name], atol=1e-5, rtol=1e-4)
    with pytest.raises(InputError, match="for end_to_end"):
        train_shm(toy_config, "m_net", tmp_path, resume=False, steps=1, device="cpu", t_net=trained_both)


@pytest.mark.parametrize("phase", ["t_net", "m_net"])
def test_a_phase_can_start_from_a_checkpoint(
    phase: str, toy_config: TrainConfig, trained: Path, tmp_path: Path
) -> None:
    start = trained / "end_to_end" / "best"
    change = {"ema": 0.0, "learning_rate": 1e-12, "start": "checkpoint", "start_file": start}
    still = toy_config.phase(phase).model_copy(update=change)
    config = toy_config.model_copy(update={"phases": {phase: still}})
    train_shm(config, phase, tmp_path, resume=False, steps=1, device="cpu")
    before, after = (load_file(p / "model.safetensors") for p in (start, tmp_path / phase / "last"))
    assert {name.partition(".")[0] for name in after} == {phase}
    for name, value in after.items():
        if name.endswith("weight"):
            torch.testing.assert_close(value, before[name], atol=1e-5, rtol=1e-4)


def test_a_start_from_a_checkpoint_names_one(toy_config: TrainConfig) -> None:
    raw = toy_config.model_dump(mode="json")
    raw["phases"]["t_net"]["start"] = "checkpoint"
    with pytest.raises(ValidationError, match="needs start_file, the folder of a checkpoint"):
        TrainConfig.model_validate(raw)


def test_windows_are_matted_with_the_trimap_of_the_whole_patch_at_the_t_nets_own_size() -> None:
    torch.manual_seed(0)
    shm = shm_mobile(trimap_long_side=64).eval()
    patches, windows = torch.rand(2, 3, 96, 128), torch.tensor([[16, 32, 48], [40, 8, 48]])
    cut = cut_windows(patches, windows, 48)
    with torch.no_grad():
        prediction = EndToEndPhase(shm, 48).eval()(patches, cut, windows)
        probabilities = probabilities_at(shm.trimap_logits(patches), (96, 128))
        expected = shm.matte(cut, cut_windows(probabilities, windows, 48))
    assert prediction.trimap_logits.shape[-2:] == (48, 64)
    assert torch.equal(prediction.alpha, expected)


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
    with pytest.raises(MattingError, match=r"not finite|nan") as caught:
        train_shm(wild, "m_net", tmp_path, resume=False, steps=None, device="cpu")
    assert ".png + room_" in str(caught.value)
    assert not (tmp_path / "m_net/last").exists()


def test_only_the_samples_with_a_bad_loss_are_named(toy_config: TrainConfig, tmp_path: Path) -> None:
    network = nn.Conv2d(3, 1, 1)

    def step_loss(model: nn.Module, batch: Batch) -> Losses:
        each = model(batch["image"]).square().mean(dim=(1, 2, 3))
        each = torch.where(batch["index"] == 5, torch.nan, each)
        return {"total": each.mean(), "per_sample": each}

    def figures(model: nn.Module, batch: Batch) -> dict[str, float]:
        return {"score": 0.0}

    groups = [{"params": list(network.parameters()), "rate": 1.0}]
    job = Job("m_net", network, groups, step_loss, figures, lambda model, batch: {"input": batch["image"]})
    made = MattingSamples(toy_config.data, toy_config.sample_spec("m_net"), seed=toy_config.seed, batch_size=2)
    with pytest.raises(MattingError, match="step 3") as caught:
        train_phase(toy_config, job, tmp_path, device="cpu")
    assert made[5]["name"] in str(caught.value)
    assert made[4]["name"] not in str(caught.value)


def test_a_run_leaves_its_configuration_its_surroundings_and_every_loss(trained: Path, toy_config: TrainConfig) -> None:
    folder = trained / "m_net"
    assert TrainConfig.model_validate(yaml.safe_load((folder / "config.yaml").read_text())) == toy_config
    (start,) = json.loads((folder / "run.json").read_text())
    assert start["seed"] == toy_config.seed
    assert start["packages"]["torch"]
    rows = curve(folder)
    assert [int(row["step"]) for row in rows] == list(range(1, 21))
    assert {"total", "prediction", "laplacian", "gradient", "gradient_norm", "learning_rate"} < rows[0].keys()


def test_tensorboard_shows_input_trimap_prediction_and_truth(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "end_to_end" / "tensorboard")).Reload()
    assert {"train/total", "learning_rate", "samples_per_second", "validation/mad"} <= set(events.Tags()["scalars"])
    (title,) = events.Tags()["images"]
    assert title == "validation: input, trimap, prediction, truth"
    image = events.Images(title)[-1]
    assert (image.width, image.height) == (4 * 64, 2 * 64)


def test_frozen_trimap_network_keeps_weights_and_statistics(toy_config: TrainConfig, trained: Path) -> None:
    out = trained.parent / "frozen"
    out.mkdir()
    for phase in ("t_net", "m_net"):
        (out / phase).symlink_to(trained / phase)
    phases = {
        **toy_config.phases,
        "end_to_end": toy_config.phase("end_to_end").model_copy(update={"freeze_t_net": True}),
    }
    train_shm(toy_config.model_copy(update={"phases": phases}), "end_to_end", out, resume=False, steps=3, device="cpu")
    before, after = (load_file(p / "model.safetensors") for p in (trained / "t_net/best", out / "end_to_end/last"))
    assert before
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    m_net = load_file(trained / "m_net/best/model.safetensors")
    assert not all(torch.equal(value, after[name]) for name, value in m_net.items())


@pytest.mark.parametrize("kept", [True, False])
def test_batch_norms_keep_their_statistics_where_that_is_asked_for_and_all_weights_learn(
    kept: bool, toy_config: TrainConfig, trained: Path, tmp_path: Path
) -> None:
    start = trained / "end_to_end" / "last"
    phase = toy_config.phase("end_to_end").model_copy(update={"keep_statistics": kept, "ema": 0.0})
    config = toy_config.model_copy(update={"phases": {"end_to_end": phase}})
    train_shm(config, "end_to_end", tmp_path, resume=False, steps=2, device="cpu", t_net=start, m_net=start)
    before, after = (load_file(p / "model.safetensors") for p in (start, tmp_path / "end_to_end/last"))
    statistics = {name for name in before if "running_" in name}
    assert statistics
    assert all(torch.equal(before[name], after[name]) == kept for name in statistics)
    # Biases before a batch norm would not learn, but there are none.
    assert not any(torch.equal(before[name], after[name]) for name in before if name.endswith(".weight"))


def test_end_to_end_trains_on_windows_of_larger_patches(toy_config: TrainConfig, trained: Path) -> None:
    out = trained.parent / "windows"
    out.mkdir()
    for phase in ("t_net", "m_net"):
        (out / phase).symlink_to(trained / phase)
    patches = toy_config.phase("end_to_end").model_copy(update={"sizes": ((96, 96),), "crops": (48, 64), "crop": 48})
    config = toy_config.model_copy(update={"phases": {**toy_config.phases, "end_to_end": patches}})
    figures = train_shm(config, "end_to_end", out, resume=False, steps=4, device="cpu")
    assert figures["mad"] < 900
    network, about = load_network(out / "end_to_end" / "last")
    assert about.step == 4
    assert network(torch.rand(1, 3, 64, 64)).alpha.shape == (1, 1, 64, 64)


@pytest.mark.parametrize("crops", [(), (48,)])
def test_end_to_end_the_t_net_sees_the_sizes_asked_for_in_turn(
    crops: tuple[int, ...], toy_config: TrainConfig, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, int]] = []
    real = SHM.trimap_logits

    def noting(self: SHM, rgb: torch.Tensor, long_side: int | None = None) -> torch.Tensor:
        logits = real(self, rgb, long_side)
        seen.append((self.training, max(logits.shape[-2:])))
        return logits

    monkeypatch.setattr(SHM, "trimap_logits", noting)
    change = {"sizes": ((96, 96),), "crops": crops, "crop": 48, "trimap_sides": (64, 80)}
    phase = toy_config.phase("end_to_end").model_copy(update=change)
    config = toy_config.model_copy(update={"phases": {"end_to_end": phase}})
    start = trained / "end_to_end" / "best"
    for steps in (3, 4):  # the second run goes on where the first one stopped
        train_shm(config, "end_to_end", tmp_path, resume=True, steps=steps, device="cpu", t_net=start, m_net=start)
    assert [side for training, side in seen if training] == [64, 80, 64, 80]
    assert {side for training, side in seen if not training} == {96}  # its own is larger than the pictures


@pytest.mark.parametrize("stage", [1, 2])
def test_both_stages_of_the_u2net_learn(toy_u2net: TrainConfig, u2net_run: Path, stage: int) -> None:
    rows = curve(u2net_run / PHASE_OF_STAGE[stage])
    totals = [float(row["total"]) for row in rows]
    assert len(totals) == 20
    assert sum(totals[-5:]) < 0.8 * sum(totals[:5]) or stage == 2
    network, about = load_network(u2net_run / PHASE_OF_STAGE[stage] / "last")
    assert about.network == "u2netp"
    with torch.no_grad():
        assert network(torch.rand(1, 3, 64, 64))[0].shape == (1, 1, 64, 64)


def test_stage_two_of_the_u2net_needs_stage_one(toy_u2net: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train stage 1 before stage 2"):
        train_u2net(toy_u2net, 2, tmp_path, resume=False, steps=1, device="cpu")


def test_deep_supervision_falls_on_a_fixed_batch_and_looks_away_where_the_truth_is_unknown() -> None:
    torch.manual_seed(0)
    truth = torch.zeros(2, 1, 64, 64)
    truth[..., 16:48, 16:48] = 1
    sure = torch.ones_like(truth)
    sure[..., :8] = 0
    network = U2NetP().train()
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    losses = []
    for _ in range(10):
        loss = deep_supervision(network(0.3 * torch.rand(2, 3, 64, 64) + truth), truth, sure, 1.0).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    logits = [torch.randn(2, 1, 64, 64) for _ in range(7)]
    wrong_where_unknown = truth.clone()
    wrong_where_unknown[..., :8] = 1
    first, second = (deep_supervision(logits, t, sure, 1.0) for t in (truth, wrong_where_unknown))
    assert torch.equal(first, second)
    assert not torch.equal(first, deep_supervision(logits, wrong_where_unknown, torch.ones_like(sure), 1.0))


def test_processes_share_each_step_without_overlap() -> None:
    alone = list(StepSampler(3, 6, 4))
    first, second = (list(StepSampler(3, 6, 4, rank, 2)) for rank in (0, 1))
    assert alone == list(range(12, 24))
    assert sorted(first + second) == alone
    assert first[:2] + second[:2] == alone[:4]
