import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from export.frames import Feed
from export.graph_edit import plain_constants
from export.onnx_graph import to_onnx
from export.onnx_session import open_session
from export.rewriting import to_key
from export.roles import RoleNetwork
from export.unpooling import index_free
from export.verify import NEARLY_EQUAL, Agreement
from export.winners import Swaps, count_swaps, find_winners, showing_winners, taking_winners
from train.networks.pooling import MaxPool, MaxUnpool


class Spreads(nn.Module):
    """The channels' sum, pooled and put back where its maxima were."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.unpool = MaxPool(), MaxUnpool()

    def forward(self, rgb: Tensor) -> Tensor:
        return self.unpool(*self.pool(rgb.sum(1, keepdim=True)))


@pytest.fixture(scope="module", params=["up-first", "key"])
def model(request) -> onnx.ModelProto:
    network = RoleNetwork(index_free(Spreads(), request.param).eval(), 2, 32, (0, 0, 0), (1, 1, 1), request.param)
    return plain_constants(to_onnx("alpha", network))


def feed(seed: int = 0) -> Feed:
    return {"rgb": np.random.default_rng(seed).random((1, 3, 8, 12), np.float32)}


def running(model: onnx.ModelProto, change=lambda rgb: rgb):
    """An engine that gives all outputs of ``model`` by name, after ``change`` of what it is given."""
    session = open_session(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, {"rgb": change(inputs["rgb"])}), strict=True))


def test_each_rewrite_shows_one_winner_for_each_window(model):
    assert len(find_winners(model.graph)) == 1
    assert running(showing_winners(model))(feed())["winners.0"].sum() == 4 * 6


def test_a_bundles_graph_shows_them_after_it_was_rewritten(model):
    assert len(find_winners(to_key(model)[0].graph)) == 1


def test_a_graph_that_is_told_its_own_winners_gives_the_same(model):
    found = running(showing_winners(model))(feed())
    told = open_session(taking_winners(model).SerializeToString())
    (alpha,) = told.run(["alpha"], {**feed(), "winners.0": found["winners.0"]})
    np.testing.assert_array_equal(alpha, found["alpha"])


def test_an_engine_that_does_the_same_swaps_nothing(model):
    swaps = count_swaps(model, running(showing_winners(model)), [feed(), feed(1)], "alpha")
    assert swaps == Swaps(0, 48, 0.0, 0.0)


def near_tie() -> Feed:
    """Two pixels of the first window one float apart, and every other window clear."""
    rgb = np.zeros((1, 3, 4, 4), np.float32)
    rgb[:, 0, ::2, ::2] = 0.5
    rgb[:, 0, 0, 1] = np.nextafter(np.float32(0.5), np.float32(1))
    return {"rgb": rgb}


def test_a_swap_of_pixels_one_float_apart_is_all_that_differs(model):
    def other_rounding(rgb):
        changed = rgb.copy()
        changed[:, 0, 0, 1] = 0.5  # now a tie, which the first pixel wins
        return changed

    engine = running(showing_winners(model), other_rounding)
    swaps = count_swaps(model, engine, [near_tie()], "alpha")
    assert (swaps.swapped, swaps.windows) == (1, 4)
    assert 0 < swaps.gap < NEARLY_EQUAL
    assert swaps.rest < 1e-6
    plain, other = running(model)(near_tie())["alpha"], running(model, other_rounding)(near_tie())["alpha"]
    assert np.abs(plain - other).max() == pytest.approx(0.5), "the value itself is in another place"
    largest = Agreement("E", "fp32", 0.5, 1e-5, 0.9, True, 1e-5, swaps)
    assert largest.is_good
    assert "1 of 4 windows have another winner" in str(largest)


def test_an_engine_that_computes_something_else_is_caught(model):
    wrong = running(showing_winners(model), lambda rgb: rgb * np.float32(1.001))
    assert count_swaps(model, wrong, [feed()], "alpha").rest > 1e-4
    mirrored = count_swaps(model, running(showing_winners(model), lambda rgb: rgb[..., ::-1]), [feed()], "alpha")
    assert mirrored.gap > NEARLY_EQUAL
    assert not Agreement("E", "fp32", 1e-5, 1e-6, 1.0, True, 1e-6, mirrored).is_good


def test_pytorch_itself_swaps_winners_between_float32_and_float64():
    """Why the largest error of a network that unpools can have no bound: its reference has the same ties."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(64, 8, 3, padding=1, bias=False).eval()
    # A flat picture with noise of the size of rounding, as walls and skies are.
    x = (torch.rand(1, 64, 1, 1) + 1e-7 * torch.randn(1, 64, 64, 64)).float()
    with torch.inference_mode():
        _, single = nn.functional.max_pool2d(convolution(x), 2, return_indices=True)
        _, double = nn.functional.max_pool2d(convolution.double()(x.double()), 2, return_indices=True)
    assert (single != double).any()
