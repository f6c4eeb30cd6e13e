from pathlib import Path

import pytest

from realtime_matting.errors import BundleError
from realtime_matting.models import Bundle, find_bundle, list_bundles, registry

ROLE = {"stride": 1, "long_side": 64, "mean": [0, 0, 0], "std": [1, 1, 1]}


@pytest.fixture
def built_in(tmp_path, monkeypatch) -> Path:
    """A models folder with the bundles "night" and "day"."""
    monkeypatch.setattr(registry, "BUILT_IN", tmp_path / "models")
    for name in ("night", "day"):
        write(tmp_path / "models" / name)
    (tmp_path / "models" / "__pycache__").mkdir()
    return tmp_path / "models"


def write(folder: Path) -> None:
    data = [{"name": "rooms", "licence": "CC0-1.0", "attribution": "made by the project"}]
    about = {"name": folder.name, "version": "1.0.0", "licence": "MIT", "description": "d", "training_data": data}
    Bundle.write(folder, {**about, "roles": {"alpha": ROLE}}, {"alpha": folder.name.encode()})


def test_bundles_are_listed_by_name(built_in):
    assert list_bundles() == ["day", "night"]


def test_a_bundle_is_found_by_name_or_folder(built_in):
    assert find_bundle("day").folder == built_in / "day"
    assert find_bundle(built_in / "night").manifest.name == "night"
    assert find_bundle(str(built_in / "night")).manifest.name == "night"


def test_a_built_in_name_wins_unless_the_folder_is_spelled_out(built_in, tmp_path, monkeypatch):
    write(tmp_path / "day")
    monkeypatch.chdir(tmp_path)
    assert find_bundle("day").folder == built_in / "day"
    assert find_bundle("./day").folder == Path("day")


def test_an_unknown_name_lists_the_known_ones(built_in):
    with pytest.raises(BundleError, match="dusk: no such model or folder; built-in models: day, night;") as caught:
        find_bundle("dusk")
    assert caught.value.exit_code == 2


def test_every_built_in_bundle_loads_and_is_small():
    for name in list_bundles():
        bundle = Bundle.load(registry.BUILT_IN / name)
        assert bundle.manifest.name == name
        assert sum(path.stat().st_size for path in bundle.folder.iterdir()) <= 12e6
