"""Descriptions of engines, the cache, and how an engine is found for a network."""

import hashlib
import json
import logging
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from realtime_matting.engines import open_engine
from realtime_matting.engines.availability import TINY_NETWORK, _check_engine
from realtime_matting.engines.engine_file import EngineFile, engine_cache, engines_of, list_engines
from realtime_matting.errors import EngineError, InputError
from realtime_matting.matting.matter import Matter
from realtime_matting.models.bundle import Bundle


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty engine cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "rtmatte" / "engines"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def network(tmp_path) -> Path:
    """An ONNX file: alpha = Relu(rgb)."""
    path = tmp_path / "bundle" / "alpha.onnx"
    path.parent.mkdir()
    path.write_bytes(TINY_NETWORK)
    return path


def build(gpu, network: Path, folder: Path, name: str = "a", *, plan: dict | None = None, **record: object) -> Path:
    """An engine of the stand-in for ``network``, in ``folder``."""
    record = {"onnx_sha256": hashlib.sha256(network.read_bytes()).hexdigest(), **record}
    made = gpu.engine(record=record, **(plan or {}))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.engine"
    shutil.move(made, target)
    shutil.move(f"{made}.json", f"{target}.json")
    return target


def test_the_cache_follows_xdg_and_ignores_a_relative_path(cache, monkeypatch):
    assert engine_cache() == cache
    for value in ("relative/path", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert engine_cache() == Path.home() / ".cache" / "rtmatte" / "engines"


def test_engines_are_found_by_checksum_the_newest_first(gpu, network, cache):
    old = build(gpu, network, cache, "old", created="2026-01-01T00:00:00Z", precision="fp32")
    new = build(gpu, network, cache / "below", "new", created="2026-03-01T00:00:00+02:00")
    beside = build(gpu, network, network.parent, "beside", created="2026-02-01T00:00:00Z")
    build(gpu, network, cache, "other", onnx_sha256="0" * 64)
    assert [file.path for file in engines_of(network)] == [new, beside, old]
    assert [file.path for file in engines_of(network, "fp32")] == [old]
    network.write_bytes(TINY_NETWORK + b"\n")
    os.utime(network, (1, 1))
    assert engines_of(network) == []


def test_descriptions_that_cannot_be_read_are_listed_and_do_no_harm(gpu, network, cache):
    good = build(gpu, network, cache, "good")
    (cache / "alone.engine").write_bytes(b"")
    (cache / "half.engine").write_bytes(b"")
    (cache / "half.engine.json").write_text('{"flavour": "tens')
    found, broken = list_engines([cache])
    assert [file.path for file in found] == [good]
    assert len(broken) == 2
    assert all("\n" not in line for line in broken)


def test_keys_of_later_versions_are_left_alone(gpu):
    path = gpu.engine(record={"engine_sha256": "0" * 64, "something": {"new": 1}})
    assert EngineFile.read(path).record.stride == 16


def test_the_engine_of_a_network_is_opened_by_name(gpu, network, cache):
    build(gpu, network, cache)
    opened = open_engine(network, engine="tensorrt")
    assert opened.name == "TensorRT 10.13.2 Stand-in 4000 fp16"
    rgb = np.ones((1, 3, 32, 32), np.float32)
    assert (opened({"rgb": rgb})["alpha"] == 2).all()


def test_the_precision_asked_for_is_the_one_that_runs(gpu, network, cache):
    build(gpu, network, cache, "half")
    build(gpu, network, cache, "full", precision="fp32", created="2020-01-01T00:00:00Z")
    assert open_engine(network, engine="tensorrt", precision="f32").name.endswith("fp32")
    assert open_engine(network, engine="tensorrt", precision="f16").name.endswith("fp16")
    with pytest.raises(EngineError, match=r"no TensorRT engine was built from alpha.onnx in bf16 on this machine"):
        open_engine(network, engine="tensorrt", precision="bf16")


def test_an_engine_that_does_not_fit_is_passed_over_for_an_older_that_does(gpu, network, cache):
    build(gpu, network, cache, "foreign", version="11.0.0.1")
    fits = build(gpu, network, cache, "fits", created="2020-01-01T00:00:00Z", precision="fp32")
    assert open_engine(network, engine="tensorrt").name.endswith("fp32")
    fits.unlink()
    with pytest.raises(EngineError, match=r"was built by TensorRT 11.0.0.1, and 10.13.2.6 is installed"):
        open_engine(network, engine="tensorrt")


def test_each_size_goes_to_the_engine_that_was_built_for_it(gpu, network, cache):
    fixed = {side: {"rgb": gpu.sizes(side, side, side)} for side in (32, 64)}
    for side, profile in fixed.items():
        build(gpu, network, cache, str(side), plan={"profiles": [profile], "gain": float(side)})
    opened = open_engine(network, engine="tensorrt")
    for side in (32, 64, 32, 64, 64):
        assert (opened({"rgb": np.ones((1, 3, side, side), np.float32)})["alpha"] == side).all()
    with pytest.raises(EngineError, match=r"rgb is 1x3x48x48, and the engine was built for 1x3x(32x32|64x64) or 1x3x"):
        opened({"rgb": np.ones((1, 3, 48, 48), np.float32)})
    opened.close()
    opened.close()
    assert gpu.driver.used == 0


def test_an_engine_that_is_refused_when_its_size_comes_says_why(gpu, network, cache):
    profiles = [{"rgb": gpu.sizes(64, 64, 64)}]
    foreign = {"name": "NVIDIA A10", "capability": "8.6"}
    build(gpu, network, cache, "64", plan={"profiles": profiles}, device=foreign, created="2020-01-01T00:00:00Z")
    build(gpu, network, cache, "32", plan={"profiles": [{"rgb": gpu.sizes(32, 32, 32)}]})
    opened = open_engine(network, engine="tensorrt")
    assert (opened({"rgb": np.ones((1, 3, 32, 32), np.float32)})["alpha"] == 2).all()
    for _ in range(2):
        with pytest.raises(EngineError, match=r"was built for NVIDIA A10"):
            opened({"rgb": np.ones((1, 3, 64, 64), np.float32)})
    with pytest.raises(EngineError, match=r"takes rgb; it was given nothing"):
        opened({})


def test_an_engine_file_can_be_given_itself(gpu):
    path = gpu.engine()
    assert open_engine(path).name.startswith("TensorRT")
    assert open_engine(path, engine="tensorrt").name.startswith("TensorRT")
    with pytest.raises(InputError, match="is a TensorRT engine, which openvino cannot run"):
        open_engine(path, engine="openvino")


def test_auto_takes_tensorrt_where_an_engine_was_built(gpu, network, cache, caplog):
    build(gpu, network, cache)
    with caplog.at_level(logging.INFO):
        assert open_engine(network).name.startswith("TensorRT")
    assert caplog.messages == ["alpha.onnx runs on TensorRT 10.13.2 Stand-in 4000 fp16"]


def test_auto_warns_when_an_engine_was_built_and_cannot_be_used(gpu, network, cache, caplog):
    build(gpu, network, cache, device={"name": "NVIDIA A10", "capability": "8.6"})
    with caplog.at_level(logging.INFO):
        assert open_engine(network).name.startswith("OpenVINO")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "was built for NVIDIA A10 (compute capability 8.6), and this GPU has 8.9" in record.getMessage()


def test_auto_says_without_a_warning_why_engines_that_nobody_set_up_are_not_used(network, caplog):
    with caplog.at_level(logging.INFO):
        assert open_engine(network).name.startswith("OpenVINO")
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert "tensorrt: no TensorRT engine was built from alpha.onnx" in record.getMessage()


def test_the_matter_takes_the_new_name(gpu, network, cache, tmp_path):
    role = {"stride": 16, "long_side": 64, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}
    card = {
        "name": "red-people",
        "version": "1.0.0",
        "licence": "CC0-1.0",
        "description": "Red is half a person.",
        "training_data": [{"name": "none", "licence": "CC0-1.0", "attribution": "computed by hand"}],
        "roles": {"alpha": role},
    }
    bundle = Bundle.write(tmp_path / "red", card, {"alpha": TINY_NETWORK})
    build(gpu, bundle.path("alpha"), cache, plan={"gain": 0.5})
    with Matter(bundle.folder, engine="tensorrt") as matter:
        assert matter.describe() == "red-people 1.0.0 on TensorRT 10.13.2 Stand-in 4000 fp16"
        frame = np.full((48, 60, 3), (255, 0, 0), np.uint8)  # padded to 48 by 64 for the network
        for _ in range(3):
            np.testing.assert_allclose(matter(frame).alpha, np.full((48, 60), 0.5), atol=0.02)
    assert gpu.trt.executions >= 1


def test_the_matter_names_the_network_without_an_engine(gpu, green_bundle):
    with pytest.raises(EngineError, match=r"no TensorRT engine was built from trimap.onnx"):
        Matter(green_bundle, engine="tensorrt")


def test_doctor_counts_engines_and_says_why_others_do_not_fit(gpu, network, cache, monkeypatch):
    monkeypatch.setattr("realtime_matting.engines.availability.driver_is_installed", lambda: True)
    monkeypatch.setattr("realtime_matting.engines.availability.sys.platform", "linux")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    none = _check_engine("tensorrt")
    assert not none.usable
    assert none.detail == "TensorRT 10.13.2, Stand-in 4000 with 64 MiB, CUDA 13.2; no engine was built for it"
    assert none.fix == "python -m export.build_engine --fp16"
    build(gpu, network, cache, "fits")
    build(gpu, network, cache, "old", version="9.0.0")
    build(gpu, network, cache, "rtx", flavour="tensorrt_rtx", version="1.7.1.116")
    found = _check_engine("tensorrt")
    assert found.usable
    assert f"; 1 engine in {cache}; not usable: " in found.detail
    assert "old.engine was built by TensorRT 9.0.0, and 10.13.2.6 is installed" in found.detail
    assert "rtx.engine needs TensorRT for RTX: pip install 'rtmatte[tensorrt-rtx]'" in found.detail


def test_the_description_is_json_that_people_can_read(gpu):
    path = gpu.engine()
    content = json.loads(path.with_name("alpha.engine.json").read_text())
    assert EngineFile.read(path).record.profiles["rgb"].opt == tuple(content["profiles"]["rgb"]["opt"])
