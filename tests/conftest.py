"""What several test packages share: a tiny model bundle whose answers can be computed by hand.

Its people are green. With g = G − max(R, B) of the picture in [0, 1]:

- ``trimap``: foreground where g > 0.5, background where g < 0.1, unknown between;
- ``matting``: alpha = g, limited to [0, 1].
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper

from realtime_matting.models.bundle import Bundle

# How long an example takes tells how busy the machine is; the first one imports and warms up.
settings.register_profile("rtmatte", deadline=None)
settings.load_profile("rtmatte")

# A shell that starts the tests in the background, or nohup, has them ignore these, and every program they start would
# inherit that: tests that interrupt a program would wait for ever.
for ignored, ordinary in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGTERM, signal.SIG_DFL),
    (getattr(signal, "SIGHUP", signal.SIGTERM), signal.SIG_DFL),
    (getattr(signal, "SIGQUIT", signal.SIGTERM), signal.SIG_DFL),
):
    if signal.getsignal(ignored) == signal.SIG_IGN:
        signal.signal(ignored, ordinary)


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests, and the programs they start, neither find nor leave anything in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


OPSET = 17
STRIDE = 16


def _greenness(picture: str) -> list[onnx.NodeProto]:
    """Nodes that turn ``picture`` (1, 3, H, W) into ``g`` (1, 1, H, W)."""
    return [
        helper.make_node("Split", [picture, "one_each"], ["red", "green", "blue"], axis=1),
        helper.make_node("Max", ["red", "blue"], ["other"]),
        helper.make_node("Sub", ["green", "other"], ["g"]),
    ]


def _network(
    nodes: list[onnx.NodeProto], inputs: dict[str, int], output: str, channels: int, **constants: object
) -> bytes:
    """A network of fully convolutional nodes: ``inputs`` and ``output`` by name and number of channels."""

    def tensor(name: str, depth: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, depth, "height", "width"])

    graph = helper.make_graph(
        nodes,
        "greenness",
        [tensor(name, depth) for name, depth in inputs.items()],
        [tensor(output, channels)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _trimap_network() -> bytes:
    nodes = [
        *_greenness("rgb"),
        helper.make_node("Greater", ["g", "sure"], ["is_foreground"]),
        helper.make_node("Less", ["g", "none"], ["is_background"]),
        helper.make_node("Cast", ["is_foreground"], ["foreground"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["is_background"], ["background"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["foreground", "background"], ["known"]),
        helper.make_node("Sub", ["one", "known"], ["unknown"]),
        helper.make_node("Concat", ["background", "unknown", "foreground"], ["trimap"], axis=1),
    ]
    constants = {
        "one_each": np.int64([1, 1, 1]),
        "sure": np.float32(0.5),
        "none": np.float32(0.1),
        "one": np.float32(1),
    }
    return _network(nodes, {"rgb": 3}, "trimap", 3, **constants)


def _matting_network() -> bytes:
    # The trimap is an input of every matting network; this one has no use for its values.
    nodes = [
        *_greenness("rgb"),
        helper.make_node("ReduceSum", ["trimap", "channel"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["g", "nothing"], ["raw"]),
        helper.make_node("Clip", ["raw", "zero", "one"], ["alpha"]),
    ]
    constants = {
        "one_each": np.int64([1, 1, 1]),
        "channel": np.int64([1]),
        "zero": np.float32(0),
        "one": np.float32(1),
    }
    return _network(nodes, {"rgb": 3, "trimap": 3}, "alpha", 1, **constants)


@pytest.fixture(scope="session")
def green_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a bundle with roles trimap and matting, in which green things are people."""
    role = {"stride": STRIDE, "long_side": 256, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}
    manifest = {
        "name": "green-people",
        "version": "1.0.0",
        "licence": "CC0-1.0",
        "description": "Green things are people.",
        "training_data": [{"name": "none", "licence": "CC0-1.0", "attribution": "computed by hand"}],
        "roles": {"trimap": role, "matting": role},
        "metrics": [{"data": "two pictures", "command": "by hand", "values": {"MAD": 1.5, "SAD": 0.25}}],
    }
    networks = {"trimap": _trimap_network(), "matting": _matting_network()}
    return Bundle.write(tmp_path_factory.mktemp("models") / "green-people", manifest, networks).folder
