"""ONNX Runtime's execution providers: refused where they cannot compute, never replaced by the CPU in silence."""

import logging
import sys

import numpy as np
import pytest

from realtime_matting.engines import onnxruntime, open_engine
from realtime_matting.engines.availability import TINY_NETWORK
from realtime_matting.engines.onnxruntime import PROVIDERS, OnnxRuntimeEngine
from realtime_matting.errors import EngineError

ort = onnxruntime.ort
NAMES = {"cuda": "CUDA", "directml": "DirectML", "coreml": "CoreML"}


@pytest.fixture
def network(tmp_path, monkeypatch):
    """alpha = Relu(rgb), with no engine built from it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "net.onnx"
    path.write_bytes(TINY_NETWORK)
    return path


class Sessions:
    """Lets ONNX Runtime seem to have a provider, and keeps what it was asked; the session computes on the CPU."""

    def __init__(self, monkeypatch, *, starts: bool) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.options = None
        real = ort.InferenceSession
        names = [provider.execution_provider for provider in PROVIDERS.values()]

        def session(path, options, providers):
            self.asked, self.options = providers, options
            opened = real(path, options, providers=["CPUExecutionProvider"])
            if starts:
                monkeypatch.setattr(opened, "get_providers", lambda: [providers[0][0], "CPUExecutionProvider"])
            return opened

        monkeypatch.setattr(ort, "get_available_providers", lambda: names)
        monkeypatch.setattr(ort, "InferenceSession", session)
        monkeypatch.setattr(ort, "preload_dlls", lambda: print("Failed to load libcublasLt.so.13\nand more"))


@pytest.mark.parametrize("provider", NAMES)
def test_a_provider_the_package_does_not_have_names_the_package_that_does(network, provider):
    if PROVIDERS[provider].execution_provider in ort.get_available_providers():
        pytest.skip(f"ONNX Runtime here has {provider}")
    with pytest.raises(EngineError, match=f"has no {NAMES[provider]} provider .*pip install") as caught:
        open_engine(network, engine=f"onnxruntime-{provider}")
    assert PROVIDERS[provider].package in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("provider", NAMES)
def test_a_provider_that_is_not_started_is_an_error_and_not_the_cpu(network, provider, monkeypatch, capfd):
    Sessions(monkeypatch, starts=False)
    with pytest.raises(EngineError, match=f"ONNX Runtime's {NAMES[provider]} provider cannot be started") as caught:
        open_engine(network, engine=f"onnxruntime-{provider}")
    assert ("libcublasLt" in str(caught.value)) == (provider == "cuda")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("provider", NAMES)
def test_a_provider_that_is_started_runs_under_its_name(network, provider, monkeypatch):
    sessions = Sessions(monkeypatch, starts=True)
    opened = open_engine(network, engine=f"onnxruntime-{provider}")
    assert opened.name == f"ONNX Runtime {NAMES[provider]}"
    assert [name for name, _ in sessions.asked] == [PROVIDERS[provider].execution_provider]
    rgb = np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 3, 4, 4)
    np.testing.assert_array_equal(opened({"rgb": rgb})["alpha"], np.maximum(rgb, 0))


def test_float32_is_kept_where_a_provider_would_round(network, monkeypatch):
    sessions = Sessions(monkeypatch, starts=True)
    assert OnnxRuntimeEngine(network, provider="cuda", precision="f32").name == "ONNX Runtime CUDA f32"
    assert sessions.asked[0][1]["use_tf32"] == "0"
    OnnxRuntimeEngine(network, provider="cuda")
    assert sessions.asked[0][1]["use_tf32"] == "1"
    OnnxRuntimeEngine(network, provider="coreml", precision="f32")
    assert sessions.asked[0][1]["MLComputeUnits"] == "CPUOnly"
    with pytest.raises(EngineError, match="f32 on the CUDA, not in f16; use the tensorrt engine"):
        OnnxRuntimeEngine(network, provider="cuda", precision="f16")


def test_directml_gets_the_two_settings_it_needs(network, monkeypatch):
    sessions = Sessions(monkeypatch, starts=True)
    OnnxRuntimeEngine(network, provider="directml")
    assert sessions.options.enable_mem_pattern is False
    assert sessions.options.execution_mode == ort.ExecutionMode.ORT_SEQUENTIAL


def test_auto_takes_cuda_where_its_package_was_installed(network, monkeypatch):
    Sessions(monkeypatch, starts=True)
    monkeypatch.setattr("realtime_matting.engines._is_installed", lambda package: package == "onnxruntime-gpu")
    assert open_engine(network).name == "ONNX Runtime CUDA"


def test_auto_warns_when_the_package_is_there_and_cuda_does_not_start(network, monkeypatch, caplog):
    Sessions(monkeypatch, starts=False)
    monkeypatch.setattr("realtime_matting.engines._is_installed", lambda package: package == "onnxruntime-gpu")
    with caplog.at_level(logging.INFO):
        assert open_engine(network).name.startswith("OpenVINO")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "onnxruntime-cuda: ONNX Runtime's CUDA provider cannot be started" in record.getMessage()


def test_auto_does_not_import_onnx_runtime_to_look_for_a_gpu(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "realtime_matting.engines.onnxruntime")
    assert open_engine(network).name.startswith("OpenVINO")


def test_openvino_does_not_take_f16_for_its_own_choice(network):
    with pytest.raises(EngineError, match="computes in f32 or bf16 on the CPU, not in f16"):
        open_engine(network, engine="openvino", precision="f16")
