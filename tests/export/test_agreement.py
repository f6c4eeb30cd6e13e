"""The bars of the export: what engines of a CPU give on real frames, against what the network itself gives."""

import numpy as np
import pytest

from export.cpu_bundles import build_cpu_bundle
from export.engine_job import convert
from export.frames import SAMPLE, feeds, read_frames
from export.networks import open_export_source
from export.verify import LARGEST_FP32, MEAN_NARROW, verify_graph
from realtime_matting.errors import InputError
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
        if precision == "fp32":
            # Where the M-Net unpools, an engine that adds up in another order may move a value to the next pixel.
            assert agreement.mean <= 1e-5
            assert agreement.largest <= LARGEST_FP32 or role == "matting"
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


def test_a_bundle_for_openvino_is_a_bundle_in_the_fastest_precision_that_is_right(tmp_path):
    said: list[str] = []
    bundle = build_cpu_bundle(None, tmp_path / "cpu", "openvino", "fp32", None, say=said.append)
    assert Bundle.load(tmp_path / "cpu").roles.keys() == bundle.roles.keys()
    assert [line.split()[:2] for line in said if line.endswith("is taken")] == [["trimap", "fp32"], ["matting", "fp32"]]
    assert all(float(line.split()[2]) > 0 for line in said if "ms a frame" in line)


def test_frames_come_from_videos_and_from_folders_of_pictures_of_any_size(tmp_path):
    import cv2

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
