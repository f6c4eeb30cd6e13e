import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ov = pytest.importorskip("openvino")
ops = pytest.importorskip("openvino.opset13")

from realtime_matting.engines.openvino_blocks import compute_in_blocks  # noqa: E402


def network(
    height: int, width: int, *, outputs: int = 1, kernel: int = 3, stride: int = 1, bias: bool, sigmoid: bool
) -> "ov.Model":
    rng = np.random.default_rng(kernel)
    weights = rng.normal(size=(outputs, 5, kernel, kernel)).astype(np.float32)
    picture = ops.parameter([1, 5, height, width], np.float32, name="picture")
    around = [kernel // 2, kernel // 2]
    made = ops.convolution(picture, ops.constant(weights), [stride, stride], around, around, [1, 1])
    if bias:
        made = ops.add(made, ops.constant(np.full((1, outputs, 1, 1), 0.3, np.float32)))
    if sigmoid:
        made = ops.sigmoid(made)
    return ov.Model([made], [picture], "one")


def run(model: "ov.Model", picture: np.ndarray) -> np.ndarray:
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(picture)[0])


@settings(max_examples=15)
@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    kernel=st.sampled_from([1, 3, 5]),
    bias=st.booleans(),
    sigmoid=st.booleans(),
)
def test_in_blocks_every_pixel_is_what_it_was(rows, columns, kernel, bias, sigmoid) -> None:
    height, width = 4 * rows, 4 * columns
    picture = np.random.default_rng(rows).normal(size=(1, 5, height, width)).astype(np.float32)
    before = run(network(height, width, kernel=kernel, bias=bias, sigmoid=sigmoid), picture)
    model = network(height, width, kernel=kernel, bias=bias, sigmoid=sigmoid)
    assert compute_in_blocks(model) == 1
    after = run(model, picture)
    assert after.shape == before.shape
    np.testing.assert_allclose(after, before, atol=1e-5)


@pytest.mark.parametrize(
    "other",
    [{"outputs": 2}, {"stride": 2}, {"height": 10}, {"kernel": 2}],
    ids=["two outputs", "stride 2", "ten rows", "an even kernel"],
)
def test_other_convolutions_stay_as_they_are(other: dict[str, int]) -> None:
    model = network(**{"height": 16, "width": 16, "bias": True, "sigmoid": True} | other)
    before = [node.get_friendly_name() for node in model.get_ordered_ops()]
    assert compute_in_blocks(model) == 0
    assert [node.get_friendly_name() for node in model.get_ordered_ops()] == before


def test_a_convolution_whose_result_is_used_twice_keeps_both_uses() -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(1, 5, 3, 3)).astype(np.float32)

    def branched() -> "ov.Model":
        picture = ops.parameter([1, 5, 8, 8], np.float32, name="picture")
        made = ops.convolution(picture, ops.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1])
        return ov.Model([ops.sigmoid(made), ops.relu(made)], [picture], "two")

    picture = rng.normal(size=(1, 5, 8, 8)).astype(np.float32)
    model = branched()
    assert compute_in_blocks(model) == 1
    for old, new in zip(
        *(ov.Core().compile_model(m, "CPU")(picture).values() for m in (branched(), model)), strict=True
    ):
        np.testing.assert_allclose(new, old, atol=2e-2)  # bf16 where the CPU has it


def test_a_graph_of_another_type_stays_as_it_is() -> None:
    picture = ops.parameter([1, 5, 8, 8], np.float16, name="picture")
    weights = ops.constant(np.ones((1, 5, 3, 3), np.float16))
    made = ops.convolution(picture, weights, [1, 1], [1, 1], [1, 1], [1, 1])
    assert compute_in_blocks(ov.Model([made], [picture], "half")) == 0
