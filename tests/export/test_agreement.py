"""The bars of the export: what engines of a CPU give on real frames, against what the network itself gives."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from export.cpu_bundles import build_cpu_bundle
from export.engine_job import convert
from export.frames import SAMPLE, feeds, read_frames
from export.networks import open_export_source
from export.verify import LARGEST_FP32, MEAN_NARROW, NEARLY_EQUAL, verify_graph
from realtime_matting import Matter
from realtime_matting.errors import EngineError, InputError
from realtime_matting.models import Bundle

SIZES = {"trimap": (256, 160), "matting": (256, 144)}


@pytest.fixture(scope="module")
def default():
    """The default model's networks, and frames of the sample video as it sees them."""
    source = open_export_source()
    return source, feeds(source.networks, read_frames(None, 2), SIZES)


@pytest.mark.parametrize(("precision", "engines"), [("fp32", 2), ("fp16", 2), ("bf16", 1)])
@pytest.mark.parametrize("role", ["trimap", "matting"])
def test_onnx_runtime_and_openvino_agree_with_the_model_on_frames(default, role, precision, engines):
    source, inputs = default
    network = source.networks[role]
    plan, graph, (checked, _) = convert(network, precision, inputs[role])
    assert checked is graph
    agreements = list(verify_graph(network, graph, precision, inputs[role]))
    assert len(agreements) == engines, "ONNX Runtime has no bf16 convolutions on a CPU"
    for agreement in agreements:
        assert agreement.is_good, str(agreement)
        if precision == "fp32" and role == "matting":
            # An engine that adds up in another order moves a value to the next pixel where two are equal to within
            # rounding. It does nothing else: with the same winners, every value agrees.
            assert agreement.swaps is not None
            assert agreement.swaps.rest <= LARGEST_FP32
            assert agreement.swaps.gap <= NEARLY_EQUAL
            assert agreement.swaps.swapped <= 1e-3 * agreement.swaps.windows
            assert agreement.mean <= 1e-4
        elif precision == "fp32":
            assert agreement.largest <= LARGEST_FP32
        else:
            assert 0 < agreement.mean <= MEAN_NARROW
    assert plan.mean <= MEAN_NARROW
    reference = network.reference(inputs[role][0])
    assert reference.max() - reference.min() > 0.9, "there is a person in the frame"


def test_a_checkpoints_graph_agrees_with_pytorch_on_frames(small_source):
    inputs = feeds(small_source.networks, read_frames(None, 1), {"trimap": (96, 64), "matting": (96, 64)})
    for role, network in small_source.networks.items():
        for agreement in verify_graph(network, network.model, "fp32", inputs[role]):
            assert agreement.largest <= LARGEST_FP32, str(agreement)


@pytest.mark.parametrize(("engine", "precision"), [("openvino", "f32"), ("openvino", "bf16")])
def test_the_alpha_that_people_see_agrees_with_the_networks_in_float32(engine, precision):
    """Trimap, matting and fusion together, of whole frames, against ONNX Runtime in float32."""
    try:
        matters = [Matter(engine=engine, precision=precision), Matter(engine="onnxruntime", precision="f32")]
    except EngineError as error:
        pytest.skip(str(error))
    frames = read_frames(None, 4)
    for frame in frames:
        found, exact = (matter(frame).alpha for matter in matters)
        gap = np.abs(found - exact)
        assert gap.mean() <= (1e-5 if precision == "f32" else MEAN_NARROW)
        if precision == "f32":
            assert (gap <= LARGEST_FP32).mean() > 0.99, "but for swapped winners"
        for matter in matters:
            matter.reset()


def test_a_bundle_for_a_cpu_is_run_in_the_precision_it_was_made_for(tmp_path):
    said: list[str] = []
    bundle = build_cpu_bundle(None, tmp_path / "cpu", "openvino", "fp32", None, say=said.append)
    assert Bundle.load(tmp_path / "cpu").roles.keys() == bundle.roles.keys()
    assert [line.split()[:2] for line in said if line.endswith("is taken")] == [["trimap", "fp32"], ["matting", "fp32"]]
    assert all(float(line.split()[2]) > 0 for line in said if "ms a frame" in line)
    assert said[-1].startswith(f"{tmp_path / 'cpu'}: trimap fp32 + matting fp32, ")
    assert Matter(tmp_path / "cpu", engine="openvino").describe().endswith(" on OpenVINO CPU f32")


@pytest.fixture
def small_bundle(tmp_path) -> Path:
    """One-step matting by two convolutions: bright is a person."""
    values = [helper.make_tensor_value_info(n, 1, [1, c, "h", "w"]) for n, c in (("rgb", 3), ("alpha", 1))]
    weights = {"a": np.full((4, 3, 3, 3), 1 / 27, np.float32), "b": np.full((1, 4, 1, 1), 2, np.float32)}
    nodes = [
        helper.make_node("Conv", ["rgb", "a"], ["x"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["x", "b"], ["y"]),
        helper.make_node("Sigmoid", ["y"], ["alpha"]),
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    manifest = {
        "name": "bright",
        "version": "1.0.0",
        "licence": "CC0-1.0",
        "description": "Bright things are people.",
        "training_data": [{"name": "none", "licence": "CC0-1.0", "attribution": "computed by hand"}],
        "roles": {"alpha": {"stride": 16, "long_side": 128, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}},
    }
    return Bundle.write(tmp_path / "bright", manifest, {"alpha": model.SerializeToString()}).folder


@pytest.mark.parametrize(("engine", "name"), [("openvino", "OpenVINO CPU int8 and "), ("onnxruntime", "ONNX Runtime")])
def test_an_int8_bundle_is_described_loaded_and_run(small_bundle, tmp_path, engine, name):
    said: list[str] = []
    build_cpu_bundle(small_bundle, tmp_path / "int8", engine, "int8", SAMPLE, say=said.append)
    assert any(line.endswith("int8 is taken") for line in said)
    assert Bundle.load(tmp_path / "int8").roles["alpha"].precision == "int8"
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(tmp_path / "int8" / "alpha.onnx").graph.node}
    frame = read_frames(None, 1)[0]
    matter = Matter(tmp_path / "int8", engine=engine)
    assert name in matter.describe()
    assert np.abs(matter(frame).alpha - Matter(small_bundle, engine="onnxruntime")(frame).alpha).mean() < 0.02


def test_the_fastest_precision_that_is_right_is_taken_of_all_that_were_measured_together(small_bundle, tmp_path):
    said: list[str] = []
    build_cpu_bundle(small_bundle, tmp_path / "best", "openvino", "auto", SAMPLE, say=said.append)
    measured = {line.split()[1]: float(line.split()[2]) for line in said if "ms a frame" in line and "more" not in line}
    assert {"fp32", "int8"} <= {line.split()[1] for line in said if "ms a frame" in line}
    taken = Bundle.load(tmp_path / "best").roles["alpha"].precision
    assert measured[taken] == min(measured.values())


def test_frames_come_from_videos_and_from_folders_of_pictures_of_any_size(tmp_path):
    for number, size in enumerate([(40, 60), (50, 30)]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((*size, 3), 9, np.uint8))
    cv2.imwrite(str(tmp_path / "0_alpha.png"), np.zeros((40, 60), np.uint8))
    assert [frame.shape for frame in read_frames(tmp_path, 8)] == [(40, 60, 3), (50, 30, 3)]
    assert len(read_frames(SAMPLE, 3)) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures in this folder"):
        read_frames(tmp_path / "empty", 1)


def test_int8_needs_frames_to_calibrate_on(tmp_path):
    with pytest.raises(InputError, match="--int8 needs frames"):
        build_cpu_bundle(None, tmp_path / "cpu", "openvino", "int8", None, say=print)
