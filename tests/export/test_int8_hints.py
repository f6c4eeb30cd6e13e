"""A bundle that tells which of its convolutions may be rounded to 8 bits."""

import json
import platform
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from export.bundles import export_bundle, read_card
from export.int8_hints import app, write_hints
from export.networks import open_export_source
from realtime_matting.engines import open_engine
from realtime_matting.engines.base import INT8_KEY
from realtime_matting.errors import InputError
from realtime_matting.models import Bundle
from realtime_matting.models.bundle import Role

CARD = Path(__file__).parents[2] / "configs/export/shm_fast.yaml"


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(0)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), cv2.blur(rng.integers(0, 256, (72, 128, 3), np.uint8), (5, 5)))
    return folder


@pytest.fixture(scope="module")
def plain(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "small"
    export_bundle(small_checkpoint, folder, read_card(CARD), weights="fp16", say=lambda _: None)
    return folder


def told(bundle: Bundle, role: Role) -> dict[str, list[float]] | None:
    metadata = {entry.key: entry.value for entry in onnx.load(bundle.path(role)).metadata_props}
    return json.loads(metadata[INT8_KEY]) if INT8_KEY in metadata else None


def test_ranges_are_told_and_the_graphs_stay_as_they_are(plain: Path, frames: Path, tmp_path: Path) -> None:
    arguments = [str(plain), str(tmp_path / "hinted"), "--calibration", str(frames), "--bound", "matting=1"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert "convolutions in int8" in done.output
    before, after = Bundle.load(plain), Bundle.load(tmp_path / "hinted")
    assert told(after, "trimap") is None
    ranges = told(after, "matting")
    assert ranges
    assert all(low <= high for low, high in ranges.values())
    for role in before.roles:
        old, new = (onnx.load(bundle.path(role)).graph for bundle in (before, after))
        assert old == new
    assert after.manifest == before.manifest.model_copy(update={"roles": after.roles})
    assert after.roles["matting"].weights == "fp16"
    last = [node for node in onnx.load(after.path("matting")).graph.node if node.op_type == "Conv"][-1]
    assert last.name not in ranges
    engine = open_engine(after.path("matting"), engine="openvino")
    assert ("int8" in engine.name) == (platform.machine().lower() in ("x86_64", "amd64"))
    # What other engines are built from is the same float network.
    assert open_export_source(tmp_path / "hinted").networks["matting"].model.graph.node


def test_a_bound_of_nothing_tells_nothing(plain: Path, frames: Path, tmp_path: Path) -> None:
    write_hints(plain, tmp_path / "none", frames, {"matting": 0.0})
    assert told(Bundle.load(tmp_path / "none"), "matting") == {}
    engine = open_engine(Bundle.load(tmp_path / "none").path("matting"), engine="openvino")
    assert "int8" not in engine.name


def test_a_bundle_can_be_told_anew_in_its_own_folder(plain: Path, frames: Path, tmp_path: Path) -> None:
    write_hints(plain, tmp_path / "same", frames, {"matting": 1.0})
    write_hints(tmp_path / "same", tmp_path / "same", frames, {"matting": 1.0})
    keys = [entry.key for entry in onnx.load(Bundle.load(tmp_path / "same").path("matting")).metadata_props]
    assert keys.count(INT8_KEY) == 1


def test_a_role_that_is_not_there_and_a_bound_that_is_no_number_are_one_line(plain: Path, frames: Path) -> None:
    with pytest.raises(InputError, match="no such role; it has trimap, matting"):
        write_hints(plain, plain, frames, {"alpha": 1.0})
    done = CliRunner().invoke(app, [str(plain), "out", "--calibration", str(frames), "--bound", "matting"])
    assert isinstance(done.exception, InputError)
    assert "write it as ROLE=ERROR" in str(done.exception)
