"""Memory, streams and graphs: over a stand-in for the driver, and against the machine's own driver or its absence."""

import ctypes
import gc
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from realtime_matting.engines import cuda
from realtime_matting.engines.cuda import Cuda, in_mib
from realtime_matting.errors import EngineError, MissingExtraError


def has_driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


@pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")
def test_without_a_driver_the_real_cuda_python_gives_one_line():
    pytest.importorskip("cuda.bindings.driver")
    with pytest.raises(EngineError, match=r"no NVIDIA driver is installed .*; install the NVIDIA driver") as caught:
        Cuda()
    assert "\n" not in str(caught.value)


def test_without_cuda_python_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    with pytest.raises(MissingExtraError, match=r"rtmatte\[tensorrt\]"):
        Cuda()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (100, "no NVIDIA GPU is visible; check nvidia-smi"),
        (35, "older than CUDA needs; update the NVIDIA driver"),
        (803, "restart the machine"),
    ],
)
def test_a_driver_that_refuses_is_explained(gpu, status, said):
    gpu.driver.init = status
    with pytest.raises(EngineError, match=said):
        Cuda()


def test_a_gpu_that_is_not_there_is_refused(gpu):
    with pytest.raises(EngineError, match="no GPU of that number"):
        Cuda(1)


def test_name_capability_and_driver_are_read(gpu):
    opened = Cuda()
    assert (opened.name, opened.capability, opened.driver_version) == ("Stand-in 4000", (8, 9), (13, 2))


def test_other_failures_carry_the_drivers_words(gpu, monkeypatch):
    opened = Cuda()
    monkeypatch.setattr(gpu.driver, "cuStreamSynchronize", lambda stream: (type(gpu.driver.init)(1),))
    with pytest.raises(EngineError, match=r"cuStreamSynchronize failed \(CUDA_ERROR_INVALID_VALUE: in other words\)"):
        opened.synchronize(opened.new_stream())


def test_what_is_copied_in_comes_out_again(gpu):
    opened = Cuda()
    stream = opened.new_stream()
    memory = opened.allocate(24, "a test")
    source = opened.pinned((2, 3), np.dtype(np.float32))
    source[...] = np.arange(6).reshape(2, 3)
    target = opened.pinned((2, 3), np.dtype(np.float32))
    target[...] = -1
    opened.copy_in(memory.pointer, source, stream)
    opened.copy_out(target, memory.pointer, stream)
    assert (target == -1).all(), "nothing is done before it is waited for"
    opened.synchronize(stream)
    np.testing.assert_array_equal(target, source)


def test_memory_is_freed_once_and_pinned_memory_with_its_last_view(gpu):
    opened = Cuda()
    memory = opened.allocate(100, "a test")
    memory.free()
    memory.free()
    assert gpu.driver.used == 0
    opened.allocate(100, "a test")
    gc.collect()
    assert gpu.driver.used == 0, "memory nobody holds any more is freed"
    view = opened.pinned((4, 4), np.dtype(np.float16))[1:, 2]
    gc.collect()
    assert len(gpu.driver.pinned) == 1
    del view
    gc.collect()
    assert gpu.driver.pinned == {}


def test_out_of_memory_says_what_for_and_how_much(gpu):
    opened = Cuda()
    kept = opened.allocate(60 * 2**20, "a test")
    with pytest.raises(
        EngineError, match=r"^Stand-in 4000: out of memory: 5.0 MiB were needed for alpha, 4.0 MiB of 64 MiB are free; "
    ):
        opened.allocate(5 * 2**20, "alpha")
    del kept


def test_recorded_work_is_done_at_each_launch_and_not_before(gpu):
    opened = Cuda()
    stream = opened.new_stream()
    memory = opened.allocate(4, "a test")
    source, target = np.zeros(1, np.float32), np.full(1, -1, np.float32)

    def work():
        opened.copy_in(memory.pointer, source, stream)
        opened.copy_out(target, memory.pointer, stream)

    graph = opened.capture(stream, work)
    opened.synchronize(stream)
    assert target[0] == -1
    for value in (3, 5):
        source[0] = value
        graph.launch(stream)
        opened.synchronize(stream)
        assert target[0] == value
    assert gpu.driver.recordings == [], "only what can be launched is kept"
    graph.destroy()
    graph.destroy()
    assert gpu.driver.graphs == {}


def test_a_recording_that_fails_leaves_the_stream_usable(gpu):
    opened = Cuda()
    stream = opened.new_stream()

    def fails():
        raise EngineError("under way")

    with pytest.raises(EngineError, match="under way"):
        opened.capture(stream, fails)
    opened.synchronize(stream)
    assert gpu.driver.graphs == {}
    assert gpu.driver.recordings == []


def test_pycuda_allocates_where_it_is_asked_for(gpu, monkeypatch):
    freed, pushed = [], []

    class Allocation:
        def __init__(self, nbytes):
            if nbytes > 1000:
                raise MemoryError("cuMemAlloc failed: out of memory")
            _, self.pointer = gpu.driver.cuMemAlloc(nbytes)

        def __int__(self):
            return self.pointer

        def free(self):
            freed.append(self.pointer)

    context = SimpleNamespace(push=lambda: pushed.append(1), pop=lambda: pushed.pop())
    pycuda = SimpleNamespace(
        init=lambda: None,
        Device=lambda ordinal: SimpleNamespace(retain_primary_context=lambda: context),
        MemoryError=MemoryError,
        mem_alloc=Allocation,
        pagelocked_empty=np.empty,
    )
    monkeypatch.setitem(sys.modules, "pycuda", SimpleNamespace(driver=pycuda))
    monkeypatch.setitem(sys.modules, "pycuda.driver", pycuda)
    opened = Cuda(allocator="pycuda")
    memory = opened.allocate(100, "a test")
    assert memory.pointer in gpu.driver.memory
    memory.free()
    assert freed == [memory.pointer]
    assert opened.pinned((2, 2), np.dtype(np.float32)).shape == (2, 2)
    with pytest.raises(EngineError, match="were needed for alpha"):
        opened.allocate(2000, "alpha")
    assert pushed == [], "the context that was current is current again"


def test_pycuda_that_is_not_there_is_refused(gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(EngineError, match="pip install pycuda, or use the allocator cuda-python"):
        Cuda(allocator="pycuda")


def test_sizes_for_people():
    assert [in_mib(size) for size in (0, 2**20, 15 * 2**20, 3 * 2**30)] == ["0.0 MiB", "1.0 MiB", "15 MiB", "3072 MiB"]


def test_importing_the_modules_loads_neither_cuda_nor_tensorrt():
    code = (
        "import sys, realtime_matting.engines.tensorrt\n"
        "print([name for name in ('cuda', 'tensorrt', 'tensorrt_rtx', 'pycuda', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_driver_functions_that_are_used_exist_in_cuda_python():
    driver = pytest.importorskip("cuda.bindings.driver")
    import re
    from pathlib import Path

    used = set(re.findall(r'"(cu[A-Z]\w+)"', Path(cuda.__file__).read_text()))
    assert len(used) > 15
    assert [name for name in used if not hasattr(driver, name)] == []
    assert driver.CUstream_flags.CU_STREAM_NON_BLOCKING == 1
    assert driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL == 1
    assert driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR == 75
    assert driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY == cuda.OUT_OF_MEMORY
    assert {int(status) for status in driver.CUresult} >= set(cuda.NO_DRIVER) - {35}
