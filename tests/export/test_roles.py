import pytest
import torch

from export.roles import roles_of
from realtime_matting.errors import InputError
from train.networks.dim import DIM
from train.networks.shm import shm_mobile


@pytest.fixture(scope="module")
def dim(lively) -> DIM:
    torch.manual_seed(0)
    return lively(DIM(widths=(2, 3, 4, 4, 4)))


@pytest.mark.parametrize(("phase", "counts"), [("stage0", 0), ("stage1", 0), ("stage2", 1), ("stage3", 1)])
@torch.inference_mode()
def test_deep_image_matting_takes_three_probabilities_and_gives_the_alpha_that_its_stage_trained(dim, phase, counts):
    classes = torch.randint(0, 3, (1, 64, 96), generator=torch.Generator().manual_seed(0))
    one_hot = torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2).float()
    rgb = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    role = roles_of(dim, "up-first", phase)["matting"]
    assert (role.stride, role.unpooling) == (32, "up-first")
    raw_and_refined = dim(rgb, classes[:, None].float() / 2)
    assert not torch.equal(*raw_and_refined)
    assert torch.equal(role.module(rgb, one_hot), raw_and_refined[counts])


@torch.inference_mode()
def test_the_light_t_net_answers_at_half_of_its_size_what_its_logits_are_there(lively):
    torch.manual_seed(0)
    network = lively(shm_mobile()).eval()
    t_net = network.t_net
    rgb = torch.randn(1, 3, 64, 96)
    found = roles_of(network, "key")["trimap"].module(rgb)
    assert found.shape == (1, 3, 32, 48)
    torch.testing.assert_close(found, torch.softmax(t_net.half_logits(rgb), dim=1), atol=1e-5, rtol=1e-4)
    doubled = torch.nn.functional.interpolate(t_net.half_logits(rgb), scale_factor=2.0, mode="bilinear")
    torch.testing.assert_close(t_net(rgb), doubled, atol=1e-5, rtol=1e-4)


def test_a_variant_without_unpooling_says_so():
    assert roles_of(DIM(widths=(2, 3, 4, 4, 4), upsampling="bilinear"), "key")["matting"].unpooling == "none"


def test_a_network_of_which_only_a_part_is_trained_is_refused(small_checkpoint):
    from train.checkpoints import load_network

    network, _ = load_network(small_checkpoint)
    with pytest.raises(InputError, match="phase m_net has trained the M-Net alone, and a bundle needs both"):
        roles_of(network, "key", "m_net")
