"""What networks are given, and what is made of their answers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from realtime_matting.matting.matter import Matter
from realtime_matting.matting.networks import Networks, network_input
from realtime_matting.models import Bundle
from realtime_matting.models.registry import find_bundle


@pytest.fixture(scope="module")
def half_bundle(green_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``green_bundle``, but the trimap network answers at half of its size."""
    bundle = find_bundle(green_bundle)
    model = onnx.load(bundle.path("trimap"))
    model.graph.node[-1].output[0] = "whole"
    model.graph.node.append(helper.make_node("AveragePool", ["whole"], ["trimap"], kernel_shape=[2, 2], strides=[2, 2]))
    for side, name in zip(model.graph.output[0].type.tensor_type.shape.dim[2:], ("h", "w"), strict=True):
        side.dim_param = f"half_{name}"
    manifest = bundle.manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
    networks = {"trimap": model.SerializeToString(), "matting": bundle.path("matting").read_bytes()}
    return Bundle.write(tmp_path_factory.mktemp("models") / "half", manifest, networks).folder


def disc(height: int, width: int) -> np.ndarray:
    """A green disc with a soft rim in a magenta room."""
    y, x = np.indices((height, width), np.float32)
    alpha = np.clip((0.3 * height - np.hypot(x - width / 2, y - height / 2)) / 8 + 0.5, 0, 1)[..., None]
    return np.rint(255 * (alpha * (0, 1, 0) + (1 - alpha) * (1, 0, 1))).astype(np.uint8)


@pytest.mark.parametrize("size", [(144, 256), (90, 160), (256, 200)])
def test_a_trimap_network_may_answer_at_half_of_its_size(
    size: tuple[int, int], green_bundle: Path, half_bundle: Path
) -> None:
    rgb = disc(*size)
    with Matter(green_bundle, threads=1) as whole, Matter(half_bundle, threads=1) as half:
        expected, found = whole(rgb), half(rgb)
    assert (
        np.abs(found.alpha - expected.alpha).mean() < 0.008
    )  # classes of zeros and ones lose something at half of their size
    assert (found.trimap != expected.trimap).mean() < 0.03
    networks = Networks(find_bundle(half_bundle), engine="auto", threads=1, precision=None)
    width, height = networks.roles["trimap"].scaled_size(size[1], size[0])
    assert networks.trimap(rgb)[0].shape == (3, height // 2, width // 2)
    networks.close()


@pytest.mark.parametrize("padding", ["repeat", "mirror"])
def test_frames_are_padded_as_the_bundle_says(padding: str, green_bundle: Path) -> None:
    spec = find_bundle(green_bundle).roles["trimap"].model_copy(update={"padding": padding, "long_side": 48})
    made = network_input(disc(42, 48), spec)
    assert made.shape == (1, 3, 48, 48)
    below = made[0, :, 42:]
    expected = made[0, :, 41:42] if padding == "repeat" else made[0, :, 40:34:-1]
    np.testing.assert_array_equal(below, np.broadcast_to(expected, below.shape))
    assert padding == "mirror" or spec.model_dump(exclude_defaults=True).get("padding") is None
