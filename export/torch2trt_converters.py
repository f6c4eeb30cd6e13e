"""Converters of our pooling with indices and unpooling for torch2trt, which has none.

torch2trt (0.5) needs TensorRT 10: it asks for explicit batches and sets the FP16 flag, both gone in 11. Where it is
installed, call :func:`register` before ``torch2trt(network, …)``. The rewrite is *up-first* (:mod:`export.unpooling`)
in layers of TensorRT; the record that goes from a pooling to its unpooling is the mask of winners. Sizes are fixed, as
the ranks within the windows are a constant of the picture's size.
"""

import importlib
from typing import Any

import numpy as np

from realtime_matting.errors import EngineError
from train.networks.pooling import MaxPool, MaxUnpool

TWICE = (1.0, 1.0, 2.0, 2.0)
NEWEST = 10


def register() -> None:
    """Add both converters to torch2trt's registry.

    Raises:
        EngineError: torch2trt is not installed, or TensorRT is not one that it can drive.
    """
    try:
        torch2trt, trt = importlib.import_module("torch2trt"), importlib.import_module("tensorrt")
    except ImportError as error:
        raise EngineError(
            f"torch2trt cannot be used: {error}; python -m export.build_engine does without it"
        ) from error
    version = getattr(trt, "__version__", "of unknown version")
    if version.split(".")[0] != str(NEWEST):
        raise EngineError(f"torch2trt needs TensorRT {NEWEST}, here is {version}; use python -m export.build_engine")
    # The methods, not the functions they call: torch2trt converts the outermost call that it knows.
    torch2trt.tensorrt_converter(MaxPool.forward)(lambda ctx: convert_pool(ctx, trt))
    torch2trt.tensorrt_converter(MaxUnpool.forward)(lambda ctx: convert_unpool(ctx, trt))


def convert_pool(ctx: Any, trt: Any) -> None:
    """``MaxPool.forward(self, x)`` → (maxima, record): the record's tensor is the mask of winners."""
    x, (pooled, record) = _argument(ctx, 1, "x"), ctx.method_return
    network, height, width = ctx.network, x.shape[-2], x.shape[-1]
    rank = 4 - 2 * (np.arange(height) % 2)[:, None] - np.arange(width) % 2
    ranks = _constant(network, rank.astype(np.float32)[None, None])
    maxima = _pooled(network, trt, x._trt)
    is_maximum = _equal(network, trt, x._trt, _enlarged(network, trt, maxima))
    ranked = network.add_select(is_maximum, ranks, _constant(network, np.zeros((1, 1, 1, 1), np.float32))).get_output(0)
    best = _enlarged(network, trt, _pooled(network, trt, ranked))
    pooled._trt, record._trt = maxima, _equal(network, trt, ranked, best)


def convert_unpool(ctx: Any, trt: Any) -> None:
    """``MaxUnpool.forward(self, x, record)`` → values at the winners, 0 elsewhere."""
    x, record, network = _argument(ctx, 1, "x"), _argument(ctx, 2, "record"), ctx.network
    zero = _constant(network, np.zeros((1, 1, 1, 1), np.float32))
    enlarged = _enlarged(network, trt, x._trt)
    ctx.method_return._trt = network.add_select(record._trt, enlarged, zero).get_output(0)


def _argument(ctx: Any, place: int, name: str) -> Any:
    return ctx.method_args[place] if len(ctx.method_args) > place else ctx.method_kwargs[name]


def _pooled(network: Any, trt: Any, x: Any) -> Any:
    layer = network.add_pooling_nd(x, trt.PoolingType.MAX, (2, 2))
    layer.stride_nd = (2, 2)
    return layer.get_output(0)


def _enlarged(network: Any, trt: Any, x: Any) -> Any:
    layer = network.add_resize(x)
    layer.scales = TWICE
    layer.resize_mode = trt.InterpolationMode.NEAREST
    return layer.get_output(0)


def _equal(network: Any, trt: Any, a: Any, b: Any) -> Any:
    return network.add_elementwise(a, b, trt.ElementWiseOperation.EQUAL).get_output(0)


def _constant(network: Any, values: Any) -> Any:
    return network.add_constant(values.shape, np.ascontiguousarray(values)).get_output(0)
