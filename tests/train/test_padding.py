"""Padding to a network's stride."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.matting.networks import pad
from train.networks.padding import pad_to_stride


@given(height=st.integers(1, 40), width=st.integers(1, 40), stride=st.sampled_from([2, 8, 16, 32]))
def test_training_pads_as_the_runtime_mirrors(height: int, width: int, stride: int) -> None:
    picture = np.random.default_rng(height).random((height, width, 3), np.float32)
    padded = pad_to_stride(torch.from_numpy(picture).permute(2, 0, 1)[None], stride)[0].permute(1, 2, 0).numpy()
    assert padded.shape == (-(-height // stride) * stride, -(-width // stride) * stride, 3)
    np.testing.assert_array_equal(padded, pad(picture, (padded.shape[1], padded.shape[0]), mirrored=True))


@pytest.mark.parametrize("size", [(32, 64), (96, 32)])
def test_what_fits_is_left_as_it_is(size: tuple[int, int]) -> None:
    picture = torch.rand(1, 3, *size)
    assert pad_to_stride(picture, 32) is picture
