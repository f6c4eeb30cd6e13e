import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn

from export.unpooling import REWRITES, has_unpooling, index_free
from train.networks.pooling import MaxPool, MaxUnpool

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
FEW_VALUES = st.sampled_from([0.0, -0.0, 1.0, -1.0, float("inf"), -float("inf"), 0.5, 65504.0, 1e-7])
ANY_VALUES = st.floats(width=32, allow_nan=False)


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))


@st.composite
def pictures_and_values(draw) -> tuple[Tensor, Tensor]:
    """What is pooled (ties are common), and what is unpooled at its maxima."""
    n, c, h, w = draw(shapes())
    values = draw(st.sampled_from([FEW_VALUES, ANY_VALUES]))
    picture = draw(hnp.arrays(np.float32, (n, c, 2 * h, 2 * w), elements=values))
    return torch.from_numpy(picture), torch.from_numpy(draw(hnp.arrays(np.float32, (n, c, h, w), elements=values)))


def bits(x: Tensor) -> Tensor:
    """The bit patterns, so that −0 and 0 differ."""
    return x.contiguous().view(torch.int32 if x.dtype == torch.float32 else torch.int16)


def assert_exact(rewrite: str, x: Tensor, values: Tensor) -> None:
    pooled, indices = F.max_pool2d(x, 2, return_indices=True)
    pool, unpool = (part() for part in REWRITES[rewrite])
    own_pooled, winners = pool(x)
    # Only the sign of a zero maximum may differ: max(−0, 0) has no defined sign.
    assert torch.equal(own_pooled, pooled)
    assert torch.equal(bits(unpool(values, winners)), bits(F.max_unpool2d(values, indices, 2)))


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("dtype", DTYPES)
@given(data=pictures_and_values())
def test_both_rewrites_are_bit_exact(rewrite, dtype, data):
    x, values = (t.to(dtype) for t in data)
    assert_exact(rewrite, x, values)
    assert_exact(rewrite, x.relu(), values)


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_sixteen_patterns_of_ties_are_bit_exact(rewrite, dtype):
    patterns = torch.tensor([[(i >> b) & 1 for b in range(4)] for i in range(16)], dtype=dtype)
    x = patterns.reshape(16, 1, 2, 2)
    for picture in (x, -x, x * 0, x - 5, torch.where(x == 1, torch.inf, x), torch.where(x == 1, -torch.inf, x)):
        assert_exact(rewrite, picture, torch.arange(1, 17).to(dtype).reshape(16, 1, 1, 1))


@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_large_relu_picture_is_bit_exact(rewrite):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 8, 64, 96, generator=generator).relu()
    assert_exact(rewrite, x, torch.randn(1, 8, 32, 48, generator=generator))


class TwoLevels(nn.Module):
    """Encoder and decoder with two levels, the second pair inside a container."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.pool, self.unpool = MaxPool(), MaxUnpool()
        self.inner = nn.ModuleList([MaxPool(), MaxUnpool()])

    def forward(self, x: Tensor) -> Tensor:
        x, first = self.pool(self.conv(x).relu())
        x, second = self.inner[0](x)
        return self.unpool(self.inner[1](x + 1, second), first)


@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_network_gives_the_same_result_after_the_swap(rewrite):
    network = TwoLevels().eval()
    swapped = index_free(network, rewrite)
    assert not has_unpooling(swapped)
    assert has_unpooling(network), "the network itself stays trainable"
    assert network.state_dict().keys() == swapped.state_dict().keys()
    x = torch.randn(2, 3, 8, 12)
    with torch.no_grad():
        assert torch.equal(swapped(x), network(x))


def test_pooling_with_indices_refuses_odd_sizes():
    with pytest.raises(ValueError, match="even sizes, got 4×5"):
        MaxPool()(torch.zeros(1, 1, 4, 5))


def test_unpooling_puts_each_value_where_its_maximum_was():
    x = torch.tensor([[[[1.0, 5.0], [2.0, 3.0]]]])
    pooled, record = MaxPool()(x)
    assert pooled.item() == 5
    assert MaxUnpool()(torch.tensor([[[[7.0]]]]), record).tolist() == [[[[0.0, 7.0], [0.0, 0.0]]]]
