import re
import shutil
import sys

import pytest
import torch
import torch.nn.functional as F

from export.plugins.unpool import SOURCE, compile_kernels, register
from realtime_matting.errors import EngineError

needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc (the CUDA toolkit) is not installed")
KERNELS = {f"{kind}_{dtype}" for kind in ("pool", "unpool") for dtype in ("fp32", "fp16", "bf16")}
TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@needs_nvcc
def test_the_kernels_compile_without_a_warning():
    ptx = compile_kernels().decode()
    assert set(re.findall(r"\.visible \.entry (\w+)\(", ptx)) == KERNELS


@needs_nvcc
def test_the_kernels_compile_for_a_hopper():
    assert compile_kernels("sm_90", "cubin").startswith(b"\x7fELF")


def test_without_nvcc_the_line_says_that_engines_do_without(monkeypatch):
    monkeypatch.setenv("PATH", "")
    compile_kernels.cache_clear()
    with pytest.raises(EngineError, match=r"nvcc is not installed; .* build_engine do not"):
        compile_kernels()


def test_plugins_need_the_full_tensorrt(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match="plugins need the full TensorRT"):
        register(b"")


def test_the_source_is_beside_the_module():
    assert SOURCE.is_file()


@needs_nvcc
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("kind", ["random", "relu", "zeros", "tied", "infinite"])
def test_the_kernels_are_bit_exact_on_a_gpu(name, kind):
    core = pytest.importorskip("cuda.core")
    device = core.Device()
    device.set_current()
    kernels = core.ObjectCode.from_ptx(compile_kernels())
    stream = device.create_stream(torch.cuda.current_stream())
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)).cuda().to(TYPES[name])
    infinite = torch.where(x > 1, torch.inf, torch.where(x < -1, -torch.inf, x))
    x = {"random": x, "relu": x.relu(), "zeros": x * 0, "tied": x.round(), "infinite": infinite}[kind]
    expected, indices = F.max_pool2d(x, 2, return_indices=True)
    pooled, winners = torch.empty_like(expected), torch.empty(expected.shape, dtype=torch.int8, device="cuda")
    spread, values = torch.empty_like(x), torch.randn_like(expected)
    windows = expected.numel()
    config = core.LaunchConfig(grid=-(-windows // 256), block=256)
    numbers = (torch.tensor(windows, dtype=torch.int32).numpy()[()], torch.tensor(48, dtype=torch.int32).numpy()[()])
    pool, unpool = kernels.get_kernel(f"pool_{name}"), kernels.get_kernel(f"unpool_{name}")
    core.launch(stream, config, pool, x.data_ptr(), *numbers, pooled.data_ptr(), winners.data_ptr())
    core.launch(stream, config, unpool, values.data_ptr(), winners.data_ptr(), *numbers, spread.data_ptr())
    torch.cuda.synchronize()
    assert torch.equal(pooled, expected)
    assert torch.equal(spread, F.max_unpool2d(values, indices, 2))
