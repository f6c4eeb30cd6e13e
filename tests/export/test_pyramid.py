import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from torch import nn

from export.engine_job import EngineJob, build_source
from export.graph_edit import plain_constants
from export.networks import ExportedNetwork, ExportSource
from export.onnx_graph import to_onnx
from export.pyramid import averaging_matrix, float_pyramids
from export.roles import RoleNetwork
from train.networks import pspnet


@given(size=st.integers(1, 300), bins=st.sampled_from(pspnet.BINS))
def test_the_matrices_are_those_of_the_network(size, bins):
    like = torch.zeros(1)
    assert torch.equal(averaging_matrix(size, bins, like), pspnet.averaging_matrix(size, bins, like))


class Pyramid(nn.Module):
    """Stride 8, pyramid pooling, one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.pyramid = nn.Conv2d(3, 8, 8, stride=8), pspnet.PyramidPooling(8)
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        x = self.head(self.pyramid(self.encoder(rgb)))
        return nn.functional.interpolate(x, scale_factor=8.0).sigmoid()


def test_the_swap_changes_nothing_and_builds_where_the_original_does_not(tmp_path):
    pytest.importorskip("tensorrt_rtx", reason="pip install 'rtmatte[tensorrt-rtx]' builds real engines here")
    torch.manual_seed(0)
    network = Pyramid().eval()
    rgb = torch.randn(1, 3, 72, 104)
    with torch.inference_mode():
        expected = network(rgb)
        swapped = float_pyramids(network)
        assert torch.equal(swapped(rgb), expected)
    model = plain_constants(to_onnx("alpha", RoleNetwork(swapped, 8, 96, (0, 0, 0), (1, 1, 1), "none")))
    reference = lambda feed: swapped(torch.from_numpy(feed["rgb"])).numpy()  # noqa: E731
    alpha = ExportedNetwork("alpha", model, "0" * 64, 8, (96, 64), (0, 0, 0), (1, 1, 1), "none", reference)
    source = ExportSource("pyramid", "0" * 64, {"alpha": alpha})
    for sizes in ("96x64", "64x32,96x64,128x128"):
        job = EngineJob(flavour="tensorrt_rtx", shapes=[sizes], ranges="," in sizes, out=tmp_path)
        assert build_source(source, job, Console(quiet=True))[0].built is not None
