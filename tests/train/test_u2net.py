import pytest
import torch

from train.networks.u2net import RSU, RSU4F, U2Net, U2NetP, conv


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("network", "count"), [(U2Net, 44_009_869), (U2NetP, 1_131_181)])
def test_the_networks_have_the_published_number_of_parameters(network, count):
    with torch.device("meta"):
        assert parameters(network()) == count


@pytest.fixture(scope="module")
def small() -> U2NetP:
    torch.manual_seed(0)
    return U2NetP().eval()


@pytest.mark.parametrize("size", [(32, 64), (33, 50), (1, 1)])
@torch.no_grad()
def test_any_size_gives_seven_maps_of_that_size(small, size):
    outputs = small(torch.rand(1, 3, *size))
    assert [tuple(o.shape) for o in outputs] == [(1, 1, *size)] * 7
    assert all(torch.isfinite(o).all() for o in outputs)


@torch.no_grad()
def test_the_first_output_fuses_the_six_sides(small):
    fused, *sides = small(torch.rand(1, 3, 32, 32))
    weight = small.fuse.weight.flatten()
    by_hand = sum(w * side for w, side in zip(weight, sides, strict=True)) + small.fuse.bias
    torch.testing.assert_close(fused, by_hand)


def test_every_parameter_learns():
    network = U2NetP()
    sum(o.square().mean() for o in network(torch.rand(2, 3, 64, 64))).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_the_blocks_of_the_full_network_fit_together():
    with torch.device("meta"):
        assert [o.shape for o in U2Net()(torch.rand(1, 3, 320, 288))] == [(1, 1, 320, 288)] * 7


@torch.no_grad()
def test_a_pixel_of_the_input_reaches_every_pixel_of_the_output(small):
    rgb = torch.rand(1, 3, 32, 32)
    changed = rgb.clone()
    changed[..., 0, 0] += 5
    assert (small(rgb)[0] != small(changed)[0]).all()


@pytest.mark.parametrize(("block", "layers"), [(RSU(7, 8, 4, 8), 14), (RSU(4, 8, 4, 8), 8), (RSU4F(8, 4, 8), 8)])
def test_a_block_of_height_l_has_two_l_convolutions(block, layers):
    assert sum(isinstance(m, torch.nn.Conv2d) for m in block.modules()) == layers
    assert block(torch.rand(2, 8, 16, 24)).shape == (2, 8, 16, 24)


def test_rsu4f_dilates_like_figure_five():
    assert [m.dilation[0] for m in RSU4F(8, 4, 8).modules() if isinstance(m, torch.nn.Conv2d)] == [
        1,
        1,
        2,
        4,
        8,
        4,
        2,
        1,
    ]


def test_a_block_adds_what_entered_it():
    block = RSU(4, 3, 4, 3).eval()
    torch.nn.init.zeros_(block.up[-1][1].weight)  # silence the inner U's last batch norm
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(block(x), block.enter(x))
    assert isinstance(conv(3, 3)[1], torch.nn.BatchNorm2d)
