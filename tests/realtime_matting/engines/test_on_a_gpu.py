"""What needs an NVIDIA GPU: driver, graphs, a TensorRT engine built and run here, and ONNX Runtime on CUDA."""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from realtime_matting.engines import open_engine
from realtime_matting.engines.availability import TINY_NETWORK
from realtime_matting.engines.cuda import Cuda
from realtime_matting.engines.device_array import DeviceArray
from realtime_matting.engines.engine_file import FLAVOURS
from realtime_matting.engines.tensorrt import TensorRtEngine
from realtime_matting.engines.tensorrt_runtime import load_tensorrt
from realtime_matting.errors import EngineError, MissingExtraError


def cuda_works() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        Cuda()
    except (OSError, EngineError, MissingExtraError):
        return False
    return True


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not cuda_works(), reason="no NVIDIA GPU, or no cuda-python")]


def test_the_gpu_has_a_name_a_capability_and_memory():
    cuda = Cuda()
    free, total = cuda.free_and_total_memory()
    assert cuda.name
    assert cuda.capability >= (5, 0)
    assert 0 < free <= total


def test_copies_arrive_and_graphs_replay_them_with_new_content():
    cuda = Cuda()
    stream = cuda.new_stream()
    source, target = (cuda.pinned((64, 64), np.dtype(np.float32)) for _ in range(2))
    memory = cuda.allocate(source.nbytes, "a test")

    def there_and_back() -> None:
        cuda.copy_in(memory.pointer, source, stream)
        cuda.copy_out(target, memory.pointer, stream)

    source[...], target[...] = 1, 0
    there_and_back()
    cuda.synchronize(stream)
    assert (target == 1).all()
    graph = cuda.capture(stream, there_and_back)
    for value in range(2, 5):
        source[...] = value
        graph.launch(stream)
        cuda.synchronize(stream)
        assert (target == value).all()
    graph.destroy()
    memory.free()
    memory.free()


def test_memory_is_given_back():
    cuda = Cuda()
    before, _ = cuda.free_and_total_memory()
    for _ in range(8):
        cuda.allocate(256 * 2**20, "a test").free()
    after, _ = cuda.free_and_total_memory()
    assert before - after < 256 * 2**20


def test_too_much_memory_is_refused_with_the_sizes():
    cuda = Cuda()
    _, total = cuda.free_and_total_memory()
    with pytest.raises(EngineError, match=r"out of memory: \d+ MiB were needed for everything, \d+ MiB of \d+ MiB are"):
        cuda.allocate(total + 2**30, "everything")
    cuda.allocate(2**20, "a test").free()


@pytest.fixture(params=FLAVOURS)
def engine_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An engine built here by one flavour, for 32 to 128 pixels a side: alpha = Relu(rgb)."""
    try:
        loaded = load_tensorrt(request.param)
    except (MissingExtraError, EngineError) as error:
        pytest.skip(str(error))
    trt = loaded.module
    cuda = Cuda()
    builder = trt.Builder(loaded.logger)
    flags = trt.NetworkDefinitionCreationFlag
    network = builder.create_network(1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0)
    relu = network.add_activation(network.add_input("rgb", trt.DataType.FLOAT, (1, 3, -1, -1)), trt.ActivationType.RELU)
    relu.get_output(0).name = "alpha"
    network.mark_output(relu.get_output(0))
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    sides = {"min": [1, 3, 32, 32], "opt": [1, 3, 64, 64], "max": [1, 3, 128, 128]}
    profile.set_shape("rgb", *sides.values())
    config.add_optimization_profile(profile)
    blob = builder.build_serialized_network(network, config)
    if blob is None:
        pytest.skip(f"{loaded.label} does not build for this GPU: {loaded.errors.take()[:1]}")
    capability = "portable" if request.param == "tensorrt_rtx" else "{}.{}".format(*cuda.capability)
    record = {
        "flavour": request.param,
        "version": loaded.version,
        "precision": "fp32",
        "role": "alpha",
        "bundle_sha256": "b" * 64,
        "onnx_sha256": "a" * 64,
        "device": {"name": cuda.name, "capability": capability},
        "profiles": {"rgb": sides},
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
        "stride": 1,
        "created": "2026-11-01T12:00:00Z",
    }
    path = tmp_path / "relu.engine"
    path.write_bytes(bytes(blob))
    path.with_name("relu.engine.json").write_text(json.dumps(record))
    return path


@pytest.fixture
def engine(engine_path: Path) -> TensorRtEngine:
    try:
        return TensorRtEngine(engine_path)
    except EngineError as error:
        pytest.skip(f"this GPU is not one of this flavour's: {error}")


def test_an_engine_gives_the_same_numbers_first_recorded_and_replayed(engine: TensorRtEngine):
    rng = np.random.default_rng(1)
    for side in (32, 64, 128, 64, 32):
        for _ in range(4):
            rgb = rng.standard_normal((1, 3, side, side), np.float32)
            np.testing.assert_array_equal(engine({"rgb": rgb})["alpha"], np.maximum(rgb, 0))
    assert any(session.graph is not None for session in engine._sessions.values())
    engine.close()


def test_frames_on_the_gpu_give_the_same_numbers(engine: TensorRtEngine):
    cuda = Cuda()
    stream = cuda.new_stream()
    rgb = np.random.default_rng(2).standard_normal((1, 3, 64, 96), np.float32)
    source, target = (cuda.allocate(rgb.nbytes, "a test") for _ in range(2))
    cuda.copy_in(source.pointer, rgb, stream)
    cuda.synchronize(stream)
    given = DeviceArray(source.pointer, rgb.shape, rgb.dtype)
    wanted = DeviceArray(target.pointer, rgb.shape, rgb.dtype)
    result = np.empty_like(rgb)
    for _ in range(4):
        engine.run_on_device({"rgb": given}, {"alpha": wanted}, stream=stream)
        cuda.copy_out(result, target.pointer, stream)
        cuda.synchronize(stream)
        np.testing.assert_array_equal(result, np.maximum(rgb, 0))
    engine.close()


def test_pycuda_allocates_in_the_same_context(engine_path: Path):
    pytest.importorskip("pycuda.driver")
    engine = TensorRtEngine(engine_path, allocator="pycuda")
    rgb = np.random.default_rng(3).standard_normal((1, 3, 64, 64), np.float32)
    for _ in range(3):
        np.testing.assert_array_equal(engine({"rgb": rgb})["alpha"], np.maximum(rgb, 0))
    engine.close()


def test_onnx_runtime_computes_on_cuda(tmp_path: Path):
    ort = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA provider")
    path = tmp_path / "net.onnx"
    path.write_bytes(TINY_NETWORK)
    rgb = np.random.default_rng(4).standard_normal((1, 3, 64, 64), np.float32)
    opened = open_engine(path, engine="onnxruntime-cuda", precision="f32")
    np.testing.assert_allclose(opened({"rgb": rgb})["alpha"], np.maximum(rgb, 0), atol=1e-6)
