import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from train.networks.pspnet import DilatedResNet50, PSPNet, average_bins, load_imagenet


@pytest.fixture(scope="module")
def network() -> PSPNet:
    torch.manual_seed(0)
    return PSPNet().eval()


@pytest.mark.parametrize("size", [(32, 48), (17, 26), (1, 1)])
@torch.no_grad()
def test_any_size_gives_three_logits_of_that_size(network, size):
    logits = network(torch.rand(1, 3, *size))
    assert logits.shape == (1, 3, *size)
    assert torch.isfinite(logits).all()


@torch.no_grad()
def test_the_encoder_keeps_features_at_stride_eight(network):
    assert network.encoder(torch.rand(1, 3, 64, 96)).shape == (1, 2048, 8, 12)


def test_the_encoder_has_as_many_parameters_as_resnet50_without_its_classifier():
    with torch.device("meta"):
        assert sum(p.numel() for p in DilatedResNet50().parameters()) == 25_557_032 - (2048 * 1000 + 1000)


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 3, 6]))
def test_region_means_are_those_of_adaptive_pooling(height, width, bins):
    x = torch.rand(2, 3, height, width)
    torch.testing.assert_close(average_bins(x, bins), F.adaptive_avg_pool2d(x, bins))


def test_every_parameter_learns():
    network = PSPNet()
    network(torch.rand(2, 3, 32, 32)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def resnet50_names() -> set[str]:
    """The 320 names of a ResNet-50 state dict, from its stages."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {"conv1.weight", "fc.weight", "fc.bias", *(f"bn1.{n}" for n in norm)}
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            for i in (1, 2, 3):
                names |= {f"{at}.conv{i}.weight", *(f"{at}.bn{i}.{n}" for n in norm)}
            if block == 0:
                names |= {f"{at}.downsample.0.weight", *(f"{at}.downsample.1.{n}" for n in norm)}
    return names


def imagenet_weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)} | DilatedResNet50().state_dict()


def test_imagenet_weights_of_the_common_names_are_loaded():
    weights = imagenet_weights()
    assert len(weights) == 320
    assert weights.keys() == resnet50_names()
    network = PSPNet()
    load_imagenet(network, weights)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.encoder.state_dict().items())


@pytest.mark.parametrize("change", [{"conv1.weight": torch.zeros(64, 3, 3, 3)}, {"layer5.weight": torch.zeros(1)}])
def test_other_weights_are_refused_in_one_line(change):
    with pytest.raises(ValueError, match="not the weights of a ResNet-50") as caught:
        load_imagenet(PSPNet(), imagenet_weights() | change)
    assert "\n" not in str(caught.value)
