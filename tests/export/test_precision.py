import functools

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from export.graph_edit import narrowed, plain_constants
from export.onnx_graph import store_weights_as_fp16, to_onnx
from export.onnx_session import open_session
from export.precision import float_nodes, nodes_by_type, rounded, strongly_typed
from export.quantization import quantize
from export.rewriting import find_up_first, to_key
from export.roles import RoleNetwork
from export.sensitivity import LAST_CONVOLUTION, explain, kinds_of, make_plan
from export.unpooling import index_free
from train.networks.pooling import MaxPool, MaxUnpool


class Unpools(nn.Module):
    """Two levels of pooling and unpooling, a resize, and a last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.middle, self.leave = (nn.Conv2d(a, b, 3, padding=1) for a, b in ((3, 6), (6, 6), (6, 1)))
        self.pools, self.unpools = nn.ModuleList([MaxPool(), MaxPool()]), nn.ModuleList([MaxUnpool(), MaxUnpool()])

    def forward(self, rgb: Tensor) -> Tensor:
        x, first = self.pools[0](self.enter(rgb).relu())
        x, second = self.pools[1](self.middle(x).relu())
        x = self.unpools[0](x, second)
        x = self.unpools[1](self.middle(x), first)
        return self.leave(x).sigmoid()


@functools.cache
def traced(rewrite: str) -> onnx.ModelProto:
    torch.manual_seed(0)
    network = RoleNetwork(index_free(Unpools(), rewrite).eval(), 4, 32, (0, 0, 0), (1, 1, 1), rewrite)
    return plain_constants(to_onnx("alpha", network))


@pytest.fixture(scope="module")
def up_first() -> onnx.ModelProto:
    return traced("up-first")


def feed(height: int = 16, width: int = 24, seed: int = 0) -> dict[str, np.ndarray]:
    return {"rgb": np.random.default_rng(seed).standard_normal((1, 3, height, width)).astype(np.float32)}


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return open_session(model.SerializeToString(), optimised=False).run(None, inputs)[0]


def test_a_bundles_unpooling_becomes_key_bit_for_bit(up_first):
    assert len(find_up_first(up_first.graph)) == 2
    key, count = to_key(up_first)
    assert count == 2
    operators = {node.op_type for node in key.graph.node}
    assert {"SpaceToDepth", "DepthToSpace", "ReduceMax"} <= operators
    assert not operators & {"Resize", "MaxUnpool", "ScatterND", "Range", "Mod"}
    for height, width in [(4, 4), (16, 24), (32, 8)]:
        np.testing.assert_array_equal(run(key, feed(height, width)), run(up_first, feed(height, width)))


@settings(max_examples=25)
@given(values=st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5]), min_size=48, max_size=48))
def test_both_rewrites_agree_where_pixels_are_tied(values):
    picture = {"rgb": np.array(values, np.float32).reshape(1, 3, 4, 4)}
    found, expected = (session.run(None, picture)[0] for session in both_sessions())
    np.testing.assert_array_equal(found, expected)


@functools.cache
def both_sessions():
    """The same network with either unpooling; opened once, as every example runs them."""
    model = traced("up-first")
    return [open_session(m.SerializeToString(), optimised=False) for m in (to_key(model)[0], model)]


def test_a_graph_without_unpooling_is_left_alone():
    model = traced("key")
    same, count = to_key(model)
    assert count == 0
    assert same == model


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_every_float_layer_is_narrow_and_inputs_and_outputs_are_not(up_first, precision):
    typed = strongly_typed(up_first, precision)
    onnx.checker.check_model(typed, full_check=True)
    assert nodes_by_type(typed) == {precision: len(float_nodes(typed)) - casts(typed)}
    assert [value.type.tensor_type.elem_type for value in (*typed.graph.input, *typed.graph.output)] == [1, 1]
    weights = [t for t in typed.graph.initializer if len(t.dims) == 4]
    low = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.BFLOAT16
    assert [t.data_type for t in weights] == [low] * 3, "the shared weight is stored once"
    assert up_first.graph.initializer[0].data_type == TensorProto.FLOAT, "the model itself is left as it is"


def casts(model: onnx.ModelProto) -> int:
    return sum(node.op_type == "Cast" for node in float_nodes(model))


def test_fp16_gives_nearly_what_fp32_gives(up_first):
    exact, found = run(up_first, feed()), run(strongly_typed(up_first, "fp16"), feed())
    assert 0 < np.abs(exact - found).mean() < 2e-3


def test_kept_layers_stay_in_float32_with_casts_around_them(up_first):
    kinds = kinds_of(up_first)
    keep = frozenset(name for name, kind in kinds.items() if kind in (LAST_CONVOLUTION, "sigmoid"))
    assert len(keep) == 2
    typed = strongly_typed(up_first, "fp16", keep)
    onnx.checker.check_model(typed, full_check=True)
    assert nodes_by_type(typed)["fp32"] == 2
    all_narrow = np.abs(run(rounded(up_first, "bf16"), feed()) - run(up_first, feed())).mean()
    kept = np.abs(run(rounded(up_first, "bf16", keep), feed()) - run(up_first, feed())).mean()
    assert kept < all_narrow


def test_weights_stored_in_half_the_bytes_are_widened_once(up_first):
    narrow = store_weights_as_fp16(up_first)
    assert any(node.op_type == "Cast" and node.input[0].endswith(".fp16") for node in narrow.graph.node)
    plain = plain_constants(narrow)
    assert not any(node.input[0].endswith(".fp16") for node in plain.graph.node if node.op_type == "Cast")
    np.testing.assert_array_equal(run(plain, feed()), run(narrow, feed()))


def convolution(weight: float) -> onnx.ModelProto:
    node = helper.make_node("Conv", ["rgb", "w"], ["alpha"], name="wide")
    values = [helper.make_tensor_value_info(n, 1, [1, c, "h", "w"]) for n, c in (("rgb", 3), ("alpha", 1))]
    tensor = numpy_helper.from_array(np.full((1, 3, 1, 1), weight, np.float32), "w")
    graph = helper.make_graph([node], "g", values[:1], values[1:], [tensor])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_a_weight_beyond_float16_is_told_by_the_name_of_its_layer_and_kept_by_the_plan():
    with pytest.raises(OverflowError, match="wide: 100000 is too large"):
        strongly_typed(convolution(1e5), "fp16")
    assert nodes_by_type(strongly_typed(convolution(1e5), "bf16")) == {"bf16": 1}
    plan = make_plan(convolution(1e5), "fp16", [feed(4, 4)])
    assert plan.keep == {"wide"}
    assert "too large for float16" in str(plan)


def test_values_near_the_end_of_float16_are_kept_in_float32():
    assert make_plan(convolution(1e4), "fp16", [{"rgb": np.ones((1, 3, 2, 2), np.float32)}]).keep == {"wide"}


def test_a_plan_gives_back_kinds_until_the_error_is_small_enough(up_first):
    free = make_plan(up_first, "bf16", [feed()], bound=1.0)
    assert free.keep == frozenset()
    strict = make_plan(up_first, "bf16", [feed()], bound=free.mean / 3)
    assert strict.kinds
    assert strict.mean < free.mean
    assert make_plan(up_first, "fp32", [feed()]).mean == 0


def test_the_report_has_one_line_for_every_layer_and_grows_with_coarser_types(up_first):
    fine, coarse = (explain(up_first, precision, [feed()]) for precision in ("fp16", "bf16"))
    assert [layer.operator for layer in fine if layer.kind == LAST_CONVOLUTION] == ["Conv"]
    convolutions = [(a.error, b.error) for a, b in zip(fine, coarse, strict=True) if a.operator == "Conv"]
    assert len(convolutions) == 4
    assert all(0 < a < b for a, b in convolutions)


def test_as_many_convolutions_become_int8_as_the_bound_allows(up_first):
    inputs = [feed(seed=seed) for seed in range(4)]
    every = quantize(up_first, inputs, bound=1.0)
    assert (len(every.ranges), every.count) == (4, 4)
    none = quantize(up_first, inputs, bound=0.0)
    assert none.ranges == {}
    onnx.checker.check_model(every.model, full_check=True)
    types = {t.data_type for t in every.model.graph.initializer if t.name.endswith(".steps")}
    assert types == {TensorProto.INT8}
    assert np.abs(run(every.model, feed()) - run(up_first, feed())).mean() == pytest.approx(every.mean, abs=5e-3)
    onnx.checker.check_model(strongly_typed(every.model, "fp16"), full_check=True)


@given(st.floats(width=32, min_value=-60000, max_value=60000))
def test_rounding_weights_to_float16_is_numpys(value):
    assert narrowed(np.float32([value]), TensorProto.FLOAT16) == np.float16(value)
