"""Engines are really built here, by TensorRT for RTX, which needs no GPU; running them needs one."""

import ast
import functools
import hashlib
import inspect
import json
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
import torch
from rich.console import Console
from torch import nn
from typer.testing import CliRunner

import export.tensorrt_builder as builder_module
from export.build_engine import app
from export.engine_files import EngineDescription, why_not, write_engine
from export.engine_job import EngineJob, build_engines, build_source
from export.flavours import Device, load_flavour, target_device
from export.networks import ExportSource, open_export_source
from export.profiles import Profile, parse_profile, per_role
from realtime_matting.defaults import DEFAULT_MODEL
from realtime_matting.engines.engine_file import EngineFile, engine_cache
from realtime_matting.errors import BundleError, EngineError, InputError, MattingError, OutputError
from realtime_matting.models import Bundle
from train.checkpoints import Checkpoint, save_checkpoint
from train.networks import NETWORKS
from train.networks.dim import DIM
from train.networks.u2net import RSU, RSU4F, NestedU

CONSOLE = Console(quiet=True)


@pytest.fixture(scope="module")
def rtx():
    return pytest.importorskip("tensorrt_rtx", reason="pip install 'rtmatte[tensorrt-rtx]' builds real engines here")


def small_dim() -> DIM:
    """All layers of Deep Image Matting, with few channels."""
    return DIM(widths=(2, 3, 4, 4, 4))


def small_nested_u() -> NestedU:
    """All kinds of blocks of a U²-Net: six stages down, five up, with few channels."""
    down = [RSU(7, 3, 2, 4), RSU(6, 4, 2, 4), RSU(5, 4, 2, 4), RSU(4, 4, 2, 4), RSU4F(4, 2, 4), RSU4F(4, 2, 4)]
    up = [RSU4F(8, 2, 4), RSU(4, 8, 2, 4), RSU(5, 8, 2, 4), RSU(6, 8, 2, 4), RSU(7, 8, 2, 4)]
    return NestedU(down, up, [4] * 6)


def checkpoint(folder: Path, name: str, network: nn.Module, phase: str) -> Path:
    save_checkpoint(folder, Checkpoint(name, phase, 1, {}), network.state_dict(), None, None)
    return folder


@pytest.fixture(scope="module")
def open_source_of(tmp_path_factory, small_source, lively) -> Iterator[Callable[[str], ExportSource]]:
    """Toy checkpoints of the large networks, traced when first asked for; the small ones are the built-in bundles."""
    folder = tmp_path_factory.mktemp("runs")

    @functools.cache
    def opened(name: str) -> ExportSource:
        torch.manual_seed(0)
        if name in BUNDLES:
            return open_export_source(BUNDLES[name])
        if name == "shm":
            return small_source
        build, phase = {"dim": (small_dim, "stage3"), "u2net": (small_nested_u, "fine")}[name]
        return open_export_source(checkpoint(folder / name, f"small-{name}", lively(build()), phase))

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "small-dim", small_dim)
        patch.setitem(NETWORKS, "small-u2net", small_nested_u)
        yield opened


ROLES = {
    "shm": ["trimap", "matting"],
    "shm-mobile": ["trimap", "matting"],
    "dim": ["matting"],
    "u2net": ["alpha"],
    "u2netp": ["alpha"],
}
BUNDLES = {"shm-mobile": DEFAULT_MODEL, "u2netp": "u2netp-human"}


def test_no_registered_network_is_left_out():
    assert {name for name in NETWORKS if not name.startswith("small-")} == set(ROLES)


@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("sizes", ["96x64", "64x32,96x64,128x128"])
def test_every_network_becomes_a_real_engine(rtx, open_source_of, tmp_path, name, precision, sizes):
    job = EngineJob(precision=precision, flavour="tensorrt_rtx", shapes=[sizes], ranges="," in sizes, out=tmp_path)
    results = build_source(open_source_of(name), job, CONSOLE)
    assert [result.role for result in results] == ROLES[name]
    for result in results:
        assert result.types[precision] > sum(result.types.values()) / 2, "float32 is the exception"
        assert result.size > 10_000
        # What the runtime reads of it.
        record = EngineFile.read(result.path).record
        assert (record.role, record.precision, record.device.capability) == (result.role, precision, "portable")
        smallest, best, largest = (record.profiles["rgb"].min, record.profiles["rgb"].opt, record.profiles["rgb"].max)
        assert best == (1, 3, 64, 96)
        assert (smallest < best < largest) if job.ranges else (smallest == best == largest)
    assert not list(tmp_path.glob("*.partial"))


def test_a_good_engine_is_kept_and_any_other_is_built_again_with_the_reason(rtx, tmp_path):
    def build(**options) -> str:
        console = Console(record=True, file=open("/dev/null", "w"), width=200)  # noqa: SIM115
        with console.file:
            job = EngineJob(precision="fp32", flavour="tensorrt_rtx", shapes=["64x64"], out=tmp_path, **options)
            build_engines(job, console)
            return console.export_text()

    assert build().count("there is none yet") == 2
    assert "building" not in build()
    matting = tmp_path / f"{DEFAULT_MODEL}-matting-fp32-64x64-tensorrt_rtx.engine"
    description = matting.with_name(matting.name + ".json")
    content = json.loads(description.read_text())
    assert content["engine_sha256"] == hashlib.sha256(matting.read_bytes()).hexdigest()
    description.write_text(json.dumps(content | {"version": "1.0.0"}))
    assert f"it was made by another version (1.0.0, not {rtx.__version__})" in build()
    description.write_text(json.dumps(content | {"bundle_sha256": "0" * 64}))
    assert "it was made from another version of the model" in build()
    matting.write_bytes(matting.read_bytes()[:-100])
    assert "the file is damaged" in build()
    description.unlink()
    assert "its description is missing or damaged" in build()
    other = content | {"device": {"name": "compute capability 8.9", "capability": "8.9"}}
    description.write_text(json.dumps(other))
    assert "it was made for another GPU (compute capability 8.9, not any GPU of TensorRT for RTX)" in build()
    assert build(capability="8.9").count("there is none yet") == 2, "an engine for one GPU lies beside that for all"
    assert (tmp_path / f"{DEFAULT_MODEL}-matting-fp32-64x64-tensorrt_rtx-sm89.engine").is_file()
    assert "building" not in build()


def test_int8_and_verification_from_the_command_line(rtx, tmp_path):
    sample = str(Path(__file__).parents[2] / "realtime_matting" / "sample" / "talk.mp4")
    arguments = [
        "--shape",
        "trimap=64x64",
        "--shape",
        "matting=96x64",
        "--flavour",
        "tensorrt-rtx",
        "--out",
        str(tmp_path),
    ]
    result = CliRunner().invoke(app, [DEFAULT_MODEL, "--fp32", "--verify", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.output.count("agrees") == 4, "ONNX Runtime and OpenVINO, two roles"
    assert "key ×4" in result.output
    with pytest.raises(InputError, match="--int8 needs frames"):
        CliRunner().invoke(app, ["--int8", *arguments], catch_exceptions=False)
    assert Path(sample).is_file()


def test_ctrl_c_stops_a_build_and_leaves_no_half_engine(rtx, tmp_path):
    source = open_export_source().networks["matting"]
    stopped = threading.Event()

    def interrupt(phase: str, done: int, steps: int) -> None:
        if not stopped.is_set():
            stopped.set()
            signal.raise_signal(signal.SIGINT)

    options = builder_module.BuildOptions(Device("any", "portable"))
    shapes = Profile((64, 64), (64, 64), (64, 64)).shapes("matting")
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        builder_module.build(rtx, source.model.SerializeToString(), shapes, options, interrupt)
    assert stopped.is_set(), "TensorRT tells its progress"
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_graph_that_tensorrt_refuses_is_told_in_one_line(rtx):
    options = builder_module.BuildOptions(Device("any", "portable"))
    with pytest.raises(EngineError, match="tensorrt_rtx cannot read the graph: ") as caught:
        builder_module.build(rtx, b"not ONNX", {}, options)
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_the_old_engine_and_one_line(tmp_path):
    """A limit on the size of files stands for the full disk."""
    code = """
import resource, signal, sys
from pathlib import Path
from export.engine_files import write_atomically
from realtime_matting.errors import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path(sys.argv[1]), bytes(5000))
except OutputError as error:
    print(error)
"""
    path = tmp_path / "network.engine"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert re.fullmatch(
        r".*network\.engine: File too large while writing 0\.0 MB; free space or choose --out\n", done.stdout
    )
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    assert resource.RLIMIT_FSIZE is not None


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    wanted = description()
    with pytest.raises(OutputError, match="choose another --out"):
        write_engine(tmp_path / "file" / "x.engine", b"", wanted)


def description() -> EngineDescription:
    zero = "0" * 64
    profiles = Profile((64, 64), (64, 64), (64, 64)).shapes("alpha")
    half = (0.5, 0.5, 0.5)
    device = Device("any", "portable")
    return EngineDescription(
        "tensorrt_rtx", "1.7.1", "fp16", "alpha", zero, zero, zero, device, profiles, half, half, 32
    )


def test_an_engine_without_its_description_is_none(tmp_path):
    path = tmp_path / "x.engine"
    assert why_not(path, description()) == "there is none yet"
    write_engine(path, b"engine", description())
    assert why_not(path, description()) is None
    assert EngineFile.read(path).record.stride == 32


def test_engines_go_where_the_runtime_looks(rtx, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    job = EngineJob(precision="fp32", flavour="tensorrt_rtx", shapes=["64x64"])
    assert {result.path.parent for result in build_engines(job, CONSOLE)} == {engine_cache()}
    assert engine_cache().is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fp16", "--fp32"], "--fp16 and --fp32: choose one precision"),
        (["--shape", "64x64", "--dynamic", "64x64,64x64,64x64"], "give one, fixed sizes or a range"),
        (["--shape", "100x64"], "100x64: the trimap network takes multiples of its stride 32; the nearest is 96x64"),
        (["--shape", "large"], "'large' is not a size"),
        (["--shape", "refine=64x64"], "there is no role 'refine' here; there is trimap and matting"),
        (["--dynamic", "64x64"], "give three sizes"),
        (["--dynamic", "128x128,64x64,256x256"], "in the order smallest, best, largest"),
        (["nothing-here"], "no such model or folder"),
        (["--target", "openvino"], "say where with --out"),
        (["--target", "openvino", "--shape", "64x64", "--out", "x"], "makes a bundle for any size"),
        (["--target", "onnxruntime", "--bf16", "--out", "x"], "has no bf16 on a CPU"),
        (["--target", "openvino", "--fp16", "--out", "x"], "computes in float32, bf16 or int8"),
    ],
)
def test_wrong_options_are_told_in_one_line(arguments, said):
    with pytest.raises(MattingError, match=re.escape(said)) as caught:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "\n" not in str(caught.value)


def test_checkpoints_of_a_part_are_refused(tmp_path, monkeypatch, small_checkpoint):
    for phase, part in (("t_net", "T-Net"), ("m_net", "M-Net")):
        folder = tmp_path / phase
        folder.mkdir()
        for file in small_checkpoint.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        about = json.loads((folder / "checkpoint.json").read_text())
        (folder / "checkpoint.json").write_text(json.dumps(about | {"phase": phase}))
        with pytest.raises(InputError, match=f"phase {phase} has trained the {part} alone"):
            open_export_source(folder)


def test_a_checkpoint_with_the_weights_of_another_network_is_refused(tmp_path):
    folder = checkpoint(tmp_path / "wrong", "u2netp", small_dim(), "fine")
    with pytest.raises(InputError, match="weights of another network"):
        open_export_source(folder)
    about = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps(about | {"network": "modnet"}))
    with pytest.raises(InputError, match="unknown network 'modnet'"):
        open_export_source(folder)


def test_a_corrupt_network_is_refused(green_bundle, tmp_path):
    good = Bundle.load(green_bundle)
    manifest = good.manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
    networks = {role: good.path(role).read_bytes() for role in good.roles}
    corrupt = Bundle.write(tmp_path / "corrupt", manifest, networks | {"trimap": b"\xff\xff\xff\xff"})
    with pytest.raises(BundleError, match=r"trimap\.onnx: not a valid ONNX file") as caught:
        open_export_source(corrupt.folder)
    assert "\n" not in str(caught.value)
    swapped = Bundle.write(tmp_path / "swapped", manifest, networks | {"trimap": networks["matting"]})
    with pytest.raises(
        BundleError, match="takes rgb, trimap and gives alpha; a trimap network takes rgb and gives trimap"
    ):
        open_export_source(swapped.folder)


def test_without_a_builder_the_line_says_which_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(EngineError) as caught:
        load_flavour("auto")
    assert "rtmatte[tensorrt]" in str(caught.value)
    assert "rtmatte[tensorrt-rtx]" in str(caught.value)
    assert "\n" not in str(caught.value)


class FullTensorRT:
    """Stands for the package that cannot be installed on a machine without NVIDIA's own index."""

    __name__, __version__ = "tensorrt", "11.0.0"


def test_the_full_tensorrt_needs_a_driver_that_is_new_enough(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", FullTensorRT())
    with pytest.raises(EngineError, match=r"driver is too old: it knows CUDA 11\.4, tensorrt needs 12\.0"):
        load_flavour("tensorrt", lambda: (11, 4))
    with pytest.raises(EngineError, match="no NVIDIA driver here"):
        load_flavour("tensorrt", lambda: None)
    assert load_flavour("tensorrt", lambda: (13, 0)).__version__ == "11.0.0"
    monkeypatch.setattr(FullTensorRT, "__version__", "8.6.1")
    with pytest.raises(EngineError, match=r"tensorrt 8\.6\.1 is too old"):
        load_flavour("tensorrt", lambda: (13, 0))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("CUDA initialization failure with error: 35. Please check your installation", "the NVIDIA driver is too old"),
        ("Requested amount of GPU memory could not be allocated: out of memory", "out of GPU memory"),
        ("Unsupported SM: 0x90", "is not one that this TensorRT builds for"),
        ("Something\nelse", "Something else"),
    ],
)
def test_what_tensorrt_says_becomes_one_line_with_what_to_do(said, told):
    assert told in builder_module._why([said], "")


def test_the_gpu_an_engine_is_for(rtx):
    assert target_device(rtx, None, None).capability == "portable"
    assert target_device(rtx, "89", None).capability == target_device(rtx, "8.9", None).capability == "8.9"
    with pytest.raises(InputError, match=r"builds for 7\.5, 8\.0, 8\.6, 8\.9, 12\.0, 12\.1, or portable"):
        target_device(rtx, "9.0", None)
    here = Device("H200", "9.0")
    assert target_device(FullTensorRT(), None, here) == here
    with pytest.raises(InputError, match=r"this machine \(compute capability 9\.0\)"):
        target_device(FullTensorRT(), "8.9", here)


def test_sizes_are_width_by_height_and_shapes_height_by_width():
    profile = parse_profile("512x288", "matting", 16)
    assert profile.is_static
    assert profile.shapes("matting")["trimap"]["opt"] == [1, 3, 288, 512]
    assert per_role(["64x64", "matting=96x64"], {"trimap": 32, "matting": 16}) == {
        "trimap": "64x64",
        "matting": "96x64",
    }


# Names of TensorRT 11's Python module (its reference, October 2026), checked by hand; RTX 1.x has all of them too.
TENSORRT_11 = {
    "Builder", "Dims", "NetworkDefinitionCreationFlag", "OnnxParser", "MemoryPoolType", "IProgressMonitor",
}  # fmt: skip
RTX_ONLY = {"ComputeCapability"}


def test_only_names_that_every_tensorrt_has_are_used(rtx):
    tree = ast.parse(inspect.getsource(builder_module))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "module"
    } - {"__name__"}
    assert used - RTX_ONLY == TENSORRT_11
    assert all(hasattr(rtx, name) for name in used)
    assert not hasattr(rtx.BuilderFlag, "FP16"), "strong typing is the only way here, as in TensorRT 11"


def test_the_graphs_of_checkpoints_and_of_bundles_unpool_by_key(open_source_of):
    for name, count in (("shm", 4), ("shm-mobile", 4), ("dim", 5)):
        network = open_source_of(name).networks["matting"]
        assert network.unpooling == f"key ×{count}"
        assert not {"ScatterND", "MaxUnpool"} & {node.op_type for node in network.model.graph.node}
        assert all(len(node.output) == 1 for node in network.model.graph.node if node.op_type == "MaxPool")
        onnx.checker.check_model(network.model)
    assert open_source_of("u2net").networks["alpha"].unpooling == "none"
