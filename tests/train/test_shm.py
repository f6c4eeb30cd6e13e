"""The networks of Semantic Human Matting."""

import pytest
import torch
from torch import nn

from realtime_matting.errors import InputError
from train.networks import build_network
from train.networks.mnet import LIGHT_DEPTHS, LIGHT_WIDTHS, VGG16_WIDTHS, MNet
from train.networks.pooling import MaxPool
from train.networks.shm import SHM, fuse, shm_mobile
from train.networks.tnet_mobile import MobileTNet


def light_mnet() -> MNet:
    torch.manual_seed(0)
    return MNet(LIGHT_WIDTHS, LIGHT_DEPTHS, decoder_kernel=3, skips=True).eval()


def convolutions(module: nn.Module) -> int:
    return sum(isinstance(m, nn.Conv2d) for m in module.modules())


def test_the_papers_m_net_has_13_plus_6_convolutions_and_4_poolings() -> None:
    network = MNet()
    assert convolutions(network.encoder) == 13
    assert convolutions(network.decoder) + 1 == 6
    assert len(network.pools) == len(network.unpools) == 4
    assert [stage[-1][0].out_channels for stage in network.encoder] == list(VGG16_WIDTHS)


def test_the_m_net_uses_the_positions_of_the_maxima() -> None:
    class Shuffled(MaxPool):
        """Claims that every maximum stood in the next column of its window."""

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            pooled, indices = super().forward(x)
            return pooled, indices ^ 1

    network = light_mnet()
    rgb, trimap = torch.rand(1, 3, 32, 32), torch.full((1, 3, 32, 32), 1 / 3)
    with torch.no_grad():
        right = network(rgb, trimap)
        network.pools[0] = Shuffled()
        wrong = network(rgb, trimap)
    assert (right - wrong).abs().max() > 1e-3


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (64, 50)])
def test_any_size_works_and_comes_back(size: tuple[int, int]) -> None:
    network = shm_mobile().eval()
    with torch.no_grad():
        prediction = network(torch.rand(2, 3, *size))
    assert prediction.alpha.shape == (2, 1, *size)
    assert prediction.trimap_logits.shape == (2, 3, *size)
    assert 0 <= prediction.alpha.min() <= prediction.alpha.max() <= 1


def test_padding_mirrors_at_the_bottom_and_right_edges_and_is_cut_off_again() -> None:
    network = MobileTNet().eval()
    rgb = torch.rand(1, 3, 60, 50)
    with torch.no_grad():
        whole = network(nn.functional.pad(rgb, (0, 14, 0, 4), mode="reflect"))
        assert torch.equal(network(rgb), whole[..., :60, :50])


def test_the_t_net_sees_the_picture_at_its_own_size_only() -> None:
    network = shm_mobile().eval()
    network.trimap_long_side = 64
    with torch.no_grad():
        prediction = network(torch.rand(1, 3, 96, 128))
    assert prediction.trimap_logits.shape[-2:] == (48, 64)
    assert prediction.alpha.shape[-2:] == (96, 128)


def test_widths_depths_and_sizes_of_the_light_network_can_be_chosen() -> None:
    network = build_network(
        "shm-mobile",
        {"widths": [8, 16, 16, 24, 24], "depths": [1, 2, 1, 1, 1], "trimap_long_side": 96, "matting_long_side": 128},
    )
    assert isinstance(network, SHM)
    assert [stage[-1][0].out_channels for stage in network.m_net.encoder] == [8, 16, 16, 24, 24]
    assert convolutions(network.m_net.encoder) == 6
    assert (network.trimap_long_side, network.matting_long_side) == (96, 128)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": [8, 16]}, "widths are 5 positive numbers"),
        ({"depths": [1, 1, 0, 1, 1]}, "depths are 5 positive numbers"),
        ({"trimap_long_side": 32}, "trimap_long_side is at least 64"),
        ({"wide": True}, "wide"),
    ],
)
def test_options_that_make_no_network_are_told(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_network("shm-mobile", options)


def test_fusion_keeps_known_regions_exact_and_takes_the_alpha_in_the_unknown_one() -> None:
    trimap = torch.eye(3)[None, :, None]  # three pixels: background, unknown, foreground
    alpha = torch.tensor([[[[0.75, 0.25, 0.125]]]])
    assert fuse(trimap, alpha).flatten().tolist() == [0.0, 0.25, 1.0]


def test_channel_order_is_background_unknown_foreground_from_target_to_alpha() -> None:
    class Says(nn.Module):
        mean, std = (0.0,) * 3, (1.0,) * 3

        def __init__(self, channel: int) -> None:
            super().__init__()
            self.channel = channel

        def forward(self, rgb: torch.Tensor) -> torch.Tensor:
            logits = torch.full_like(rgb, -30.0)
            logits[:, self.channel] = 30.0
            return logits

    rgb = torch.rand(1, 3, 32, 32)
    for channel, expected in ((0, 0.0), (2, 1.0)):
        network = SHM(Says(channel), light_mnet(), trimap_long_side=32, matting_long_side=32)
        with torch.no_grad():
            assert network(rgb).alpha.allclose(torch.tensor(expected))
