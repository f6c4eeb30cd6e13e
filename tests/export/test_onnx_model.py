from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import TensorProto, helper
from torch import Tensor, nn
from typer.testing import CliRunner

from export.bundles import ParityError, export_role, read_card, resized
from export.onnx_graph import check_graph, store_weights_as_fp16, to_onnx
from export.onnx_model import app
from export.parity import Difference, compare, parity_sizes, sample_inputs
from export.roles import RoleNetwork, roles_of
from export.unpooling import REWRITES, index_free
from realtime_matting.defaults import DEFAULT_MODEL
from realtime_matting.engines import open_engine
from realtime_matting.errors import EngineError, InputError
from realtime_matting.models import Bundle
from realtime_matting.models.bundle import Card
from train.checkpoints import load_network
from train.networks.pooling import MaxPool, MaxUnpool
from train.networks.pspnet import PyramidPooling
from train.networks.u2net import RSU, RSU4F, NestedU

CARD = {
    "name": "small",
    "version": "1.0.0",
    "licence": "Apache-2.0",
    "description": "A small network.",
    "training_data": [{"name": "none", "licence": "CC0-1.0", "attribution": "random weights"}],
}


@pytest.fixture(scope="module")
def card_file(tmp_path_factory) -> Path:
    """CARD as a file."""
    path = tmp_path_factory.mktemp("card") / "card.yaml"
    path.write_text(yaml.safe_dump(CARD))
    return path


@pytest.fixture(scope="module")
def exported(small_checkpoint, card_file, tmp_path_factory) -> tuple[Bundle, str]:
    """The bundle made by the command line, and what it printed."""
    arguments = [str(small_checkpoint), str(tmp_path_factory.mktemp("out") / "small"), "--card", str(card_file)]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return Bundle.load(Path(arguments[1])), result.output


def test_the_bundle_says_how_each_role_is_fed(exported):
    bundle, _ = exported
    trimap, matting = bundle.roles["trimap"], bundle.roles["matting"]
    assert bundle.manifest.name == "small"
    assert (trimap.stride, trimap.long_side, trimap.unpooling) == (2, 64, "none")
    assert (matting.stride, matting.long_side, matting.unpooling) == (16, 96, "up-first")
    assert trimap.std == (0.5, 0.25, 0.2)
    assert matting.mean == (0.485, 0.456, 0.406)
    assert matting.weights == "fp32"
    assert trimap.padding == matting.padding == "mirror"  # as in training


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@torch.inference_mode()
def test_the_exported_roles_give_what_the_checkpoint_gives_at_any_size(exported, small_checkpoint, engine):
    bundle, _ = exported
    network, _ = load_network(small_checkpoint)
    t_net, m_net = (open_engine(bundle.path(role), engine=engine, precision="f32") for role in ("trimap", "matting"))
    for height, width in [(16, 16), (48, 32), (32, 112)]:
        generator = torch.Generator().manual_seed(height)
        rgb = torch.randn(1, 3, height, width, generator=generator)
        trimap = torch.softmax(network.t_net(rgb), dim=1)
        np.testing.assert_allclose(t_net({"rgb": rgb.numpy()})["trimap"], trimap, atol=1e-5)
        alpha = m_net({"rgb": rgb.numpy(), "trimap": trimap.numpy()})["alpha"]
        np.testing.assert_allclose(alpha, network.m_net(rgb, trimap), atol=1e-4)
        assert alpha.std() > 0.01, "the comparison is of something"


def test_roles_can_be_made_to_see_frames_at_other_sizes(small_checkpoint):
    roles = roles_of(load_network(small_checkpoint)[0], "up-first")
    sides = {role: one.long_side for role, one in resized(roles, {"matting": 160}).items()}
    assert sides == {"trimap": roles["trimap"].long_side, "matting": 160}


def test_a_role_can_be_made_to_see_frames_padded_otherwise(small_checkpoint, tmp_path, card_file):
    call = [str(small_checkpoint), str(tmp_path / "small"), "--card", str(card_file), "--padding"]
    assert CliRunner().invoke(app, [*call, "trimap=repeat"], catch_exceptions=False).exit_code == 0
    assert [one.padding for one in Bundle.load(tmp_path / "small").roles.values()] == ["repeat", "mirror"]
    for wrong, said in (
        ("alpha=repeat", "no such role; it has trimap, matting"),
        ("trimap=zero", "write it as"),
    ):
        with pytest.raises(InputError, match=said):
            CliRunner().invoke(app, [*call, wrong], catch_exceptions=False)


@pytest.mark.parametrize(
    ("sides", "said"), [({"alpha": 64}, "has no role alpha"), ({"matting": 100}, "multiple of 16")]
)
def test_a_size_that_no_role_can_have_is_refused(small_checkpoint, sides, said):
    with pytest.raises(InputError, match=said):
        resized(roles_of(load_network(small_checkpoint)[0], "up-first"), sides)


def test_the_graphs_hold_no_unpooling(exported):
    bundle, _ = exported
    nodes = onnx.load(bundle.path("matting")).graph.node
    assert sum(node.op_type == "MaxPool" for node in nodes) == 8
    assert all(len(node.output) == 1 for node in nodes)
    assert not {node.op_type for node in nodes} & {"ScatterND", "ScatterElements", "MaxUnpool", "BatchNormalization"}


def test_the_printed_comparison_names_role_engine_and_size(exported):
    _, output = exported
    lines = output.splitlines()
    for role, size in (("trimap", "64×36"), ("matting", "96×48")):
        for engine in ("ONNX Runtime CPU f32", "OpenVINO CPU f32"):
            assert any(line.startswith(role) and engine in line and size in line for line in lines)
    assert "trimap + matting, 0.0 MB" in lines[-1]


def test_fp16_weights_halve_the_file_and_change_the_result_little(small_checkpoint, exported):
    network = roles_of(load_network(small_checkpoint)[0], "up-first")["trimap"]
    model = to_onnx("trimap", network)
    narrow = store_weights_as_fp16(model)
    check_graph(narrow)
    types = [tensor.data_type for tensor in narrow.graph.initializer if len(tensor.dims) == 4]
    assert types == [TensorProto.FLOAT16] * 2
    for engine in ("openvino", "onnxruntime"):
        for difference in compare("trimap", network, narrow, engine, "f32"):
            assert 0 < difference.largest < 5e-3


@pytest.mark.parametrize("rewrite", REWRITES)
def test_each_window_has_one_winner_in_the_cpus_own_precision(rewrite, tmp_path):
    class Winners(nn.Module):
        """How many of the 32 channels have their maximum at each pixel; a convolution follows, as in every decoder."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 32, 3, padding=1)
            self.pool, self.unpool = MaxPool(), MaxUnpool()
            self.count = nn.Conv2d(32, 1, 1, bias=False)
            nn.init.ones_(self.count.weight)

        def forward(self, rgb: Tensor) -> Tensor:
            pooled, record = self.pool(self.conv(rgb).relu())
            return self.count(self.unpool(pooled * 0 + 1, record))

    torch.manual_seed(0)
    network = RoleNetwork(index_free(Winners(), rewrite).eval(), 2, 64, (0, 0, 0), (1, 1, 1), rewrite)
    onnx.save(to_onnx("alpha", network), tmp_path / "net.onnx")
    engine = open_engine(tmp_path / "net.onnx", engine="openvino")
    count = engine({"rgb": sample_inputs("alpha", network, 48, 64)["rgb"].numpy()})["alpha"][0, 0]
    assert (count.reshape(24, 2, 32, 2).sum((1, 3)) == 32).all(), engine.name


def test_a_nested_u_is_an_alpha_role_and_runs_at_any_size():
    torch.manual_seed(0)
    blocks = [RSU(3, 3, 4, 4), RSU4F(4, 4, 4)]
    network = NestedU(blocks, [RSU(3, 8, 4, 4)], [4, 4]).eval()
    role = roles_of(network, "up-first")["alpha"]
    assert (role.stride, role.long_side, role.unpooling) == (32, 320, "none")
    rgb = torch.rand(1, 3, 64, 32)
    with torch.inference_mode():
        assert torch.equal(role.module(rgb), torch.sigmoid(network(rgb)[0]))
    model = to_onnx("alpha", role)
    assert all(d.is_small(unpooling=False) for d in compare("alpha", role, model, "onnxruntime", "f32"))


class OnePyramid(nn.Module):
    """Stride 8, pyramid pooling, and back to full size, as in the PSPNet."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.pyramid, self.head = nn.Conv2d(3, 8, 8, stride=8), PyramidPooling(8), nn.Conv2d(16, 1, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        return nn.functional.interpolate(self.head(self.pyramid(self.encoder(rgb))), scale_factor=8.0).sigmoid()


def test_pyramid_pooling_exports_with_a_free_size():
    torch.manual_seed(0)
    network = RoleNetwork(OnePyramid().eval(), 8, 96, (0, 0, 0), (1, 1, 1), "none")
    model = to_onnx("alpha", network)
    check_graph(model)
    assert all(d.is_small(unpooling=False) for d in compare("alpha", network, model, "openvino", "f32"))


def test_a_graph_of_other_weights_is_not_written(monkeypatch, small_checkpoint):
    network, _ = load_network(small_checkpoint)
    role = roles_of(network, "up-first")["trimap"]
    model = to_onnx("trimap", role)
    with torch.no_grad():
        role.module.t_net.layers[0].weight += 0.01
    monkeypatch.setattr("export.bundles.to_onnx", lambda *_: model)
    with pytest.raises(ParityError, match="the trimap network does not give in onnxruntime what PyTorch gives"):
        export_role("trimap", role, "fp32", lambda _: None)


def test_swapped_winners_are_tolerated_only_where_there_are_any():
    def difference(largest: float, mean: float, within: float) -> Difference:
        return Difference("engine", 8, 8, largest, mean, within)

    assert difference(9e-5, 1e-5, 1.0).is_small(unpooling=False)
    assert not difference(2e-4, 1e-5, 0.999).is_small(unpooling=False)
    assert difference(5e-2, 1e-5, 0.999).is_small(unpooling=True)
    assert not difference(5e-2, 2e-4, 0.999).is_small(unpooling=True)
    assert not difference(5e-4, 1e-5, 0.98).is_small(unpooling=True)


def graph_of(operator: str, outputs: list[str], *, domain: str = "", **attributes) -> onnx.ModelProto:
    """A graph of one operator with the inputs x and i."""
    inputs = ["x"] if operator == "MaxPool" else ["x", "i"]
    node = helper.make_node(operator, inputs, outputs, domain=domain, **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 2, 2])
    i = helper.make_tensor_value_info("i", TensorProto.INT64, [1, 1, 2, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, None, None])
    ids = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(helper.make_graph([node], "g", [x, i], [y]), opset_imports=ids, ir_version=10)


def test_graphs_that_some_engine_refuses_are_not_written():
    window = {"kernel_shape": [2, 2], "strides": [2, 2]}
    check_graph(graph_of("MaxPool", ["y"], **window))
    with pytest.raises(ValueError, match="MaxPool with 2 outputs"):
        check_graph(graph_of("MaxPool", ["y", "indices"], **window))
    with pytest.raises(ValueError, match="MaxUnpool"):
        check_graph(graph_of("MaxUnpool", ["y"], **window))
    with pytest.raises(ValueError, match="own::Mine, which is not an ONNX operator"):
        check_graph(graph_of("Mine", ["y"], domain="own"))


def test_a_network_without_a_role_is_refused():
    with pytest.raises(InputError, match="Conv2d: this network fills no role"):
        roles_of(nn.Conv2d(3, 1, 1), "up-first")


def test_the_sizes_compared_are_multiples_of_the_stride():
    network = RoleNetwork(nn.Identity(), 32, 320, (0, 0, 0), (1, 1, 1), "none")
    assert parity_sizes(network) == [(32, 32), (64, 160), (224, 96), (192, 320)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: [", "not valid YAML"),
        ("- 1", "content: "),
        (yaml.safe_dump({**CARD, "version": "1"}), "version: "),
        (yaml.safe_dump({**CARD, "roles": {}}), "roles: Extra inputs"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_card_is_refused_in_one_line(tmp_path: Path, content, said):
    path = tmp_path / "card.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=said) as caught:
        read_card(path)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, InputError)
    assert not isinstance(caught.value, EngineError)


def test_the_cards_in_configs_follow_the_schema():
    cards = sorted((Path(__file__).parents[2] / "configs" / "export").glob("*.yaml"))
    names = [read_card(path).name for path in cards if path.stem != "training_data"]
    assert DEFAULT_MODEL in names


def test_cards_can_share_the_list_of_what_their_models_learnt_from(tmp_path: Path):
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(CARD["training_data"]))
    (tmp_path / "card.yaml").write_text(yaml.safe_dump({**CARD, "training_data": "data.yaml"}))
    assert read_card(tmp_path / "card.yaml") == Card.model_validate(CARD)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(InputError, match=r"data\.yaml: cannot be read"):
        read_card(tmp_path / "card.yaml")
