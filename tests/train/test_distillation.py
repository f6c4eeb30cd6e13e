"""A T-Net that learns from another view of the same picture."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from realtime_matting.errors import InputError
from train.checkpoints import Checkpoint, load_network, load_weights, save_checkpoint
from train.config import TeacherConfig, TrainConfig
from train.losses import soft_trimap_losses
from train.networks import build_network
from train.networks.shm import SHM
from train.networks.tnet_mobile import MobileTNet
from train.recipes.shm import train_shm
from train.recipes.shm_distillation import Features, Teacher, distillation_job
from train.thin import thin


@pytest.fixture(scope="module")
def taught_by(toy_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the toy T-Net."""
    out = tmp_path_factory.mktemp("teacher")
    train_shm(toy_config, "t_net", out, resume=False, steps=10, device="cpu")
    train_shm(toy_config, "m_net", out, resume=False, steps=1, device="cpu")
    train_shm(toy_config, "end_to_end", out, resume=False, steps=1, device="cpu")
    return out / "end_to_end" / "last"


def _with_teacher(config: TrainConfig, checkpoint: Path, **change: object) -> TrainConfig:
    teacher = TeacherConfig(checkpoint=checkpoint, sides=(96, 64))
    start = {"start": "checkpoint", "start_file": checkpoint, "teacher": teacher, "sizes": ((96, 64),)}
    phase = config.phase("t_net").model_copy(update={**start, "trimap_sides": (64,), "steps": 12, **change})
    return config.model_copy(update={"phases": {**config.phases, "t_net": phase}})


def _trained_t_net(config: TrainConfig, out: Path) -> nn.Module:
    shm = build_network(config.network, config.network_options)
    assert isinstance(shm, SHM)
    load_weights(shm.t_net, out / "t_net" / "last", "t_net.")
    return shm.t_net


def _untaught(config: TrainConfig, checkpoint: Path, out: Path) -> dict[str, float]:
    """The figures of a student that has learnt next to nothing."""
    still = _with_teacher(config, checkpoint, learning_rate=1e-12)
    return train_shm(still, "t_net", out / "still", resume=False, steps=1, device="cpu")


def test_a_mirrored_view_is_the_mirror_image_of_what_the_teacher_makes_of_the_mirror_image(taught_by: Path) -> None:
    teacher = Teacher(TeacherConfig(checkpoint=taught_by, sides=(64,)))
    image = torch.rand(2, 3, 64, 96)
    plain, mirrored = torch.tensor([False, False]), torch.tensor([False, True])
    first, second = teacher.probabilities(image, 64, mirrored)
    assert torch.equal(first, teacher.probabilities(image, 64, plain)[0])
    assert torch.equal(second, teacher.probabilities(image.flip(-1), 64, plain)[1].flip(-1))
    assert not torch.equal(second, teacher.probabilities(image, 64, plain)[1])


def test_the_mean_of_all_views_is_a_distribution_and_does_not_know_left_from_right(taught_by: Path) -> None:
    teacher = Teacher(TeacherConfig(checkpoint=taught_by, sides=(96, 64)))
    image = torch.rand(1, 3, 64, 96)
    mean = teacher.mean(image)
    torch.testing.assert_close(mean.sum(dim=1), torch.ones(1, 64, 96))
    torch.testing.assert_close(teacher.mean(image.flip(-1)).flip(-1), mean)


def test_a_student_comes_closer_to_the_teacher_and_keeps_the_statistics_it_began_with(
    toy_config: TrainConfig, taught_by: Path, tmp_path: Path
) -> None:
    config = _with_teacher(toy_config, taught_by, learning_rate=3e-4, ema=0.5)
    figures = train_shm(config, "t_net", tmp_path, resume=False, steps=None, device="cpu")
    shm, _ = load_network(taught_by)
    assert isinstance(shm, SHM)
    student = _trained_t_net(config, tmp_path)
    before, after = shm.t_net.state_dict(), student.state_dict()
    statistics = {name for name in before if "running_" in name}
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    assert not torch.equal(before["head.weight"], after["head.weight"])
    assert figures["divergence"] < _untaught(toy_config, taught_by, tmp_path)["divergence"]


def test_a_resumed_student_ends_like_one_that_was_not_interrupted(
    toy_config: TrainConfig, taught_by: Path, tmp_path: Path
) -> None:
    config = _with_teacher(toy_config, taught_by, trimap_sides=(64, 96), steps=6)
    train_shm(config, "t_net", tmp_path / "a", resume=False, steps=None, device="cpu")
    for steps in (3, 6):
        train_shm(config, "t_net", tmp_path / "b", resume=True, steps=steps, device="cpu")
    one, other = (_trained_t_net(config, tmp_path / run).state_dict() for run in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_teacher_has_a_t_net(toy_config: TrainConfig, tmp_path: Path, taught_by: Path) -> None:
    other = tmp_path / "u2netp"
    save_checkpoint(other, Checkpoint("u2netp", "fine", 1, {}), build_network("u2netp").state_dict(), None, None)
    config = _with_teacher(toy_config, taught_by, teacher=TeacherConfig(checkpoint=other))
    with pytest.raises(InputError, match="no T-Net to learn from"):
        train_shm(config, "t_net", tmp_path, resume=False, steps=1, device="cpu")


def test_a_student_starts_from_a_checkpoint(toy_config: TrainConfig, taught_by: Path, tmp_path: Path) -> None:
    config = _with_teacher(toy_config, taught_by, start="random", start_file=None)
    with pytest.raises(InputError, match="set start: checkpoint and start_file"):
        train_shm(config, "t_net", tmp_path, resume=False, steps=1, device="cpu")


@pytest.mark.parametrize("phase", ["m_net", "end_to_end"])
def test_only_the_t_net_alone_has_a_teacher(
    phase: str, toy_config: TrainConfig, taught_by: Path, tmp_path: Path
) -> None:
    teacher = TeacherConfig(checkpoint=taught_by)
    changed = toy_config.phase(phase).model_copy(update={"teacher": teacher})
    config = toy_config.model_copy(update={"phases": {phase: changed}})
    with pytest.raises(InputError, match=f"phase {phase}: only a T-Net alone learns from a teacher"):
        train_shm(
            config, phase, tmp_path, resume=False, steps=1, device="cpu",
            **({"t_net": taught_by, "m_net": taught_by} if phase == "end_to_end" else {}),
        )  # fmt: skip


def test_the_divergence_is_0_for_the_target_itself_and_counts_unknown_pixels_more() -> None:
    logits = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(1))
    same = torch.softmax(logits, dim=1)
    torch.testing.assert_close(soft_trimap_losses(logits, same, 2.0), torch.zeros(2), atol=1e-6, rtol=0)
    sure = torch.tensor([0.0, 8.0, 0.0])[None, :, None, None].expand(1, 3, 2, 2).clone()
    target = torch.zeros(1, 3, 2, 2)
    target[:, 1, 0], target[:, 0, 1] = 1, 1  # above it is unknown, as the logits say; below it is background
    even, more = (soft_trimap_losses(sure, target, weight).item() for weight in (1.0, 3.0))
    assert even == pytest.approx(2 * more, rel=1e-3)
    assert more > 1


def test_a_larger_target_is_averaged_to_the_logits_size() -> None:
    large = torch.softmax(torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(2)), dim=1)
    small = torch.nn.functional.interpolate(large, size=(4, 4), mode="bilinear", align_corners=False, antialias=True)
    torch.testing.assert_close(soft_trimap_losses(small.log(), large), torch.zeros(1), atol=1e-6, rtol=0)


def _thin_student(toy_config: TrainConfig, taught_by: Path, folder: Path, **teacher: object) -> TrainConfig:
    """To learn the teacher's T-Net with half of the channels inside its last blocks, from the same views."""
    hidden = [32, 96, 144, 144, 240, 240, 480, 0, 480, 336, 336, 672, 576, 0, 576, 1152]
    thin(taught_by, toy_config, hidden, folder, samples=4)
    view = TeacherConfig.model_validate({"checkpoint": taught_by, "same_view": True, **teacher})
    change = {"teacher": view, "start_file": folder, "learning_rate": 3e-4, "ema": 0.5, "trimap_sides": (96, 64)}
    config = _with_teacher(toy_config, taught_by, **change)
    return config.model_copy(update={"network_options": {"trimap_hidden": hidden}})


def test_a_thinner_student_learns_the_same_view_and_the_features(
    toy_config: TrainConfig, taught_by: Path, tmp_path: Path
) -> None:
    config = _thin_student(toy_config, taught_by, tmp_path / "thin", features=1.0)
    first = train_shm(config, "t_net", tmp_path / "run", resume=False, steps=1, device="cpu")
    for steps in (6, 12):
        last = train_shm(config, "t_net", tmp_path / "run", resume=True, steps=steps, device="cpu")
    assert 0 < last["divergence"] < first["divergence"]
    before, after = (load_file(tmp_path / run / "model.safetensors") for run in ("thin", "run/t_net/last"))
    learnt = [name for name in after if "t_net.encoder" in name and not torch.equal(before[name], after[name])]
    assert learnt
    assert not any("running_" in name for name in learnt)


def test_the_same_view_is_neither_mirrored_nor_of_another_size(taught_by: Path) -> None:
    teacher = Teacher(TeacherConfig(checkpoint=taught_by, same_view=True))
    image, odd = torch.rand(2, 3, 64, 96), torch.tensor([1, 3])
    plain = teacher.probabilities(image, 64, torch.tensor([False, False]))
    assert torch.equal(teacher.view(image, 5, 64, odd), plain)
    assert torch.equal(teacher.best(image, 64), plain)


def test_a_teacher_gives_what_its_checkpoint_gives(taught_by: Path) -> None:
    """Its batch norms are in its convolutions, which is quicker and must not be seen."""
    shm, _ = load_network(taught_by)
    assert isinstance(shm, SHM)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = torch.softmax(shm.trimap_logits(image, 96), dim=1)
    teacher = Teacher(TeacherConfig(checkpoint=taught_by, same_view=True))
    torch.testing.assert_close(teacher.best(image, 96), expected, rtol=0, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in teacher.network.t_net.modules())


def test_features_are_apart_by_a_share_of_their_square() -> None:
    one, other = Features(MobileTNet()), Features(MobileTNet())
    other.last = [torch.full((2, 3, 4, 4), 2.0), torch.ones(2, 5, 2, 2)]
    one.last = [torch.full((2, 3, 4, 4), 3.0), torch.ones(2, 5, 2, 2)]
    torch.testing.assert_close(one.apart(other), torch.tensor([0.125, 0.125]))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"same_view": True, "sides": [96]}, "leave out sides"),
        ({"features": 1.0}, "set same_view"),
    ],
)
def test_views_that_cannot_be_compared_are_told(options: dict[str, object], why: str, taught_by: Path) -> None:
    with pytest.raises(ValueError, match=why):
        TeacherConfig.model_validate({"checkpoint": taught_by, **options})


def test_features_are_learnt_from_an_encoder_of_the_same_widths(
    toy_config: TrainConfig, taught_by: Path, tmp_path: Path
) -> None:
    config = _thin_student(toy_config, taught_by, tmp_path / "thin", features=1.0)
    student = build_network(config.network, config.network_options)
    assert isinstance(student, SHM)
    assert isinstance(student.t_net, MobileTNet)
    student.t_net.encoder.widths[-1] = 100
    phase = config.phase("t_net")
    assert phase.teacher is not None
    with pytest.raises(InputError, match="features of different widths"):
        distillation_job(student, phase, phase.teacher)
