"""A small Semantic Human Matting network, as a checkpoint on disk."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from export.networks import ExportSource, open_export_source
from train.checkpoints import Checkpoint, save_checkpoint
from train.networks import NETWORKS
from train.networks.mnet import MNet
from train.networks.shm import SHM


class SmallTNet(nn.Module):
    """Two convolutions, the second at half size."""

    stride, mean, std = 2, (0.5, 0.5, 0.5), (0.5, 0.25, 0.2)

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))

    def forward(self, rgb: Tensor) -> Tensor:
        return nn.functional.interpolate(self.layers(rgb), scale_factor=2.0, mode="bilinear", align_corners=False)


def make_lively(network: nn.Module) -> nn.Module:
    """Weights and batch norm statistics that make every layer matter, unlike those a new network has."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -0.1, 0.1, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return network.eval()


def small_shm() -> SHM:
    m_net = MNet((4, 6, 6, 6, 8), (1, 1, 1, 1, 1), decoder_kernel=3, skips=True)
    return SHM(SmallTNet(), m_net, trimap_long_side=65, matting_long_side=100)


@pytest.fixture(scope="session")
def lively() -> Callable[[nn.Module], nn.Module]:
    """:func:`make_lively`."""
    return make_lively


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """These networks are too small to share between threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory) -> Path:
    """Checkpoint folder of the network "small-shm"."""
    folder = tmp_path_factory.mktemp("run") / "best"
    weights = make_lively(small_shm()).state_dict()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "small-shm", small_shm)
        save_checkpoint(folder, Checkpoint("small-shm", "end_to_end", 1, {}), weights, None, None)
        yield folder


@pytest.fixture(scope="session")
def small_source(small_checkpoint) -> ExportSource:
    """Its networks, traced for TensorRT once for all tests."""
    return open_export_source(small_checkpoint)
