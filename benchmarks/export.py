"""Builds a real engine of every registered network at full width; with ``--gpu``, times unpooling on an NVIDIA GPU.

    python -m benchmarks.export                          every network, fp16 and fp32, fixed and free sizes
    python -m benchmarks.export --networks shm dim
    python -m benchmarks.export --gpu                    needs a GPU, PyTorch with CUDA, nvcc for the plugin's kernels

Building needs TensorRT for RTX and no GPU. Weights are random: the time to build and the size do not depend on them.
"""

import argparse
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
from export.unpooling import REWRITES, index_free
from train.checkpoints import Checkpoint, save_checkpoint
from train.networks import NETWORKS, build_network

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
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--gpu", action="store_true")
    arguments = parser.parse_args()
    if arguments.gpu:
        time_unpooling()
    else:
        build_all(arguments.networks)
