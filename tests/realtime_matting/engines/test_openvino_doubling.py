import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ov = pytest.importorskip("openvino")
ops = pytest.importorskip("openvino.opset13")

from realtime_matting.engines.openvino_doubling import double_by_convolution  # noqa: E402


def network(
    channels: int, height: int, width: int, *, scale: float = 2.0, mode: str = "linear_onnx", **how
) -> "ov.Model":
    picture = ops.parameter([2, channels, height, width], np.float32, name="picture")
    made = ops.interpolate(
        picture,
        ops.constant(np.array([scale, scale], np.float32)),
        mode=mode,
        shape_calculation_mode="scales",
        axes=ops.constant(np.array([2, 3])),
        **({"coordinate_transformation_mode": "half_pixel"} | how),
    )
    return ov.Model([ops.softmax(made, 1)], [picture], "one")


def run(model: "ov.Model", picture: np.ndarray) -> np.ndarray:
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(picture)[0])


@settings(max_examples=15)
@given(channels=st.integers(1, 4), height=st.integers(1, 9), width=st.integers(1, 9))
def test_a_doubled_picture_is_what_interpolation_makes_of_it_up_to_its_border(channels, height, width) -> None:
    picture = np.random.default_rng(height).normal(size=(2, channels, height, width)).astype(np.float32)
    before = run(network(channels, height, width), picture)
    model = network(channels, height, width)
    assert double_by_convolution(model) == 1
    np.testing.assert_allclose(run(model, picture), before, atol=1e-5)


@pytest.mark.parametrize(
    "other",
    [
        {"channels": 5},
        {"scale": 3.0},
        {"mode": "nearest"},
        {"coordinate_transformation_mode": "align_corners"},
    ],
    ids=["five channels", "three times", "nearest", "corners aligned"],
)
def test_other_interpolations_stay_as_they_are(other) -> None:
    model = network(**{"channels": 3, "height": 6, "width": 8} | other)
    assert double_by_convolution(model) == 0


def test_a_graph_of_another_type_stays_as_it_is() -> None:
    picture = ops.parameter([1, 3, 6, 8], np.float16, name="picture")
    made = ops.interpolate(
        picture,
        ops.constant(np.array([2.0, 2.0], np.float32)),
        mode="linear_onnx",
        shape_calculation_mode="scales",
        axes=ops.constant(np.array([2, 3])),
        coordinate_transformation_mode="half_pixel",
    )
    assert double_by_convolution(ov.Model([made], [picture], "half")) == 0
