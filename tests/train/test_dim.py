"""Deep Image Matting: the network, its variants, and the four stages of its recipe."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from realtime_matting.errors import InputError
from train.checkpoints import load_network, read_checkpoint
from train.config import TrainConfig, load_config
from train.networks.dim import DIM, LearnedBilinear
from train.networks.pooling import MaxPool
from train.recipes.dim import stage_losses, start, train_dim, unknown_figures

WIDTHS = (8, 8, 12, 16, 16)
UPSAMPLINGS = ("unpooling", "bilinear", "learned_bilinear", "deconvolution")


def toy(**options: object) -> DIM:
    torch.manual_seed(0)
    return DIM(widths=WIDTHS, **options)  # type: ignore[arg-type]


def toy_batch() -> dict[str, Tensor]:
    """A disc with a soft edge before noise; the edge is unknown."""
    torch.manual_seed(1)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    alpha = ((24 - torch.hypot(x - 32, y - 32)) / 16).clamp(0, 1).expand(2, 1, 64, 64)
    foreground, background = torch.rand(2, 3, 1, 1).expand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    trimap = torch.where(alpha[:, 0] >= 1, 2, torch.where(alpha[:, 0] > 0, 1, 0))
    image = alpha * foreground + (1 - alpha) * background
    return {"image": image, "alpha": alpha, "foreground": foreground, "background": background, "trimap": trimap}


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [m for m in module.modules() if isinstance(m, nn.Conv2d)]


def test_the_papers_network_has_14_plus_6_convolutions_and_5_poolings_and_a_head_of_4() -> None:
    with torch.device("meta"):
        network = DIM(bottleneck=7)
    model = network.encoder_decoder
    assert len(convolutions(model.encoder)) + len(convolutions(model.conv6)) == 14
    assert len(convolutions(model.deconv6)) + len(convolutions(model.decoder)) == 6
    assert len(model.pools) == len(model.upsamplings) == 5
    assert len(convolutions(network.refinement)) == 4
    assert model.conv6[0].weight.shape == (4096, 512, 7, 7)
    assert [layer[0].out_channels for layer in model.decoder] == [512, 256, 128, 64, 64]


def test_unpooling_uses_the_positions_of_the_maxima() -> None:
    class Shuffled(MaxPool):
        """Claims that every maximum stood in the other column of its window."""

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            pooled, indices = super().forward(x)
            return pooled, indices ^ 1

    network = toy().eval()
    rgb, trimap = torch.randn(1, 3, 32, 32), torch.full((1, 1, 32, 32), 0.5)
    with torch.no_grad():
        right = network(rgb, trimap).raw
        for level in range(5):
            kept, network.encoder_decoder.pools[level] = network.encoder_decoder.pools[level], Shuffled()
            assert (right - network(rgb, trimap).raw).abs().max() > 1e-4
            network.encoder_decoder.pools[level] = kept


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("bottleneck", [1, 3, 7])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_every_variant_gives_two_alphas_of_the_pictures_size_and_all_of_it_learns(
    upsampling: str, bottleneck: int, batch_norm: bool
) -> None:
    network = toy(upsampling=upsampling, bottleneck=bottleneck, batch_norm=batch_norm)
    network.refinement.predict.weight.data.fill_(0.1)  # at zero it would pass no gradient on
    raw, refined = network(torch.randn(2, 3, 64, 64), torch.rand(2, 1, 64, 64))
    assert raw.shape == refined.shape == (2, 1, 64, 64)
    (raw + refined).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_every_upsampling_learns_a_fixed_batch(upsampling: str) -> None:
    losses = losses_on_a_fixed_batch(toy(upsampling=upsampling, batch_norm=True), stage=1)
    assert losses[-1] < 0.8 * losses[0]


def losses_on_a_fixed_batch(network: DIM, stage: int, steps: int = 20) -> list[float]:
    """Losses of a stage over steps, from the weights given, at a rate for toys."""
    batch = toy_batch()
    parts = {0: [network.encoder_decoder], 1: [network.encoder_decoder], 2: [network.refinement], 3: [network]}[stage]
    network.train().requires_grad_(False)
    for part in parts:
        part.requires_grad_(True)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(steps):
        rgb = (batch["image"] - 0.45) / 0.225
        alpha = network(rgb, batch["trimap"][:, None].float() / 2)[int(stage >= 2)]
        loss = stage_losses(alpha, batch, 0.5 if stage == 1 else 1.0)["total"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_the_loss_of_every_stage_falls_on_a_fixed_batch(stage: int) -> None:
    losses = losses_on_a_fixed_batch(toy(), stage)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (5, 70)])
def test_any_size_works_and_comes_back(size: tuple[int, int]) -> None:
    with torch.no_grad():
        for alpha in toy().eval()(torch.randn(1, 3, *size), torch.rand(1, 1, *size)):
            assert alpha.shape == (1, 1, *size)


def test_padding_mirrors_at_the_bottom_and_right_edges_and_is_cut_off_again() -> None:
    network = toy().eval()
    rgb, trimap = torch.randn(1, 3, 60, 50), torch.rand(1, 1, 60, 50)
    padded = [nn.functional.pad(x, (0, 14, 0, 4), mode="reflect") for x in (rgb, trimap)]
    with torch.no_grad():
        assert torch.equal(network(rgb, trimap).raw, network(*padded).raw[..., :60, :50])


def test_learned_bilinear_begins_as_bilinear() -> None:
    x = torch.rand(1, 5, 6, 7)
    expected = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    with torch.no_grad():
        assert torch.allclose(LearnedBilinear(5)(x, None)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-6)


def test_a_new_head_changes_nothing_and_refined_alpha_stays_in_range_in_both_modes() -> None:
    network = toy()
    rgb, trimap = torch.randn(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
    raw, refined = network(rgb, trimap)
    assert torch.equal(raw, refined)
    network.refinement.predict.bias.data.fill_(2.0)
    for training in (True, False):
        refined = network.train(training)(rgb, trimap).refined
        assert torch.equal(refined, torch.ones_like(refined))


def test_an_alpha_above_one_still_learns_to_come_down() -> None:
    network = toy().train()
    network.refinement.predict.bias.data.fill_(2.0)
    network(torch.randn(1, 3, 32, 32), torch.rand(1, 1, 32, 32)).refined.sum().backward()
    assert network.refinement.predict.bias.grad.item() == pytest.approx(32 * 32)


@pytest.mark.parametrize(
    "options", [{"upsampling": "nearest"}, {"bottleneck": 5}, {"widths": (8, 8)}], ids=lambda o: next(iter(o))
)
def test_an_unknown_option_is_refused_by_name(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        DIM(**options)  # type: ignore[arg-type]


def test_validation_looks_at_the_unknown_region_on_deep_image_mattings_scale() -> None:
    batch = toy_batch()
    unknown = (batch["trimap"] == 1)[:, None]
    wrong = torch.where(unknown, (batch["alpha"] - 0.25).abs(), 0.7)  # what lies outside must not count
    error = ((wrong - batch["alpha"]).abs() * unknown)[0]
    figures = unknown_figures(wrong, batch)
    assert figures["sad"] == pytest.approx(error.sum().item() / 1000, rel=1e-5)
    assert figures["mse"] == pytest.approx((error.square().sum() / unknown[0].sum()).item(), rel=1e-5)


def vgg_file(folder: Path, network: DIM) -> Path:
    """A VGG16-BN state dict of the toy's widths."""
    torch.manual_seed(2)
    tensors, number = {}, 0
    for index, layer in enumerate(convolutions(network.encoder_decoder.encoder)):
        out, cin = layer.weight.shape[:2]
        tensors[f"features.{number}.weight"] = torch.randn(out, 3 if index == 0 else cin, 3, 3) * 0.1
        tensors[f"features.{number}.bias"] = torch.randn(out)
        for name in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"features.{number + 1}.{name}"] = torch.rand(out) + 0.5
        number += 3
    save_file(tensors, folder / "vgg16_bn.safetensors")
    return folder / "vgg16_bn.safetensors"


@pytest.fixture(scope="module")
def config(toy_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Four tiny phases with batch norm, started from a made-up VGG16-BN, measured on a picture in files as well."""
    folder = tmp_path_factory.mktemp("dim")
    for kind in ("input", "trimap", "gt"):
        (folder / "benchmark" / kind).mkdir(parents=True)
    y, x = np.mgrid[:40, :50]
    alpha = np.clip((18 - np.hypot(x - 25, y - 20)) * 25, 0, 255).astype(np.uint8)
    cv2.imwrite(str(folder / "benchmark/input/GT01.png"), np.repeat(alpha[..., None], 3, 2))
    cv2.imwrite(str(folder / "benchmark/gt/GT01.png"), alpha)
    trimap = np.where(alpha == 255, 255, np.where(alpha > 0, 128, 0)).astype(np.uint8)
    cv2.imwrite(str(folder / "benchmark/trimap/GT01.png"), trimap)
    settings = toy_config.model_dump()
    phase = settings["phases"]["m_net"] | {
        "learning_rate": 1e-3, "crops": [64, 96], "optimizer": "adam", "schedule": "step", "decay_every": 10,
        "validate_every": 20, "validate_on": folder / "benchmark", "erosion": [1, 3], "dilation": [1, 3],
    }  # fmt: skip
    begin = {"start": "vgg16", "start_file": vgg_file(folder, toy())}
    settings["network"] = "dim"
    settings["network_options"] = {"widths": WIDTHS, "batch_norm": True}
    settings["phases"] = {"stage0": phase | begin, "stage1": phase | begin, "stage2": phase, "stage3": phase}
    return TrainConfig.model_validate(settings)


@pytest.fixture(scope="module")
def trained(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four stages, 20 steps each."""
    out = tmp_path_factory.mktemp("run")
    for stage in range(4):
        train_dim(config, stage, out, resume=False, steps=None, device="cpu")
    return out


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def test_every_stage_keeps_a_checkpoint_that_loads_as_the_variant_it_was(trained: Path) -> None:
    for stage in range(4):
        about = read_checkpoint(trained / f"stage{stage}" / "last")
        assert (about.phase, about.step) == (f"stage{stage}", 20)
        assert {"sad", "mse", "alphamatting_sad", "alphamatting_mse"} <= about.metrics.keys()
        network, _ = load_network(trained / f"stage{stage}" / "best")
        with torch.no_grad():
            assert network(torch.randn(1, 3, 40, 40), torch.rand(1, 1, 40, 40)).refined.shape == (1, 1, 40, 40)


def test_stage_2_changes_only_the_refinement(trained: Path) -> None:
    before, after = weights(trained / "stage1/best"), weights(trained / "stage2/last")
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("refinement.") for name in changed)
    assert any("running_mean" in name for name in before), "batch norm is what could have changed"


def test_stages_0_and_1_leave_the_refinement_alone_and_stage_3_changes_everything(trained: Path) -> None:
    zero, one, two, three = (weights(trained / f"stage{stage}/last") for stage in range(4))
    heads = {name for name in zero if name.startswith("refinement.")}
    assert all(torch.equal(zero[name], one[name]) for name in heads)
    assert all(not torch.equal(two[name], value) for name, value in three.items() if "num_batches" not in name)


def test_stage_1_says_what_it_starts_from(config: TrainConfig, trained: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    train_dim(config, 1, tmp_path, resume=False, steps=1, device="cpu")
    assert "vgg16_bn.safetensors (conv6 from random weights)" in capsys.readouterr().out
    (tmp_path / "stage0").symlink_to(trained / "stage0")
    train_dim(config, 1, tmp_path, resume=False, steps=1, device="cpu")
    assert f"stage1 starts from {tmp_path / 'stage0' / 'best'}\n" in capsys.readouterr().out


def test_a_bottleneck_of_7_starts_from_the_first_fully_connected_layer(config: TrainConfig, tmp_path: Path) -> None:
    network = toy(bottleneck=7)
    tensors = load_file(vgg_file(tmp_path, network))
    tensors["classifier.0.weight"] = torch.randn(8 * WIDTHS[-1], WIDTHS[-1] * 7 * 7)
    tensors["classifier.0.bias"] = torch.randn(8 * WIDTHS[-1])
    save_file(tensors, tmp_path / "vgg16.safetensors")
    phase = config.phase("stage1").model_copy(update={"start_file": tmp_path / "vgg16.safetensors"})
    assert start(network, 1, phase, tmp_path).endswith("(conv6 from its fc6)")
    assert torch.equal(network.encoder_decoder.conv6[0].bias, tensors["classifier.0.bias"])
    assert start(toy(bottleneck=3), 1, phase, tmp_path).endswith("(conv6 from random weights)")


@pytest.mark.parametrize(("stage", "needed"), [(2, 1), (3, 2)])
def test_the_later_stages_ask_for_the_stage_before(
    config: TrainConfig, tmp_path: Path, stage: int, needed: int
) -> None:
    for resume in (False, True):
        with pytest.raises(InputError, match=f"train stage {needed} before stage {stage}"):
            train_dim(config, stage, tmp_path, resume=resume, steps=1, device="cpu")


def test_a_start_that_cannot_be_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    def with_start(stage: int, start: str) -> TrainConfig:
        phase = config.phase(f"stage{stage}").model_copy(update={"start": start})
        return config.model_copy(update={"phases": {**config.phases, f"stage{stage}": phase}})

    with pytest.raises(InputError, match="starts from vgg16"):
        train_dim(with_start(0, "imagenet"), 0, tmp_path, resume=False, steps=1, device="cpu")
    with pytest.raises(InputError, match="remove its start"):
        train_dim(with_start(2, "vgg16"), 2, tmp_path, resume=False, steps=1, device="cpu")


def test_a_resumed_stage_ends_as_an_uninterrupted_one(config: TrainConfig, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "stage1").symlink_to(trained / "stage1")
    train_dim(config, 2, tmp_path, resume=False, steps=10, device="cpu")
    train_dim(config, 2, tmp_path, resume=True, steps=None, device="cpu")
    whole, resumed = weights(trained / "stage2/last"), weights(tmp_path / "stage2/last")
    assert all(torch.allclose(value, resumed[name], atol=1e-6) for name, value in whole.items())


def test_the_shipped_configuration_has_all_stages_and_names_the_missing_vgg16(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "configs/train/dim.yaml"
    config = load_config(path, [f"phases.stage1.start_file={tmp_path / 'vgg16.pth'}"], recipe="dim")
    assert list(config.phases) == ["stage0", "stage1", "stage2", "stage3"]
    assert config.phase("stage1").crops == (320, 480, 640)
    with pytest.raises(InputError, match=r"vgg16\.pth: no such file"):
        train_dim(config, 1, tmp_path, resume=False, steps=1, device="cpu")
