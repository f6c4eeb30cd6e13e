"""A T-Net with fewer channels inside its blocks."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from realtime_matting.errors import InputError, OutputError
from train.checkpoints import Checkpoint, load_network, save_checkpoint
from train.config import TrainConfig
from train.networks import build_network
from train.networks.shm import SHM
from train.networks.tnet_mobile import LITE0, Encoder, InvertedResidual, MobileTNet, with_hidden
from train.thin import app, thin

FULL = [32, 96, 144, 144, 240, 240, 480, 480, 480, 672, 672, 672, 1152, 1152, 1152, 1152]
THIN = [32, 48, 64, 144, 96, 240, 0, 128, 480, 336, 0, 672, 64, 0, 1152, 576]
QUIET = 300
"""Channels of the last block that give next to nothing in `trained`."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose last block takes up some of its hidden channels hardly at all."""
    torch.manual_seed(1)
    network = build_network("shm-mobile", {"trimap_long_side": 96})
    assert isinstance(network, SHM)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    with torch.no_grad():
        _last(network)[0].weight[:, -QUIET:] *= 1e-4
    folder = tmp_path_factory.mktemp("trained") / "last"
    about = Checkpoint("shm-mobile", "end_to_end", 7, {"seed": 1}, {}, {"trimap_long_side": 96})
    save_checkpoint(folder, about, network.state_dict(), None, None)
    return folder


def _blocks(network: nn.Module) -> list[InvertedResidual]:
    return [module for module in network.modules() if isinstance(module, InvertedResidual)]


def _last(network: nn.Module) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """The last block's last convolution and its norm."""
    convolution, norm = [module for module in _blocks(network)[-1].modules() if not list(module.children())][-2:]
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return convolution, norm


def _logits(folder: Path) -> torch.Tensor:
    network, _ = load_network(folder)
    assert isinstance(network, SHM)
    picture = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return network.trimap_logits(picture)


def _widths(folder: Path) -> list[int]:
    widths = []
    for block in _blocks(load_network(folder)[0]):
        convolutions = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
        widths.append(convolutions[-1].in_channels if convolutions else 0)
    return widths


def test_the_checkpoint_has_the_widths_asked_for_and_says_so(trained: Path, toy_file: Path, tmp_path: Path) -> None:
    widths = ",".join(map(str, THIN))
    options = ["--config", str(toy_file), "--hidden", widths, "--out", str(tmp_path / "thin"), "--samples", "4"]
    done = CliRunner().invoke(app, [str(trained), *options])
    assert done.exit_code == 0, done.output
    assert _widths(tmp_path / "thin") == THIN
    _, about = load_network(tmp_path / "thin")
    assert about.options == {"trimap_long_side": 96, "trimap_hidden": THIN}
    assert about.config["thinned_from"] == str(trained)


def test_at_the_widths_that_it_has_nothing_changes(trained: Path, toy_config: TrainConfig, tmp_path: Path) -> None:
    thin(trained, toy_config, FULL, tmp_path / "same", samples=2)
    assert torch.equal(_logits(tmp_path / "same"), _logits(trained))


def test_channels_that_are_hardly_taken_up_go_first(trained: Path, toy_config: TrainConfig, tmp_path: Path) -> None:
    picture = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    lost = []
    for width in (FULL[-1] - QUIET, FULL[-1] - 3 * QUIET):
        thin(trained, toy_config, [*FULL[:-1], width], tmp_path / str(width), samples=4)
        with torch.no_grad():
            whole, less = (_encoded(load_network(folder)[0], picture) for folder in (trained, tmp_path / str(width)))
        lost.append(((less - whole).norm() / whole.std() / whole.numel() ** 0.5).item())
    assert lost[0] < 1e-3
    assert lost[1] > 10 * lost[0]


def test_what_goes_leaves_its_mean(trained: Path, toy_config: TrainConfig, tmp_path: Path) -> None:
    """A block's output moves less in the mean than without that, also where much is taken away."""
    hidden = [*FULL[:-1], 64]
    thin(trained, toy_config, hidden, tmp_path / "thin", samples=16)
    whole, less = (load_network(folder)[0] for folder in (trained, tmp_path / "thin"))
    unshifted, shifted = (dict(_last(network)[1].named_buffers())["running_mean"] for network in (whole, less))
    picture = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        expected = _encoded(whole, picture).mean(dim=(0, 2, 3))
        apart = (_encoded(less, picture).mean(dim=(0, 2, 3)) - expected).abs().mean()
        assert not torch.equal(shifted, unshifted)
        shifted.copy_(unshifted)
        without = (_encoded(less, picture).mean(dim=(0, 2, 3)) - expected).abs().mean()
    assert apart < 0.5 * without


def _encoded(network: nn.Module, picture: torch.Tensor) -> torch.Tensor:
    encoder = next(module for module in network.modules() if isinstance(module, Encoder))
    features: list[torch.Tensor] = encoder(picture)
    return features[-1]


@pytest.mark.parametrize(
    ("hidden", "why"),
    [
        ([32, 96], "16 widths, one for each block, not 2"),
        ([16, *FULL[1:]], "block 0 has no convolution before its own, so 32, not 16"),
        ([*FULL[:-1], 0], "block 15 changes size or width, so more than 0, not 0"),
        ([*FULL[:2], -8, *FULL[3:]], "block 2 changes size or width, so more than 0, not -8"),
        ([*FULL[:-1], 1160], "has 1152 hidden channels, so 1160 cannot be cut out of it"),
    ],
)
def test_widths_that_blocks_cannot_have_are_told_in_one_line(
    hidden: Sequence[int], why: str, trained: Path, toy_config: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=why):
        thin(trained, toy_config, hidden, tmp_path / "out", samples=2)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_thinned_is_told_in_one_line(
    trained: Path, toy_config: TrainConfig, toy_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "u2netp"
    save_checkpoint(other, Checkpoint("u2netp", "fine", 1, {}), build_network("u2netp").state_dict(), None, None)
    with pytest.raises(InputError, match="u2netp has no light T-Net"):
        thin(other, toy_config, FULL, tmp_path / "out", samples=2)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        thin(trained, toy_config, FULL, tmp_path / "file" / "out", samples=2)
    options = ["--config", str(toy_file), "--hidden", "32,many", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [str(trained), *options])
    assert isinstance(done.exception, InputError)
    assert "write numbers with commas" in str(done.exception)


def test_a_block_without_hidden_channels_hands_on_what_it_is_given() -> None:
    torch.manual_seed(2)
    shape = with_hidden(LITE0, [*FULL[:12], 0, 0, 0, FULL[15]])
    t_net = MobileTNet(shape).eval()
    x = torch.rand(1, 192, 2, 3)
    for block in list(t_net.encoder.blocks)[12:15]:
        assert block(x) is x
    assert t_net(torch.rand(1, 3, 40, 70)).shape == (1, 3, 40, 70)
