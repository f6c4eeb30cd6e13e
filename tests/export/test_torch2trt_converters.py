"""The converters against a network that computes what each layer says, and against a real TensorRT network."""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from export.torch2trt_converters import convert_pool, convert_unpool, register
from realtime_matting.errors import EngineError
from train.networks.pooling import MaxPool, MaxUnpool


class Layer:
    """A layer whose output is computed when it is asked for, after its settings have been made."""

    def __init__(self, kind: str, compute) -> None:
        self.kind, self.compute = kind, compute

    def get_output(self, index: int) -> Tensor:
        assert index == 0
        return self.compute(self)


class RecordingNetwork:
    """The five layers of TensorRT that the converters add, by what NVIDIA's reference says they compute."""

    def __init__(self) -> None:
        self.layers: list[str] = []

    def _add(self, kind: str, compute) -> Layer:
        self.layers.append(kind)
        return Layer(kind, compute)

    def add_pooling_nd(self, x, kind, window):
        return self._add("pooling", lambda layer: F.max_pool2d(x, window, layer.stride_nd))

    def add_resize(self, x):
        return self._add("resize", lambda layer: F.interpolate(x, scale_factor=layer.scales[2:], mode="nearest"))

    def add_elementwise(self, a, b, operation):
        return self._add("equal", lambda layer: a == b)

    def add_select(self, condition, a, b):
        return self._add("select", lambda layer: torch.where(condition, a, b))

    def add_constant(self, shape, values):
        assert values.shape == tuple(shape)
        return self._add("constant", lambda layer: torch.from_numpy(values))


TRT = SimpleNamespace(
    PoolingType=SimpleNamespace(MAX="max"),
    InterpolationMode=SimpleNamespace(NEAREST="nearest"),
    ElementWiseOperation=SimpleNamespace(EQUAL="equal"),
)


def context(network, *args, result) -> SimpleNamespace:
    return SimpleNamespace(network=network, method_args=args, method_kwargs={}, method_return=result)


@pytest.mark.parametrize("kind", ["random", "relu", "zeros", "tied"])
def test_converted_pooling_and_unpooling_are_bit_exact(kind):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 3, 8, 12, generator=generator)
    x = {"random": x, "relu": x.relu(), "zeros": x * 0, "tied": x.round()}[kind]
    network, pool, unpool = RecordingNetwork(), MaxPool(), MaxUnpool()
    x._trt = x
    pooled, record = pool(x)
    convert_pool(context(network, pool, x, result=(pooled, record)), TRT)
    assert torch.equal(pooled._trt, pooled)
    values = torch.randn(1, 3, 4, 6, generator=generator)
    values._trt = values
    spread = unpool(values, record)
    convert_unpool(context(network, unpool, values, record, result=spread), TRT)
    assert torch.equal(spread._trt, spread)
    assert network.layers == [
        *("constant", "pooling", "resize", "equal", "constant", "select", "pooling", "resize", "equal"),
        *("constant", "resize", "select"),
    ]


def test_the_layers_build_in_a_real_tensorrt():
    trt = pytest.importorskip("tensorrt_rtx", reason="pip install 'rtmatte[tensorrt-rtx]' has a real network")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    pool, unpool, x = MaxPool(), MaxUnpool(), torch.zeros(1, 3, 8, 12)
    x._trt = network.add_input("rgb", trt.float32, (1, 3, 8, 12))
    pooled, record = pool(x)
    convert_pool(context(network, pool, x, result=(pooled, record)), trt)
    assert tuple(record._trt.shape) == (1, 3, 8, 12)
    assert record._trt.dtype == trt.bool
    spread = unpool(pooled, record)
    convert_unpool(context(network, unpool, pooled, record, result=spread), trt)
    network.mark_output(spread._trt)
    assert builder.build_serialized_network(network, builder.create_builder_config()) is not None


def test_registration_hands_both_methods_over(monkeypatch):
    registered = {}
    torch2trt, tensorrt = ModuleType("torch2trt"), ModuleType("tensorrt")
    torch2trt.tensorrt_converter = lambda method: lambda converter: registered.update({method: converter})
    tensorrt.__version__ = "10.13.2"
    monkeypatch.setitem(sys.modules, "torch2trt", torch2trt)
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt)
    register()
    assert set(registered) == {MaxPool.forward, MaxUnpool.forward}
    tensorrt.__version__ = "11.0.0"
    with pytest.raises(EngineError, match=r"torch2trt needs TensorRT 10, here is 11\.0\.0"):
        register()


def test_without_torch2trt_the_line_says_what_to_use(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch2trt", None)
    with pytest.raises(EngineError, match=r"use python -m|does without it"):
        register()


@pytest.mark.gpu
@pytest.mark.skipif(importlib.util.find_spec("torch2trt") is None, reason="torch2trt is not installed")
def test_torch2trts_own_registry_takes_them():
    register()
    from torch2trt import CONVERTERS

    assert {MaxPool.forward, MaxUnpool.forward} <= set(CONVERTERS)
