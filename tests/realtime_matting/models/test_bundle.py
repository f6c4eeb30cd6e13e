import hashlib
import os
import tomllib
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.errors import BundleError, OutputError
from realtime_matting.models import Bundle, RoleSpec

ROLE = {"stride": 32, "long_side": 320, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
MANIFEST = {
    "name": "tiny",
    "version": "1.0.0",
    "licence": "Apache-2.0",
    "description": "A “tiny” one",
    "training_data": [{"name": "rooms", "licence": "CC0-1.0", "attribution": "made by the project"}],
    "roles": {"trimap": ROLE, "matting": {**ROLE, "stride": 16, "unpooling": "up-first"}},
    "metrics": [{"data": "clips", "command": "python -m train.evaluate tiny", "values": {"mad": 3.5, "mse": 1.0}}],
}
NETWORKS = {"trimap": b"trimap network", "matting": b"matting network"}


def write(folder: Path) -> Path:
    Bundle.write(folder, MANIFEST, NETWORKS)
    return folder


def edit(folder: Path, change) -> None:
    """Change the parsed model.toml with ``change(content)`` and write it back."""
    content = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))
    change(content)
    (folder / "model.toml").write_text(tomli_w.dumps(content), encoding="utf-8")


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_what_was_written_is_loaded_back(tmp_path):
    bundle = Bundle.load(write(tmp_path / "tiny"))
    manifest = bundle.manifest
    assert (manifest.name, manifest.version, manifest.description) == ("tiny", "1.0.0", "A “tiny” one")
    assert set(bundle.roles) == {"trimap", "matting"}
    assert bundle.roles["matting"].unpooling == "up-first"
    assert bundle.roles["trimap"].mean == (0.485, 0.456, 0.406)
    assert bundle.path("matting").read_bytes() == b"matting network"
    assert manifest.metrics[0].values == {"mad": 3.5, "mse": 1.0}
    assert manifest.training_data[0].licence == "CC0-1.0"


def test_a_changed_network_is_refused(tmp_path):
    folder = write(tmp_path / "tiny")
    (folder / "matting.onnx").write_bytes(b"matting netwOrk")
    assert "matting.onnx: not the matting network model.toml describes" in refusal(folder)


def test_a_missing_network_is_refused(tmp_path):
    folder = write(tmp_path / "tiny")
    (folder / "trimap.onnx").unlink()
    assert "No such file" in refusal(folder)


def test_what_is_not_a_bundle_is_refused(tmp_path):
    assert "no such folder" in refusal(tmp_path / "none")
    assert "model.toml is missing" in refusal(tmp_path)
    (tmp_path / "model.toml").write_bytes(b"name = ")
    assert "not valid TOML" in refusal(tmp_path)
    (tmp_path / "model.toml").write_bytes(b"\xff\xfe")
    assert "not valid TOML" in refusal(tmp_path)
    file = tmp_path / "file"
    file.touch()
    assert "Not a directory" in refusal(file)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(schema=2), "schema 2, this version reads 1"),
        (lambda c: c.pop("schema"), "schema None"),
        (lambda c: c.pop("licence"), "licence: Field required"),
        (lambda c: c.update(colour="red"), "colour: Extra inputs are not permitted"),
        (lambda c: c.update(name="../etc"), "name: "),
        (lambda c: c.update(training_data=[]), "training_data: "),
        (lambda c: c["roles"].pop("matting"), "roles are trimap; a bundle has trimap + matting, alpha, or"),
        (lambda c: c["roles"].update(alpha=c["roles"]["trimap"]), "roles are "),
        (lambda c: c["roles"].update(mask=c["roles"]["trimap"]), "roles.mask"),
        (lambda c: c["roles"]["matting"].update(file="trimap.onnx"), "two roles name the same file"),
        (lambda c: c["roles"]["matting"].update(file="../matting.onnx"), "roles.matting.file: "),
        (lambda c: c["roles"]["matting"].update(file="/etc/matting.onnx"), "roles.matting.file: "),
        (lambda c: c["roles"]["matting"].update(sha256="abc"), "roles.matting.sha256: "),
        (lambda c: c["roles"]["matting"].update(fixed_size=[320, 320]), "give either long_side or fixed_size"),
        (lambda c: c["roles"]["matting"].pop("long_side"), "give either long_side or fixed_size"),
        (lambda c: c["roles"]["matting"].update(long_side=321), "not a multiple of the stride 16"),
        (lambda c: c["roles"]["matting"].update(std=[1.0, 1.0, 0.0]), "roles.matting.std.2: "),
        (lambda c: c["roles"]["matting"].update(mean=[float("nan"), 0.0, 0.0]), "roles.matting.mean.0: "),
        (lambda c: c["roles"]["matting"].update(channel_order="bgr"), "roles.matting.channel_order: "),
        (lambda c: c["roles"]["matting"].update(unpooling="indices"), "roles.matting.unpooling: "),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_field(tmp_path, change, said):
    folder = write(tmp_path / "tiny")
    edit(folder, change)
    assert said in refusal(folder)


def test_writing_replaces_the_bundle_and_keeps_its_other_files(tmp_path):
    folder = write(tmp_path / "tiny")
    (folder / "README.md").write_text("the card")
    bundle = Bundle.write(folder, {**MANIFEST, "roles": {"alpha": ROLE}}, {"alpha": b"new"})
    assert set(bundle.roles) == {"alpha"}
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "alpha.onnx", "model.toml"]
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]


def test_a_refused_manifest_leaves_the_old_bundle(tmp_path):
    folder = write(tmp_path / "tiny")
    with pytest.raises(BundleError, match="licence"):
        Bundle.write(folder, {**MANIFEST, "licence": ""}, NETWORKS)
    with pytest.raises(BundleError, match="same roles"):
        Bundle.write(folder, MANIFEST, {"trimap": b""})
    assert Bundle.load(folder).manifest.licence == "Apache-2.0"
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]


def test_a_failure_while_swapping_leaves_the_old_bundle(tmp_path, monkeypatch):
    folder = write(tmp_path / "tiny")
    rename, calls = Path.rename, []

    def second_rename_fails(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_rename_fails)
    with pytest.raises(OutputError, match="No space left"):
        Bundle.write(folder, {**MANIFEST, "version": "2.0.0"}, NETWORKS)
    assert Bundle.load(folder).manifest.version == "1.0.0"
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]


def test_a_folder_that_holds_something_else_is_not_touched(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(OutputError, match="not a model bundle"):
        Bundle.write(tmp_path, MANIFEST, NETWORKS)
    with pytest.raises(OutputError, match="not a model bundle"):
        Bundle.write(tmp_path / "photo.jpg", MANIFEST, NETWORKS)
    assert os.listdir(tmp_path) == ["photo.jpg"]


def spec(**size) -> RoleSpec:
    fields = {**ROLE, "file": "a.onnx", "sha256": hashlib.sha256().hexdigest(), "stride": 32} | size
    return RoleSpec.model_validate({k: v for k, v in fields.items() if v is not None})


@pytest.mark.parametrize(
    ("frame", "size"),
    [
        ((1280, 720), (320, 192)),
        ((720, 1280), (192, 320)),
        ((320, 320), (320, 320)),
        ((100, 50), (320, 160)),
        ((4000, 9), (320, 32)),
    ],
)
def test_the_working_size_is_the_scaled_frame_padded_to_the_stride(frame, size):
    assert spec().working_size(*frame) == size


def test_a_frame_is_scaled_without_stretching():
    assert spec().scaled_size(1280, 720) == (320, 180)
    assert spec().scaled_size(160, 100) == (320, 200)


def test_a_fixed_size_is_the_working_size_of_every_frame():
    assert spec(long_side=None, fixed_size=(512, 288)).working_size(3, 5000) == (512, 288)


@given(st.integers(1, 8000), st.integers(1, 8000), st.sampled_from([1, 8, 16, 32]), st.integers(1, 30))
def test_the_working_size_holds_the_scaled_frame_and_less_than_a_stride_more(width, height, stride, steps):
    long_side = stride * steps
    made = spec(stride=stride, long_side=long_side)
    scaled, sides = made.scaled_size(width, height), made.working_size(width, height)
    assert max(scaled) == long_side
    assert made.scaled_size(*scaled) == scaled
    scale = long_side / max(width, height)
    for side, inner, full in zip(sides, scaled, (width, height), strict=True):
        assert side % stride == 0
        assert 0 <= side - inner < stride
        step = 1 if long_side % 2 else 2  # a network may answer at half of its size
        assert inner % step == 0
        assert abs(inner - full * scale) <= step / 2 or inner == step
