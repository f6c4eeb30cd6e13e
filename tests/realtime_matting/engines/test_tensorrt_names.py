"""The names of TensorRT that the runtime uses: those of 10, of 11 and of TensorRT for RTX.

There is no TensorRT to run on a machine without a GPU, so what could only fail there is checked by name: against the
published type stubs of 10 (with mypy), and against the bindings of TensorRT for RTX, which are of the generation of 11.
"""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from realtime_matting.engines import tensorrt, tensorrt_ports, tensorrt_runtime, tensorrt_session
from realtime_matting.engines.engine_file import EngineFile
from realtime_matting.errors import EngineError

ROOT = Path(__file__).parents[3]
SOURCES = tuple(str(module.__file__) for module in (tensorrt, tensorrt_ports, tensorrt_runtime, tensorrt_session))
# What builds engines is checked by its types here, and by its names beside its other tests.
BUILDER = str(ROOT / "export" / "tensorrt_builder.py")
USED = {
    "Runtime": {"deserialize_cuda_engine"},
    "ILogger": {"Severity", "log"},
    "ICudaEngine": {
        "create_execution_context",
        "get_tensor_dtype",
        "get_tensor_mode",
        "get_tensor_name",
        "get_tensor_profile_shape",
        "get_tensor_shape",
        "num_io_tensors",
        "num_optimization_profiles",
    },
    "IExecutionContext": {
        "active_optimization_profile",
        "execute_async_v3",
        "get_tensor_shape",
        "set_device_memory",
        "set_input_shape",
        "set_optimization_profile_async",
        "set_tensor_address",
        "update_device_memory_size_for_shapes",
    },
    "DataType": {"FLOAT", "HALF"},
    "TensorIOMode": {"INPUT"},
    "ExecutionContextAllocationStrategy": {"USER_MANAGED"},
}
ONLY_RTX = {"is_stream_capturable"}
# Members of these classes that 10 has and the generation of 11 no longer, TensorRT for RTX 1.7 among it.
REMOVED_IN_11 = {
    "create_execution_context_without_device_memory",
    "device_memory_size",
    "get_device_memory_size_for_profile",
    "has_implicit_batch_dimension",
    "minimum_weight_streaming_budget",
    "weight_streaming_budget",
}


def stubs() -> Path:
    try:
        files = importlib.metadata.files("tensorrt-stubs")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("tensorrt-stubs is not installed: pip install --no-deps tensorrt-stubs")
    return Path(str(next(f for f in files if f.name == "tensorrt.pyi").locate())).parents[1]


def members_in_sources() -> set[str]:
    """Attributes that the runtime takes from TensorRT's modules and objects, read from its own syntax tree."""
    objects = {"engine", "context", "runtime", "module", "severity"} | set(USED)
    found = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(Path(source).read_text())):
            if isinstance(node, ast.Attribute):
                owner = node.value
                name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
                if name in objects:
                    found.add(node.attr)
    return found


def test_the_list_is_what_the_sources_use():
    classes_and_levels = {"__version__", "INTERNAL_ERROR", "ERROR", "WARNING", "INFO"}
    members = set().union(*USED.values())
    assert members_in_sources() - classes_and_levels - set(USED) <= members
    assert members - {"log"} <= members_in_sources()


def test_nothing_that_11_removed_is_used():
    assert not (set().union(*USED.values()) & REMOVED_IN_11)


def test_every_name_is_in_the_stubs_of_10():
    text = (stubs() / "tensorrt_bindings" / "tensorrt.pyi").read_text()
    for name, members in USED.items():
        body = re.search(rf"^class {name}\b.*?(?=^\S)", text, re.MULTILINE | re.DOTALL)
        assert body, name
        for member in members | (REMOVED_IN_11 if name == "ICudaEngine" else set()):
            assert re.search(rf"^    (?:def |class )?{member}\b", body[0], re.MULTILINE), f"{name}.{member}"


def test_every_name_is_in_tensorrt_for_rtx():
    trt = pytest.importorskip("tensorrt_rtx")
    for name, members in USED.items():
        for member in members:
            assert hasattr(getattr(trt, name), member), f"{name}.{member}"
    for member in REMOVED_IN_11:
        assert not hasattr(trt.ICudaEngine, member)
    for member in ONLY_RTX:
        assert hasattr(trt.IExecutionContext, member)


def test_mypy_passes_against_the_published_stubs(tmp_path):
    pytest.importorskip("mypy")
    for package in ("tensorrt", "tensorrt_bindings"):
        for source in (stubs() / package).glob("*.pyi"):
            target = tmp_path / "stubs" / package / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            # Two slips keep the stubs from being Python: parameters called "in", and one without a default after some
            # that have one.
            text = re.sub(r"\bin: ", "in_: ", source.read_text())
            target.write_text(re.sub(r"(Weights) = None(?=.*, channel_axis: int\))", r"\1", text))
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import tensorrt as trt\n\ndef f(context: trt.IExecutionContext) -> None:\n    context.execute_async_v9(1)\n"
    )
    options = ["--strict", "--no-warn-unused-ignores", f"--cache-dir={tmp_path / 'cache'}", "--no-color-output"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *SOURCES, BUILDER, wrong],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(tmp_path / "stubs")},
    )
    lines = done.stdout.splitlines()
    assert any('"IExecutionContext" has no attribute "execute_async_v9"' in line for line in lines), done.stdout[-2000:]
    assert [line for line in lines if line.startswith(("realtime_matting", "export"))] == []


@pytest.fixture(scope="module")
def real_engine(tmp_path_factory) -> bytes:
    """An engine of TensorRT for RTX, built here: alpha = Relu(rgb), for 32 to 128 pixels a side."""
    pytest.importorskip("tensorrt_rtx")
    loaded = tensorrt_runtime.load_tensorrt("tensorrt_rtx")
    trt = loaded.module
    builder = trt.Builder(loaded.logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    relu = network.add_activation(network.add_input("rgb", trt.DataType.FLOAT, (1, 3, -1, -1)), trt.ActivationType.RELU)
    relu.get_output(0).name = "alpha"
    network.mark_output(relu.get_output(0))
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("rgb", (1, 3, 32, 32), (1, 3, 64, 64), (1, 3, 128, 128))
    config.add_optimization_profile(profile)
    return bytes(builder.build_serialized_network(network, config))


def real_file(folder: Path, content: bytes) -> EngineFile:
    from realtime_matting.engines.tensorrt_runtime import installed_version

    sides = {"min": [1, 3, 32, 32], "opt": [1, 3, 64, 64], "max": [1, 3, 128, 128]}
    record = {
        "flavour": "tensorrt_rtx",
        "version": installed_version("tensorrt_rtx"),
        "precision": "fp32",
        "role": "alpha",
        "bundle_sha256": "b" * 64,
        "onnx_sha256": "a" * 64,
        "device": {"name": "any", "capability": "portable"},
        "profiles": {"rgb": sides},
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
        "stride": 1,
        "created": "2026-11-01T12:00:00Z",
    }
    (folder / "relu.engine").write_bytes(content)
    (folder / "relu.engine.json").write_text(json.dumps(record))
    return EngineFile.read(folder / "relu.engine")


def test_a_real_engine_without_a_driver_is_refused_in_one_line(real_engine, tmp_path):
    pytest.importorskip("cuda.bindings")
    from realtime_matting.engines.availability import driver_is_installed

    if driver_is_installed():
        pytest.skip("this machine has an NVIDIA driver")
    file = real_file(tmp_path, real_engine)
    loaded = tensorrt_runtime.load_tensorrt("tensorrt_rtx")
    with pytest.raises(EngineError, match=r"cannot load this engine \(there is no NVIDIA driver, or it is too old\)"):
        loaded.deserialize(file)
    with pytest.raises(EngineError, match=r"no NVIDIA driver is installed"):
        tensorrt.TensorRtEngine(file.path)


def test_an_installed_flavour_tells_its_version_without_being_imported():
    try:
        version = importlib.metadata.version("tensorrt-rtx-cu13")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("TensorRT for RTX is not installed")
    code = (
        "import sys\nfrom realtime_matting.engines.tensorrt_runtime import installed_version\n"
        "print(installed_version('tensorrt_rtx'), 'tensorrt_rtx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{version} False\n"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Serialization assertion header.magicTag == kEXPECTED_MAGIC_TAG failed.", "another version of TensorRT"),
        ("The engine plan file is generated on an incompatible device, expecting compute 8.6", "another kind of GPU"),
        ("Error Code 2: OutOfMemory (Requested size was 123 bytes.)", "out of memory"),
        ("(cudaError 35: CUDA driver version is insufficient for CUDA runtime version)", "no NVIDIA driver"),
        ("Something else\nover two lines", "Something else over two lines"),
    ],
)
def test_what_tensorrt_says_is_explained(said, meant):
    errors = tensorrt_runtime.LastErrors()
    errors.add(said)
    assert meant in tensorrt_runtime.explain(errors.take()).what
    assert errors.take() == []


def test_silence_and_long_messages_stay_short():
    assert tensorrt_runtime.explain([]).what == "it does not say why"
    assert len(tensorrt_runtime.explain(["x" * 1000]).what) == 200
