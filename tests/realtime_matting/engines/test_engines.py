import importlib.util
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from realtime_matting.engines import FloatArray, open_engine
from realtime_matting.engines.base import PRECISION_KEY
from realtime_matting.errors import EngineError, InputError, MissingExtraError

ENGINES = ["openvino", "onnxruntime"]


def write_network(folder: Path, height: int | str = "H", width: int | str = "W") -> Path:
    """(rgb, trimap) → alpha: a 1×1 convolution of rgb plus trimap's middle channel."""
    rgb, trimap = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, height, width]) for n in ("rgb", "trimap")
    )
    alpha = helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1, 1, height, width])
    weights = {"w": np.float32([[[[0.5]], [[0.25]], [[2]]]]), "v": np.float32([[[[0]], [[1]], [[0]]]])}
    nodes = [
        helper.make_node("Conv", ["rgb", "w"], ["a"]),
        helper.make_node("Conv", ["trimap", "v"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["alpha"]),
    ]
    constants = [numpy_helper.from_array(w, n) for n, w in weights.items()]
    graph = helper.make_graph(nodes, "g", [rgb, trimap], [alpha], constants)
    path = folder / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def random_inputs(height: int, width: int) -> dict[str, FloatArray]:
    rng = np.random.default_rng(height * width)
    return {name: rng.random((1, 3, height, width), np.float32) for name in ("rgb", "trimap")}


def expected(inputs: dict[str, FloatArray]) -> FloatArray:
    return np.tensordot(np.float32([0.5, 0.25, 2]), inputs["rgb"][0], 1)[None, None] + inputs["trimap"][:, 1:2]


@pytest.mark.parametrize("engine", ENGINES)
def test_one_engine_runs_many_sizes_and_comes_back_to_each(engine, tmp_path):
    opened = open_engine(write_network(tmp_path), engine=engine, precision="f32")
    for height, width in [(8, 8), (16, 24), (5, 7), (8, 8), (1, 1), (9, 3), (4, 4), (6, 2), (2, 2), (8, 8), (16, 24)]:
        inputs = random_inputs(height, width)
        alpha = opened(inputs)["alpha"]
        assert alpha.dtype == np.float32
        np.testing.assert_allclose(alpha, expected(inputs), rtol=0, atol=1e-6)
    opened.close()
    opened.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_callers_arrays_may_change_between_calls(engine, tmp_path):
    opened = open_engine(write_network(tmp_path), engine=engine, precision="f32", threads=1)
    inputs = random_inputs(6, 6)
    opened(inputs)
    inputs["rgb"][:] = 3
    np.testing.assert_allclose(opened(inputs)["alpha"], expected(inputs), atol=1e-5)


def test_openvino_takes_arrays_that_are_not_contiguous(tmp_path):
    opened = open_engine(write_network(tmp_path), engine="openvino", precision="f32")
    turned = {name: array.transpose(0, 1, 3, 2) for name, array in random_inputs(6, 10).items()}
    np.testing.assert_allclose(opened(turned)["alpha"], expected(turned), atol=1e-6)


def test_a_size_that_is_still_kept_is_not_compiled_again(tmp_path):
    from realtime_matting.engines.openvino import SIZES_KEPT, OpenVinoEngine

    engine = OpenVinoEngine(write_network(tmp_path))
    first = engine._request(((1, 3, 4, 4), (1, 3, 4, 4)))
    for side in range(5, 4 + SIZES_KEPT):
        engine._request(((1, 3, side, side),) * 2)
    assert engine._request(((1, 3, 4, 4),) * 2) is first
    engine._request(((1, 3, 99, 99),) * 2)
    assert len(engine._requests) == SIZES_KEPT
    assert ((1, 3, 5, 5),) * 2 not in engine._requests, "the size used longest ago goes"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_a_size_that_rests_gives_its_memory_back_and_still_answers_the_same():
    code = """
import resource
from importlib.resources import files
from pathlib import Path
import numpy as np
from realtime_matting.engines.openvino import RESTS_AFTER, OpenVinoEngine

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 2**20

engine = OpenVinoEngine(Path(str(files("realtime_matting") / "models/shm-quality/matting.onnx")))
rng = np.random.default_rng(0)
large, small = ({name: rng.random((1, 3, *size), np.float32) for name in ("rgb", "trimap")}
                for size in ((576, 1024), (32, 32)))
once = engine(large)["alpha"].copy()
held = resident()
for _ in range(RESTS_AFTER + 1):
    engine(small)
after = resident()
print(held - after, np.array_equal(engine(large)["alpha"], once))
"""
    # In a process of its own: this one's heap may keep what was freed.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    freed, same = done.stdout.split()
    assert int(freed) > 20
    assert same == "True"


@pytest.mark.parametrize("engine", ENGINES)
def test_wrong_inputs_are_named_in_one_line(engine, tmp_path):
    opened = open_engine(write_network(tmp_path), engine=engine)
    good = random_inputs(4, 4)
    for bad, said in [
        ({"rgb": good["rgb"]}, "takes rgb, trimap; it was given rgb"),
        ({**good, "mask": good["rgb"]}, "given rgb, trimap, mask"),
        ({**good, "rgb": good["rgb"].astype(np.float64)}, "rgb must be float32"),
        ({**good, "rgb": good["rgb"][0]}, r"shape \(3, 4, 4\)"),
        ({**good, "rgb": good["rgb"][:, :2]}, opened.name),
        ({**good, "rgb": good["rgb"][:, :, :3]}, opened.name),
    ]:
        with pytest.raises(EngineError, match=said) as caught:
            opened(bad)
        assert "\n" not in str(caught.value)
    np.testing.assert_allclose(opened(good)["alpha"], expected(good), atol=0.05)  # still usable


@pytest.mark.parametrize("engine", ENGINES)
def test_a_broken_file_is_one_line(engine, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(EngineError, match="cannot read this network") as caught:
        open_engine(path, engine=engine)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_wrong_options_are_refused(tmp_path):
    path = write_network(tmp_path)
    with pytest.raises(EngineError, match="no such file"):
        open_engine(tmp_path / "none.onnx")
    with pytest.raises(InputError, match="choose auto, openvino, onnxruntime, tensorrt, "):
        open_engine(path, engine="tensorflow")
    with pytest.raises(InputError, match="threads is 0"):
        open_engine(path, threads=0)
    with pytest.raises(InputError, match="choose f32, bf16 or f16"):
        open_engine(path, precision="f8")


@pytest.mark.parametrize(("asked", "name"), [("fp32", "OpenVINO CPU f32"), ("int8", "OpenVINO CPU int8 and ")])
def test_openvino_keeps_to_what_a_measured_graph_asks_for(tmp_path, asked, name):
    path = write_network(tmp_path)
    model = onnx.load(path)
    model.metadata_props.add(key=PRECISION_KEY, value=asked)
    onnx.save(model, path)
    assert open_engine(path, engine="openvino").name.startswith(name)
    if asked == "fp32":
        inputs = random_inputs(8, 8)
        np.testing.assert_allclose(open_engine(path, engine="openvino")(inputs)["alpha"], expected(inputs), atol=1e-6)


def test_onnxruntime_refuses_bf16_instead_of_falling_back(tmp_path):
    with pytest.raises(EngineError, match="f32 on the CPU"):
        open_engine(write_network(tmp_path), engine="onnxruntime", precision="bf16")


def test_auto_prefers_openvino_and_logs_what_it_took(tmp_path, caplog, capfd):
    with caplog.at_level(logging.INFO):
        opened = open_engine(write_network(tmp_path))
        opened(random_inputs(4, 4))
    assert opened.name.startswith("OpenVINO CPU")
    assert f"net.onnx runs on {opened.name}" in caplog.text
    assert capfd.readouterr().out == ""


def test_auto_takes_onnxruntime_where_openvino_is_missing_and_says_why(tmp_path, monkeypatch, caplog):
    hide(monkeypatch, "openvino")
    with caplog.at_level(logging.INFO):
        opened = open_engine(write_network(tmp_path))
    assert opened.name == "ONNX Runtime CPU f32"
    assert "OpenVINO cannot be imported" in caplog.text


def test_an_engine_that_is_asked_for_and_missing_is_an_error(tmp_path, monkeypatch):
    path = write_network(tmp_path)
    hide(monkeypatch, "openvino")
    hide(monkeypatch, "onnxruntime")
    with pytest.raises(EngineError, match="pip install openvino"):
        open_engine(path, engine="openvino")
    with pytest.raises(MissingExtraError, match=r"rtmatte\[onnxruntime\]"):
        open_engine(path, engine="onnxruntime")
    with pytest.raises(EngineError, match="no engine can be used here"):
        open_engine(path)


def hide(monkeypatch, package):
    """Make ``import package`` fail, as on a machine without it."""
    assert importlib.util.find_spec(package)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"realtime_matting.engines.{package}", raising=False)


@pytest.mark.parametrize("engine", ENGINES)
def test_fixed_sizes_in_the_file_are_kept(engine, tmp_path):
    opened = open_engine(write_network(tmp_path, 4, 6), engine=engine, precision="f32")
    inputs = random_inputs(4, 6)
    np.testing.assert_allclose(opened(inputs)["alpha"], expected(inputs), atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_prepares_for_a_new_size_while_it_runs_others(engine, tmp_path):
    opened = open_engine(write_network(tmp_path), engine=engine, precision="f32", threads=1)
    known, new = random_inputs(8, 8), random_inputs(16, 24)
    opened(known)
    shapes = {name: array.shape for name, array in new.items()}
    assert opened.prepared({name: array.shape for name, array in known.items()})
    waited_until = time.monotonic() + 30
    while not opened.prepared(shapes):
        assert time.monotonic() < waited_until
        np.testing.assert_allclose(opened(known)["alpha"], expected(known), rtol=0, atol=1e-6)
    np.testing.assert_allclose(opened(new)["alpha"], expected(new), rtol=0, atol=1e-6)
    opened.close()


def test_a_size_that_cannot_be_prepared_is_never_ready_and_does_no_harm(tmp_path):
    opened = open_engine(write_network(tmp_path, 8, 8), engine="openvino", precision="f32", threads=1)
    wrong = dict.fromkeys(("rgb", "trimap"), (1, 4, 8, 8))
    for _ in range(50):
        assert not opened.prepared(wrong)
        time.sleep(0.005)
    inputs = random_inputs(8, 8)
    np.testing.assert_allclose(opened(inputs)["alpha"], expected(inputs), rtol=0, atol=1e-6)
    opened.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "rtmatte compiler"]


def test_a_call_waits_for_the_size_that_is_being_prepared_instead_of_compiling_it_again(tmp_path, monkeypatch):
    opened = open_engine(write_network(tmp_path), engine="openvino", precision="f32", threads=1)
    compiled, asked = [], threading.Event()
    compile_ = opened._compiled

    def slowly(shapes):
        compiled.append(shapes)
        assert asked.wait(10)
        return compile_(shapes)

    monkeypatch.setattr(opened, "_compiled", slowly)
    inputs = random_inputs(8, 8)
    assert not opened.prepared({name: array.shape for name, array in inputs.items()})
    threading.Timer(0.1, asked.set).start()
    np.testing.assert_allclose(opened(inputs)["alpha"], expected(inputs), rtol=0, atol=1e-6)
    assert len(compiled) == 1
    opened.close()
