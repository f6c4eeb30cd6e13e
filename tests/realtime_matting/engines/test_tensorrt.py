"""The TensorRT engine over stand-ins for the CUDA driver and the TensorRT runtime; see conftest.py."""

import gc
import logging

import numpy as np
import pytest

from realtime_matting.engines.device_array import DeviceArray
from realtime_matting.engines.tensorrt import SESSIONS_KEPT, TensorRtEngine
from realtime_matting.errors import EngineError, MissingExtraError


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 3, height, width), np.float32)


def on_gpu(engine: TensorRtEngine, array: np.ndarray) -> tuple[DeviceArray, object]:
    """The array in GPU memory, as a library would hand it in, and what keeps that memory."""
    memory = engine._cuda.allocate(array.nbytes, "a test")
    stream = engine._cuda.new_stream()
    engine._cuda.copy_in(memory.pointer, np.ascontiguousarray(array), stream)
    engine._cuda.synchronize(stream)
    return DeviceArray(memory.pointer, array.shape, array.dtype), memory


def to_host(engine: TensorRtEngine, array: DeviceArray) -> np.ndarray:
    result = np.empty(array.shape, array.dtype)
    stream = engine._cuda.new_stream()
    engine._cuda.copy_out(result, array.pointer, stream)
    engine._cuda.synchronize(stream)
    return result


def test_an_engine_runs_many_sizes_and_comes_back_to_each(gpu):
    engine = TensorRtEngine(gpu.engine())
    assert engine.name == "TensorRT 10.13.2 Stand-in 4000 fp16"
    for seed, (height, width) in enumerate([(32, 32), (16, 64), (64, 64), (32, 32), (48, 16), (32, 32), (16, 64)]):
        rgb = picture(height, width, seed)
        alpha = engine({"rgb": rgb})["alpha"]
        assert alpha.dtype == np.float32
        np.testing.assert_array_equal(alpha, 2 * rgb[:, :1])
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="is closed"):
        engine({"rgb": picture(32, 32)})


def test_the_first_run_is_plain_the_second_is_recorded_and_all_later_ones_are_replayed(gpu):
    engine = TensorRtEngine(gpu.engine())
    for seed in range(6):
        rgb = picture(32, 32, seed)
        np.testing.assert_array_equal(engine({"rgb": rgb})["alpha"], 2 * rgb[:, :1])
    assert gpu.trt.executions == 2, "once to warm up, once to record"
    assert gpu.driver.count("cuGraphInstantiate") == 1
    assert gpu.driver.count("cuGraphLaunch") == 5
    assert gpu.driver.count("cuMemcpyHtoDAsync") == 2, "the copies are part of the graph"


def test_each_size_has_a_graph_and_a_context_of_its_own(gpu):
    engine = TensorRtEngine(gpu.engine())
    for _ in range(3):
        for side in (64, 16, 32):  # the largest first: the shared memory does not grow
            engine({"rgb": picture(side, side)})
    assert gpu.driver.count("cuGraphInstantiate") == 3
    assert engine._engine.contexts == 3


def test_no_memory_is_reserved_after_the_first_run_of_a_size(gpu):
    engine = TensorRtEngine(gpu.engine())
    engine({"rgb": picture(32, 32)})
    before = gpu.driver.count("cuMemAlloc"), len(gpu.driver.pinned)
    for seed in range(5):
        engine({"rgb": picture(32, 32, seed)})
    assert (gpu.driver.count("cuMemAlloc"), len(gpu.driver.pinned)) == before


def test_scratch_memory_is_shared_and_grows_with_the_largest_size(gpu):
    engine = TensorRtEngine(gpu.engine(scratch=100))
    for side in (16, 64, 16, 32, 64):
        for seed in range(3):
            rgb = picture(side, side, seed)
            np.testing.assert_array_equal(engine({"rgb": rgb})["alpha"], 2 * rgb[:, :1])
    assert engine._scratch.nbytes == 100 * 64 * 64
    small, large = 16 * 16 * 4 * 4, 64 * 64 * 4 * 4
    assert gpu.driver.used == engine._scratch.nbytes + small + 32 * 32 * 4 * 4 + large


def test_the_size_used_longest_ago_is_dropped_and_its_memory_freed(gpu):
    engine = TensorRtEngine(gpu.engine())
    engine({"rgb": picture(64, 64)})
    sides = [(16, 16 + width) for width in range(SESSIONS_KEPT)]
    for height, width in sides:
        engine({"rgb": picture(height, width)})
    assert len(engine._sessions) == SESSIONS_KEPT
    assert ((1, 3, 64, 64),) not in [shapes for shapes, _ in engine._sessions]
    assert gpu.driver.used == engine._scratch.nbytes + sum(h * w * 4 * 4 for h, w in sides)


def test_closing_frees_all_gpu_memory_and_results_stay_readable(gpu):
    engine = TensorRtEngine(gpu.engine())
    rgb = picture(32, 32)
    for _ in range(3):
        alpha = engine({"rgb": rgb})["alpha"]
    engine.close()
    gc.collect()
    assert gpu.driver.used == 0
    assert gpu.driver.graphs == {}
    np.testing.assert_array_equal(alpha, 2 * rgb[:, :1])
    del alpha
    gc.collect()
    assert gpu.driver.pinned == {}


def test_half_precision_inputs_and_outputs_are_converted_on_the_way(gpu):
    engine = TensorRtEngine(gpu.engine(dtype="HALF"))
    rgb = picture(32, 48)
    for _ in range(3):
        alpha = engine({"rgb": rgb})["alpha"]
        assert alpha.dtype == np.float32
        np.testing.assert_array_equal(alpha, (2 * rgb[:, :1].astype(np.float16)).astype(np.float32))


def test_arrays_that_are_not_contiguous_are_taken(gpu):
    engine = TensorRtEngine(gpu.engine())
    turned = picture(16, 32).transpose(0, 1, 3, 2)
    np.testing.assert_array_equal(engine({"rgb": turned})["alpha"], 2 * turned[:, :1])


def test_two_inputs_and_two_profiles(gpu):
    small, large = gpu.sizes(16, 16, 32), gpu.sizes(48, 64, 64)
    engine = TensorRtEngine(gpu.engine(profiles=[{"rgb": p, "trimap": p} for p in (small, large)]))
    for side in (16, 64, 32):
        rgb, trimap = picture(side, side), picture(side, side, 1)
        alpha = engine({"rgb": rgb, "trimap": trimap})["alpha"]
        np.testing.assert_array_equal(alpha, 2 * (rgb[:, :1] + trimap[:, :1]))
    used = {
        session.shapes["rgb"][2]: session.context.active_optimization_profile for session in engine._sessions.values()
    }
    assert used == {64: 1, 32: 0}, "16 went when the shared memory grew for 64"
    with pytest.raises(EngineError, match="rgb is 1x3x40x40, and the engine was built for 1x3x16x16 to 1x3x32x32 or 1"):
        engine({"rgb": picture(40, 40), "trimap": picture(40, 40)})
    with pytest.raises(EngineError, match="no one profile of the engine takes rgb 1x3x16x16, trimap 1x3x64x64"):
        engine({"rgb": picture(16, 16), "trimap": picture(64, 64)})


def test_a_fixed_size_engine_says_its_size(gpu):
    engine = TensorRtEngine(gpu.engine(profiles=[{"rgb": gpu.sizes(32, 32, 32)}]))
    engine({"rgb": picture(32, 32)})
    with pytest.raises(EngineError, match=r"rgb is 1x3x16x16, and the engine was built for 1x3x32x32; .*--dynamic"):
        engine({"rgb": picture(16, 16)})


def test_what_cannot_be_recorded_runs_without_a_graph_and_says_so_once(gpu, caplog):
    gpu.driver.refuse_capture = True
    engine = TensorRtEngine(gpu.engine())
    with caplog.at_level(logging.WARNING):
        for seed in range(4):
            rgb = picture(32, 32, seed)
            np.testing.assert_array_equal(engine({"rgb": rgb})["alpha"], 2 * rgb[:, :1])
    assert len(caplog.records) == 1
    assert "runs without a CUDA graph" in caplog.text
    assert "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED" in caplog.text


def test_graphs_can_be_left_out(gpu):
    engine = TensorRtEngine(gpu.engine(), graphs=False)
    for _ in range(3):
        engine({"rgb": picture(32, 32)})
    assert gpu.driver.count("cuGraphInstantiate") == 0


def test_rtx_is_asked_whether_it_can_be_recorded_until_it_can(gpu, monkeypatch):
    answers = iter([False, False, True])
    engine = TensorRtEngine(gpu.engine())
    engine({"rgb": picture(32, 32)})
    (session,) = engine._sessions.values()
    monkeypatch.setattr(session.context, "is_stream_capturable", lambda stream: next(answers), raising=False)
    for _ in range(5):
        engine({"rgb": picture(32, 32)})
    assert gpu.driver.count("cuGraphInstantiate") == 1
    assert gpu.driver.count("cuGraphLaunch") == 3


def test_frames_on_the_gpu_stay_there(gpu):
    engine = TensorRtEngine(gpu.engine())
    rgb = picture(32, 48)
    array, memory = on_gpu(engine, rgb)
    copies = gpu.driver.count("cuMemcpyHtoDAsync")
    for _ in range(4):
        alpha = engine.run_on_device({"rgb": array})["alpha"]
        assert alpha.__cuda_array_interface__["typestr"] == "<f4"
        np.testing.assert_array_equal(to_host(engine, alpha), 2 * rgb[:, :1])
    assert gpu.driver.count("cuMemcpyHtoDAsync") == copies
    assert gpu.driver.count("cuGraphInstantiate") == 1
    assert len(gpu.driver.pinned) == 0, "no page-locked memory either"
    memory.free()


def test_results_go_where_the_caller_wants_them_on_the_callers_stream(gpu):
    engine = TensorRtEngine(gpu.engine())
    stream = engine._cuda.new_stream()
    rgb = picture(32, 32)
    source, kept = on_gpu(engine, rgb)
    target, kept_too = on_gpu(engine, np.zeros((1, 1, 32, 32), np.float32))
    for _ in range(3):
        returned = engine.run_on_device({"rgb": source}, {"alpha": target}, stream=stream)["alpha"]
        assert returned.pointer == target.pointer
        assert gpu.driver.queues[stream], "the work is queued and not waited for"
        engine._cuda.synchronize(stream)
        np.testing.assert_array_equal(to_host(engine, target), 2 * rgb[:, :1])
    np.testing.assert_array_equal(engine({"rgb": rgb / 2})["alpha"], rgb[:, :1])
    del kept, kept_too


def test_work_of_another_stream_is_waited_for_before_the_shared_memory_is_used_again(gpu):
    engine = TensorRtEngine(gpu.engine(), graphs=False)
    first, second = engine._cuda.new_stream(), engine._cuda.new_stream()
    source, kept = on_gpu(engine, picture(32, 32))
    engine.run_on_device({"rgb": source}, stream=first)
    assert gpu.driver.queues[first]
    engine.run_on_device({"rgb": source}, stream=second)
    assert not gpu.driver.queues[first]
    del kept


def test_wrong_device_arrays_are_named_in_one_line(gpu):
    engine = TensorRtEngine(gpu.engine())
    good, kept = on_gpu(engine, picture(32, 32))
    half = DeviceArray(good.pointer, good.shape, np.dtype(np.float16))
    strided = type(
        "Strided", (), {"__cuda_array_interface__": good.__cuda_array_interface__ | {"strides": (4, 4, 4, 4)}}
    )
    for inputs, outputs, said in [
        ({}, None, "takes rgb; it was given nothing"),
        ({"rgb": picture(32, 32)}, None, "rgb is a ndarray, not an array on the GPU"),
        ({"rgb": half}, None, "rgb must be float32; it is float16"),
        ({"rgb": strided()}, None, "rgb is not C-contiguous"),
        ({"rgb": good}, {"beta": good}, "there is no output beta; there is alpha"),
        ({"rgb": good}, {"alpha": good}, "alpha has room for 1x3x32x32; the result is 1x1x32x32"),
    ]:
        with pytest.raises(EngineError, match=said) as caught:
            engine.run_on_device(inputs, outputs)
        assert "\n" not in str(caught.value)
    del kept


def test_too_little_memory_says_how_much_was_needed(gpu):
    engine = TensorRtEngine(gpu.engine(scratch=20_000))
    engine({"rgb": picture(32, 32)})
    with pytest.raises(
        EngineError, match=r"78 MiB were needed for what lies between .* of 64 MiB are free; close"
    ) as e:
        engine({"rgb": picture(64, 64)})
    assert "\n" not in str(e.value)
    rgb = picture(32, 32)
    np.testing.assert_array_equal(engine({"rgb": rgb})["alpha"], 2 * rgb[:, :1])  # still usable


def test_memory_that_runs_out_for_a_tensor_leaves_nothing_behind(gpu):
    engine = TensorRtEngine(gpu.engine(scratch=1))
    hog = engine._cuda.allocate(64 * 2**20 - 64 * 64 - 1000, "a test")
    with pytest.raises(EngineError, match=r"0.0 MiB were needed for rgb of 1x3x64x64"):
        engine({"rgb": picture(64, 64)})
    hog.free()
    gc.collect()
    assert gpu.driver.used == engine._scratch.nbytes == 64 * 64


def test_a_failure_while_running_gives_tensorrts_reason(gpu):
    engine = TensorRtEngine(gpu.engine(fails=True))
    with pytest.raises(EngineError, match=r"could not run \(out of memory\); close other programs"):
        engine({"rgb": picture(32, 32)})


def test_a_result_of_unknown_size_is_refused(gpu):
    engine = TensorRtEngine(gpu.engine(data_dependent=True))
    with pytest.raises(EngineError, match="the size of alpha depends on the picture"):
        engine({"rgb": picture(32, 32)})


def test_bf16_tensors_are_refused_when_the_engine_is_opened(gpu):
    with pytest.raises(EngineError, match="rgb is BF16; build the engine with float32 or float16"):
        TensorRtEngine(gpu.engine(dtype="BF16"))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"version": "11.0.0.1"}, "was built by TensorRT 11.0.0.1, and 10.13.2.6 is installed; build it again"),
        (
            {"device": {"name": "NVIDIA A10", "capability": "8.6"}},
            r"was built for NVIDIA A10 \(compute capability 8.6\), and this GPU has 8.9; build it again",
        ),
        ({"flavour": "onnx"}, "flavour: Input should be"),
        ({"profiles": None}, "profiles: Field required; build the engine again"),
        ({"device": {"name": "x", "capability": "hot"}}, "'hot' is neither a capability such as 8.9 nor portable"),
    ],
)
def test_an_engine_that_does_not_fit_is_told_before_it_is_loaded(gpu, record, said):
    path = gpu.engine(record=record)
    with pytest.raises(EngineError, match=said) as caught:
        TensorRtEngine(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("capability", ["portable", "89", "sm_89", "SM89", "8.9"])
def test_portable_engines_and_every_spelling_of_a_capability_are_taken(gpu, capability):
    TensorRtEngine(gpu.engine(record={"device": {"name": "x", "capability": capability}})).close()


def test_the_same_release_of_another_build_is_taken(gpu):
    TensorRtEngine(gpu.engine(record={"version": "10.13.2.99"})).close()


def test_a_damaged_engine_gives_tensorrts_reason_in_one_line(gpu):
    path = gpu.engine()
    path.write_bytes(b"damaged")
    with pytest.raises(
        EngineError, match=r"cannot load this engine \(it was built by another version .* or is damaged"
    ):
        TensorRtEngine(path)


def test_an_engine_too_large_for_the_gpu_says_how_large_it_is(gpu):
    path = gpu.engine()
    path.write_bytes(b"too large")
    with pytest.raises(EngineError, match=r"\(out of memory: its weights alone take 0.0 MiB\); close other programs"):
        TensorRtEngine(path)


def test_missing_files_are_named(gpu, tmp_path):
    with pytest.raises(EngineError, match="no such engine; build it with"):
        TensorRtEngine(tmp_path / "none.engine")
    path = gpu.engine()
    (tmp_path / "alpha.engine.json").unlink()
    with pytest.raises(EngineError, match=r"alpha.engine.json: cannot be read \(No such file or directory\)"):
        TensorRtEngine(path)


def test_a_flavour_that_is_not_installed_names_its_extra(gpu, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(MissingExtraError, match=r"rtmatte\[tensorrt-rtx\]"):
        TensorRtEngine(gpu.engine(record={"flavour": "tensorrt_rtx"}))


def test_host_inputs_are_checked_like_every_engines(gpu):
    engine = TensorRtEngine(gpu.engine())
    with pytest.raises(EngineError, match="takes rgb; it was given trimap"):
        engine({"trimap": picture(32, 32)})
    with pytest.raises(EngineError, match="rgb must be float32"):
        engine({"rgb": picture(32, 32).astype(np.float64)})
