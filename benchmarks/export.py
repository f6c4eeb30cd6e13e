"""Builds a real engine of every registered network at full width; with ``--gpu``, times networks on an NVIDIA GPU.

    python -m benchmarks.export                          every network, fp16 and fp32, fixed and free sizes
    python -m benchmarks.export --networks shm dim
    python -m benchmarks.export --gpu                    needs a GPU, PyTorch with CUDA, nvcc for the plugin's kernels
    python -m benchmarks.export --gpu --networks runs/shm/end_to_end/best

Building needs TensorRT for RTX and no GPU. Weights are random, for the time to build and the size do not depend on
them; with ``--gpu``, checkpoints can be given, so that the error of fp16 is that of trained weights.
"""

import argparse
import copy
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import nn

from export.engine_job import EngineJob, build_source
from export.networks import open_export_source
from export.plugins.unpool import THREADS, compile_kernels
from export.roles import AlphaOf, MattingOf, TrimapOf
from export.unpooling import REWRITES, has_unpooling, index_free
from train.checkpoints import Checkpoint, load_network, save_checkpoint
from train.networks import NETWORKS, build_network
from train.networks.dim import DIM
from train.networks.shm import SHM

PHASES = {"shm": "end_to_end", "shm-mobile": "end_to_end", "dim": "stage3", "u2net": "fine", "u2netp": "fine"}
SIZES = ("512x320", "256x192,512x320,1024x640")
FRAMES = {"512²": (512, 512), "1080p": (1088, 1920), "4K": (2176, 3840)}
RUNS = 50


def build_all(names: list[str]) -> None:
    """A line for every engine: seconds to build and MiB."""
    print("| network | role | sizes | precision | nodes | layers | build s | MiB |\n|---|---|---|---|---|---|---|---|")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(0)
            network = build_network(name)
            save_checkpoint(
                Path(folder) / "best", Checkpoint(name, PHASES[name], 1, {}), network.state_dict(), None, None
            )
            del network
            source = open_export_source(Path(folder) / "best")
            for precision in ("fp16", "fp32"):
                for sizes in SIZES:
                    job = EngineJob(
                        precision=precision,  # type: ignore[arg-type]
                        flavour="tensorrt_rtx",
                        shapes=[sizes],
                        ranges="," in sizes,
                        out=Path(folder) / "engines",
                    )
                    for r in build_source(source, job, Console(quiet=True)):
                        assert r.built is not None
                        print(
                            f"| {name} | {r.role} | {'free' if job.ranges else 'fixed'} | {precision} | {r.nodes}"
                            f" | {r.built.layers} | {r.seconds:.1f} | {r.size / 2**20:.1f} |",
                            flush=True,
                        )


class OneLevel(nn.Module):
    """Pooling, and unpooling of what was pooled: nothing else, so that nothing else is timed."""

    def __init__(self) -> None:
        super().__init__()
        from train.networks.pooling import MaxPool, MaxUnpool

        self.pool, self.unpool = MaxPool(), MaxUnpool()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.unpool(*self.pool(x))
        return result


def network_of(name: str) -> nn.Module:
    """A registered network with random weights, or that of a checkpoint's folder."""
    if name not in NETWORKS:
        return load_network(Path(name))[0].eval()
    torch.manual_seed(0)
    return build_network(name).eval()


def roles_by_unpooling(network: nn.Module) -> dict[str, dict[str, nn.Module]]:
    """Role → how it unpools (``indices`` as in training, and each rewrite; ``none``) → module."""
    modules: dict[str, nn.Module]
    if isinstance(network, SHM):
        modules = {"trimap": TrimapOf(network.t_net), "matting": network.m_net}
    elif isinstance(network, DIM):
        modules = {"matting": MattingOf(network, refined=True)}
    else:
        modules = {"alpha": AlphaOf(network)}  # type: ignore[arg-type]
    return {
        role: {"indices": module, **{rewrite: index_free(module, rewrite) for rewrite in REWRITES}}
        if has_unpooling(module)
        else {"none": module}
        for role, module in modules.items()
    }


def inputs_of(role: str, height: int, width: int, device: str) -> tuple[torch.Tensor, ...]:
    """A smooth picture, and a trimap for the matting network; float32."""
    generator = torch.Generator().manual_seed(0)
    small = torch.randn(1, 6, height // 16, width // 16, generator=generator)
    rgb, trimap = F.interpolate(small, size=(height, width), mode="bilinear").to(device).chunk(2, dim=1)
    return (rgb, torch.softmax(4 * trimap, dim=1)) if role == "matting" else (rgb,)


def fp16_error(module: nn.Module, narrow: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[float, float]:
    """(mean, largest) |difference| between ``module`` in float32 and its copy in float16."""
    with torch.inference_mode():
        gap = (module(*inputs) - narrow(*(x.half() for x in inputs)).float()).abs()
    return float(gap.mean()), float(gap.max())


def time_networks(names: list[str]) -> None:
    """Milliseconds of a frame in fp16, channels last, as CUDA graphs, and the error against float32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    print(
        f"{torch.cuda.get_device_name()}\n| network | role | unpooling | frame | ms | mean error | largest |\n"
        "|---|---|---|---|---|---|---|"
    )
    for name in names:
        for role, modules in roles_by_unpooling(network_of(name)).items():
            for unpooling, module in modules.items():
                exact = module.cuda()
                narrow = copy.deepcopy(exact).half().to(memory_format=torch.channels_last)
                for frame, (height, width) in FRAMES.items():
                    inputs = inputs_of(role, height, width, "cuda")
                    mean, largest = fp16_error(exact, narrow, inputs)
                    ready = [x.half().contiguous(memory_format=torch.channels_last) for x in inputs]
                    with torch.inference_mode():
                        time_ = graph_milliseconds(partial(narrow, *ready))
                    print(
                        f"| {name} | {role} | {unpooling} | {frame} | {time_:.2f} | {mean:.1e} | {largest:.1e} |",
                        flush=True,
                    )


def time_unpooling() -> None:
    """Milliseconds of one level of pooling and unpooling, 64 channels, fp16, as CUDA graphs; all must be equal."""
    print(
        torch.cuda.get_device_name(), "\n| frame | indices | key | up-first | plugin's kernels |\n|---|---|---|---|---|"
    )
    for name, (height, width) in FRAMES.items():
        x = torch.randn(1, 64, height, width, device="cuda").relu().half()
        expected = F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)
        modules = {"indices": OneLevel(), **{r: index_free(OneLevel(), r) for r in REWRITES}}
        columns = []
        for module in modules.values():
            ready = module.cuda().half().eval()
            with torch.inference_mode():
                assert torch.equal(ready(x), expected)
                columns.append(graph_milliseconds(partial(ready, x)))
        columns.append(kernel_milliseconds(x, expected) if shutil.which("nvcc") else float("nan"))
        print(f"| {name} | " + " | ".join(f"{column:.3f}" for column in columns) + " |", flush=True)


def kernel_milliseconds(x: torch.Tensor, expected: torch.Tensor) -> float:
    """The kernels of :mod:`export.plugins.unpool`, launched as TensorRT launches them."""
    import numpy as np
    from cuda import core

    core.Device().set_current()
    kernels = core.ObjectCode.from_ptx(compile_kernels())
    stream = core.Device().create_stream(torch.cuda.current_stream())
    pooled = torch.empty_like(x[..., ::2, ::2]).contiguous()
    winners, spread = torch.empty(pooled.shape, dtype=torch.int8, device="cuda"), torch.empty_like(x)
    windows, width = np.int32(pooled.numel()), np.int32(pooled.shape[-1])
    config = core.LaunchConfig(grid=-(-int(windows) // THREADS), block=THREADS)
    pool, unpool = kernels.get_kernel("pool_fp16"), kernels.get_kernel("unpool_fp16")

    def run() -> None:
        core.launch(stream, config, pool, x.data_ptr(), windows, width, pooled.data_ptr(), winners.data_ptr())
        core.launch(stream, config, unpool, pooled.data_ptr(), winners.data_ptr(), windows, width, spread.data_ptr())

    run()
    torch.cuda.synchronize()
    assert torch.equal(spread, expected)
    return milliseconds(run)


def graph_milliseconds(run: Callable[[], object]) -> float:
    """Replays of one captured CUDA graph."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return milliseconds(graph.replay)


def milliseconds(run: Callable[[], object]) -> float:
    """The shortest of many runs."""
    best = float("inf")
    for _ in range(RUNS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), help="names; with --gpu, checkpoints too")
    parser.add_argument("--gpu", action="store_true")
    arguments = parser.parse_args()
    if arguments.gpu:
        time_networks(arguments.networks)
        time_unpooling()
    else:
        build_all(arguments.networks)
