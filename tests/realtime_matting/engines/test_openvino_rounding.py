"""Convolutions rounded to 8 bits by what the metadata of a graph tell."""

import json
import platform
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("openvino")

from realtime_matting.engines.base import INT8_KEY, Precision
from realtime_matting.engines.openvino import OpenVinoEngine
from realtime_matting.errors import EngineError

X86 = platform.machine().lower() in ("x86_64", "amd64")
RANGES = {"first": [-1.0, 1.0], "each": [0.0, 3.0], "last": [0.0, 2.0]}


def write(folder: Path, told: object = RANGES, *, weights: type = np.float32) -> Path:
    """A convolution, one for each channel, and one to a single channel; its weights stored as ``weights``."""
    rng = np.random.default_rng(0)
    shapes = {"first": (8, 3, 3, 3), "each": (8, 1, 3, 3), "last": (1, 8, 1, 1)}
    nodes, tensors, value = [], [], "rgb"
    for name, shape in shapes.items():
        kernel = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(weights)
        tensors.append(numpy_helper.from_array(kernel, f"{name}.stored"))
        nodes.append(helper.make_node("Cast", [f"{name}.stored"], [f"{name}.weight"], to=TensorProto.FLOAT))
        side, groups = shape[2] // 2, 8 if name == "each" else 1
        nodes.append(
            helper.make_node(
                "Conv", [value, f"{name}.weight"], [f"{name}.out"], name=name, pads=[side] * 4, group=groups
            )
        )
        nodes.append(helper.make_node("Relu" if name != "last" else "Sigmoid", [f"{name}.out"], [f"{name}.seen"]))
        value = f"{name}.seen"
    nodes[-1].output[0] = "alpha"
    picture, alpha = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, "h", "w"])
        for name, channels in (("rgb", 3), ("alpha", 1))
    )
    model = helper.make_model(
        helper.make_graph(nodes, "net", [picture], [alpha], tensors), opset_imports=[helper.make_opsetid("", 18)]
    )
    if told is not None:
        model.metadata_props.add(key=INT8_KEY, value=told if isinstance(told, str) else json.dumps(told))
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def picture() -> dict[str, np.ndarray]:
    return {"rgb": np.random.default_rng(1).uniform(-1, 1, (1, 3, 16, 24)).astype(np.float32)}


def alpha(path: Path, precision: Precision | None = None) -> tuple[np.ndarray, str]:
    engine = OpenVinoEngine(path, precision=precision)
    try:
        return engine(picture())["alpha"].copy(), engine.name
    finally:
        engine.close()


@pytest.mark.skipif(not X86, reason="rounds on x86 processors only")
@pytest.mark.parametrize("weights", [np.float32, np.float16])
def test_the_convolutions_that_are_told_are_rounded_by_little(tmp_path: Path, weights: type) -> None:
    rounded, name = alpha(write(tmp_path, weights=weights))
    exact, _ = alpha(tmp_path / "net.onnx", precision="f32")
    assert name.startswith("OpenVINO CPU int8 and ")
    assert 1e-5 < np.abs(rounded - exact).mean() < 0.02
    assert exact.std() > 0.02, "the comparison is of something"


@pytest.mark.skipif(not X86, reason="rounds on x86 processors only")
def test_values_beyond_the_range_are_clipped(tmp_path: Path) -> None:
    told, _ = alpha(write(tmp_path, {"last": [0.0, 1e-4]}))
    assert np.ptp(told) < 1e-3, "hardly anything of the last input is left"


def test_whoever_asks_for_a_precision_gets_it_unrounded(tmp_path: Path) -> None:
    exact, name = alpha(write(tmp_path), precision="f32")
    plain, _ = alpha(write(tmp_path, None), precision="f32")
    assert "int8" not in name
    np.testing.assert_array_equal(exact, plain)


def test_other_processors_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    _, name = alpha(write(tmp_path))
    assert "int8" not in name


def test_names_that_are_no_convolution_change_nothing(tmp_path: Path) -> None:
    _, name = alpha(write(tmp_path, {"another": [0.0, 1.0]}))
    assert "int8" not in name


@pytest.mark.skipif(not X86, reason="rounds on x86 processors only")
@pytest.mark.parametrize("told", ["no JSON", '{"first": 3}', '{"first": [2, 1]}', "[1]", '{"first": [null, 1]}'])
def test_damaged_ranges_are_one_line(tmp_path: Path, told: str) -> None:
    with pytest.raises(EngineError, match=r"its int8 ranges are damaged .*; export it again") as caught:
        OpenVinoEngine(write(tmp_path, told))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not X86, reason="rounds on x86 processors only")
@pytest.mark.parametrize("side", [1, 3])
def test_sums_of_the_largest_products_are_not_cut_off(tmp_path: Path, side: int) -> None:
    channels = 16
    kernel = np.full((channels, channels, side, side), 1 / (channels * side * side), np.float32)
    tensors = [numpy_helper.from_array(kernel, "weight"), numpy_helper.from_array(kernel, "again")]
    nodes = [
        helper.make_node("Conv", ["rgb", "weight"], ["between"], name="first", pads=[side // 2] * 4),
        helper.make_node("Relu", ["between"], ["positive"]),
        helper.make_node("Conv", ["positive", "again"], ["alpha"], name="second", pads=[side // 2] * 4),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, channels, "h", "w"]) for n in ("rgb", "alpha")]
    model = helper.make_model(
        helper.make_graph(nodes, "net", values[:1], values[1:], tensors), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.metadata_props.add(key=INT8_KEY, value=json.dumps({"first": [0.0, 1.0], "second": [0.0, 1.0]}))
    onnx.save(model, tmp_path / "net.onnx")
    engine = OpenVinoEngine(tmp_path / "net.onnx")
    try:
        alpha = engine({"rgb": np.ones((1, channels, 16, 24), np.float32)})["alpha"].copy()
    finally:
        engine.close()
    assert "int8" in engine.name
    np.testing.assert_allclose(alpha[..., 4:-4, 4:-4], 1, atol=0.02)
