"""Pooling with positions and unpooling as quick deployable plugins of the full TensorRT (10.7 and later).

TensorRT embeds the compiled kernels of ``unpool.cu`` in the engine, so an engine needs no Python and no library of ours
to run. TensorRT for RTX has no plugins of this kind. The builder does not use them: it takes the rewrite of
:mod:`export.rewriting` until ``python -m benchmarks.export --gpu`` shows that the kernels are faster.
"""

import functools
import importlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Literal

from realtime_matting.errors import EngineError

SOURCE = Path(__file__).with_name("unpool.cu")
NAMESPACE = "rtmatte"
THREADS = 256
KernelType = Literal["fp32", "fp16", "bf16"]


@functools.cache
def compile_kernels(architecture: str = "compute_80", form: Literal["ptx", "cubin"] = "ptx") -> bytes:
    """``unpool.cu`` compiled by nvcc; PTX runs on every GPU from ``architecture`` on, a cubin (``sm_90``) on that one.

    Raises:
        EngineError: nvcc is not installed, or refuses the source.
    """
    compiler = shutil.which("nvcc")
    if compiler is None:
        raise EngineError(
            "nvcc is not installed; the plugin needs the CUDA toolkit, the engines of build_engine do not"
        )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"unpool.{form}"
        options = [f"-{form}", f"-arch={architecture}", "-O3", "-Werror", "all-warnings"]
        done = subprocess.run([compiler, *options, "-o", str(out), str(SOURCE)], capture_output=True, text=True)
        if done.returncode != 0:
            raise EngineError(f"{SOURCE.name}: nvcc refuses it: {' '.join(done.stderr.split())[:200]}")
        return out.read_bytes()


def register(kernels: bytes | None = None) -> None:
    """Add ``rtmatte::pool`` and ``rtmatte::unpool`` to TensorRT's registry; once a process.

    Raises:
        EngineError: TensorRT has no such plugins, or nvcc is missing.
    """
    try:
        trtp: Any = importlib.import_module("tensorrt.plugin")
        trt: Any = importlib.import_module("tensorrt")
    except ImportError as error:
        raise EngineError(f"plugins need the full TensorRT, 10.7 or later ({error})") from error
    ptx = (kernels or compile_kernels()).decode()
    types = {trt.float32: "fp32", trt.float16: "fp16", trt.bfloat16: "bf16"}

    def launch(windows: Any, width: Any) -> tuple[Any, Any]:
        parameters = trtp.KernelLaunchParams()
        parameters.grid_x, parameters.block_x, parameters.shared_mem = trtp.cdiv(windows, THREADS), THREADS, 0
        numbers = trtp.SymIntExprs(2)
        numbers[0], numbers[1] = trtp.SymInt32(windows), trtp.SymInt32(width)
        return parameters, numbers

    @trtp.register(f"{NAMESPACE}::pool")  # type: ignore[untyped-decorator]
    def describe_pool(x: trtp.TensorDesc) -> tuple[trtp.TensorDesc, trtp.TensorDesc]:
        maxima, winners = x.like(), x.like()
        winners.dtype = trt.int8
        for described in (maxima, winners):
            described.shape_expr[2], described.shape_expr[3] = x.shape_expr[2] // 2, x.shape_expr[3] // 2
        return maxima, winners

    @trtp.aot_impl(f"{NAMESPACE}::pool")  # type: ignore[untyped-decorator]
    def launch_pool(x: trtp.TensorDesc, outputs: tuple[trtp.TensorDesc], tactic: int) -> tuple[str, str, Any, Any]:
        return (f"pool_{types[x.dtype]}", ptx, *launch(outputs[0].shape_expr.numel(), outputs[0].shape_expr[3]))

    @trtp.register(f"{NAMESPACE}::unpool")  # type: ignore[untyped-decorator]
    def describe_unpool(values: trtp.TensorDesc, winners: trtp.TensorDesc) -> trtp.TensorDesc:
        spread = values.like()
        spread.shape_expr[2], spread.shape_expr[3] = values.shape_expr[2] * 2, values.shape_expr[3] * 2
        return spread

    @trtp.aot_impl(f"{NAMESPACE}::unpool")  # type: ignore[untyped-decorator]
    def launch_unpool(
        values: trtp.TensorDesc, winners: trtp.TensorDesc, outputs: tuple[trtp.TensorDesc], tactic: int
    ) -> tuple[str, str, Any, Any]:
        return (f"unpool_{types[values.dtype]}", ptx, *launch(values.shape_expr.numel(), values.shape_expr[3]))
