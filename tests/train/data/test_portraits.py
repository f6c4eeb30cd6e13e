"""``portraits``: people in frames, on posters and on screens, as part of the room."""

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_matting.errors import InputError
from train.data.config import DataConfig
from train.data.dataset import MattingSamples, SampleSpec
from train.data.portraits import hang, place_for, portraits, turned
from train.data.portraits_prints import KINDS, Print

Draw = Callable[..., np.ndarray]
seeds = st.integers(0, 2**32)


@pytest.fixture
def rooms(pictures: Path, scene: Draw) -> Path:
    """``pictures`` with ``scenes`` besides: two views of each of sixteen, and one file without a number."""
    (pictures / "scenes").mkdir()
    for number in range(16):
        for view in range(2):
            cv2.imwrite(str(pictures / f"scenes/room_{number:02d}_{view}.png"), scene(2 * number + view, 120, 200))
    cv2.imwrite(str(pictures / "scenes/attic.png"), scene(99, 120, 200))
    return pictures


@pytest.fixture
def fill(rooms: Path) -> Callable[..., dict[str, bytes]]:
    """Runs the command within this process; returns the pictures in ``out``."""

    def run(out: Path, **options: object) -> dict[str, bytes]:
        wanted = {"match": None, "count": 5, "seed": 3, "max_side": 160, "workers": 2} | options
        portraits([rooms / "people"], [rooms / "scenes"], out, **wanted)  # type: ignore[arg-type]
        return {path.name: path.read_bytes() for path in sorted(out.glob("*.jpg"))}

    return run


def person(color: tuple[int, int, int], disc_alpha: Draw) -> np.ndarray:
    """A disc of one colour; straight RGBA."""
    alpha = disc_alpha()
    return np.dstack([np.broadcast_to(np.uint8(color), (*alpha.shape, 3)), alpha])


def test_each_picture_is_its_room_with_something_in_it(tool: Callable, rooms: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    done = tool("portraits", "--foregrounds", rooms / "people", "--backgrounds", rooms / "scenes", "--out", out,
                "--count", 12, "--seed", 7, "--max-side", 160, "--match", "^room_")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "12 pictures of" in done.stdout
    files = sorted(out.glob("*.jpg"))
    assert len(files) == 12
    assert sorted(file.stem.rsplit("_", 1)[1] for file in files) == [f"7{number:06d}" for number in range(12)]
    for file in files:
        assert re.fullmatch(r"room_\d\d_7\d{6}", file.stem)
        picture = cv2.imread(str(file)).astype(float)
        assert picture.shape == (96, 160, 3)
        views = rooms.glob(f"scenes/{file.stem.rsplit('_', 1)[0]}_?.png")
        changed = [
            (np.abs(picture - cv2.resize(cv2.imread(str(view)), (160, 96), interpolation=cv2.INTER_AREA)) > 24).mean()
            for view in views
        ]
        assert 0.003 < min(changed) < 0.6, "the room is gone, or nothing is in it"


def test_a_picture_stays_on_its_scenes_side_of_the_split(rooms: Path, fill: Callable, tmp_path: Path) -> None:
    fill(tmp_path / "set", count=40)
    config = DataConfig.model_validate(
        {
            "foregrounds": [{"path": str(rooms / "people")}],
            "backgrounds": [{"path": str(rooms / "scenes")}, {"path": str(tmp_path / "set")}],
        }
    )
    scenes, made = {}, 0
    for split in ("train", "held_out"):
        samples = MattingSamples(config, SampleSpec("whole"), seed=1, batch_size=1, split=split, holdout=0.4)
        rooms_of_split, pictures_of_split = samples.backgrounds[0]
        scenes[split] = {re.sub(r"_\d+$", "", Path(str(path)).stem) for path in rooms_of_split}
        assert {re.sub(r"_\d+$", "", Path(str(path)).stem) for path in pictures_of_split} <= scenes[split]
        made += len(pictures_of_split)
    assert made == 40
    assert not scenes["train"] & scenes["held_out"]


def test_a_picture_depends_on_seed_and_number_alone(fill: Callable, tmp_path: Path) -> None:
    few = fill(tmp_path / "few", count=3, workers=3)
    many = fill(tmp_path / "many", count=7, workers=1)
    assert few.items() <= many.items()
    assert fill(tmp_path / "few", count=7) == many, "the same folder goes on to the larger number"
    assert not fill(tmp_path / "other", seed=4).items() & many.items()


def test_what_is_there_is_kept_and_what_is_missing_made_again(
    fill: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fill(tmp_path / "set")
    first, second = sorted((tmp_path / "set").glob("*.jpg"))[:2]
    kept_since = second.stat().st_mtime_ns
    first.unlink()
    assert fill(tmp_path / "set") == before
    assert second.stat().st_mtime_ns == kept_since
    assert "(4 of them were there)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "what"),
    [({"seed": 4}, "seed 3, not 4"), ({"max_side": 80}, "max-side 160"), ({"match": "_1"}, "backgrounds 33 pictures")],
)
def test_other_settings_in_the_same_folder_are_refused(
    fill: Callable, tmp_path: Path, changed: dict[str, object], what: str
) -> None:
    fill(tmp_path / "set", count=1)
    with pytest.raises(InputError, match=what):
        fill(tmp_path / "set", count=1, **changed)


def test_mistakes_are_told(fill: Callable, rooms: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file name matches 'cellar'"):
        fill(tmp_path / "a", match="cellar")
    with pytest.raises(InputError, match="no regular expression"):
        fill(tmp_path / "b", match="(")
    cv2.imwrite(str(rooms / "scenes/attic_alpha.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(InputError, match="so it is no background"):
        fill(tmp_path / "c")
    (rooms / "scenes/attic_alpha.png").unlink()
    for path in (rooms / "people").iterdir():
        cv2.imwrite(str(path), np.zeros((20, 20, 4), np.uint8))
    with pytest.raises(InputError, match="alpha is 0 everywhere"):
        fill(tmp_path / "d")
    for path in (rooms / "people").iterdir():
        path.rename(path.with_name(f"{path.stem}_alpha.png"))
    with pytest.raises(InputError, match="alphas without their pictures"):
        fill(tmp_path / "e")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("height", [24, 150])
def test_every_kind_shows_the_person_it_is_given(kind: Callable, height: int, disc_alpha: Draw, scene: Draw) -> None:
    behind = scene(1, 90, 120)
    for seed in range(6):
        red, blue = (
            kind(np.random.default_rng(seed), [person(color, disc_alpha)] * 3, behind, height)
            for color in ((220, 40, 30), (30, 40, 220))
        )
        assert red.rgba.dtype == np.uint8
        assert red.rgba.shape == blue.rgba.shape
        assert red.rgba.shape[0] == height
        assert set(np.unique(red.rgba[..., 3])) <= {0, 255}
        assert (red.rgba[..., 3] == 255).mean() > 0.7
        differs = (np.abs(red.rgba.astype(int) - blue.rgba)[..., :3].max(2) > 8).mean()
        # A grey print of one differs from that of the other in brightness only, but by enough.
        assert 0.02 < differs < 0.98


@given(seeds, st.floats(10, 300), st.floats(10, 300), st.booleans())
def test_a_turned_rectangle_stays_one_in_perspective(seed: int, width: float, height: float, leans: bool) -> None:
    corners = turned(np.random.default_rng(seed), width, height, leans=leans)
    assert np.ptp(corners[:, 1]) == pytest.approx(height, rel=1e-4)
    edges = np.roll(corners, -1, 0) - corners
    following = np.roll(edges, -1, 0)
    # Clockwise in a picture, whose y goes down: neither mirrored nor folded.
    assert (edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0] > 0).all()


@settings(max_examples=30)
@given(seeds, st.booleans())
def test_things_never_hang_over_each_other_and_mostly_in_view(seed: int, leans: bool) -> None:
    rng = np.random.default_rng(seed)
    room = rng.integers(0, 255, (90, 160, 3), np.uint8)
    taken: list[np.ndarray] = []
    for height in (40.0, 30.0, 20.0):
        corners = turned(rng, height * 1.2, height, leans=leans)
        placed = place_for(rng, room, corners, taken, leans=leans)
        if placed is None:
            continue
        assert np.ptp(placed - corners, axis=0).max() < 1e-3, "moved only"
        x, y = (placed.min(0) + placed.max(0)) / 2
        assert 0 < x < 160
        assert 0 < y < 90
        for other in taken:
            assert (placed.max(0) <= other.min(0)).any() or (placed.min(0) >= other.max(0)).any()
        taken.append(placed)
    assert taken


def test_what_hangs_avoids_the_busy_part_and_what_stands_finds_the_shelf() -> None:
    rng = np.random.default_rng(0)
    room = np.full((180, 320, 3), 150, np.uint8)
    room[:, :160] = rng.integers(0, 255, (180, 160, 3), np.uint8)
    corners = np.float32([(-20, -15), (20, -15), (20, 15), (-20, 15)])
    hung = [place_for(rng, room, corners, [], leans=False) for _ in range(20)]
    assert np.mean([placed[:, 0].mean() > 160 for placed in hung if placed is not None]) > 0.8
    room[:] = 150
    room[118:] = 40
    stood = [place_for(rng, room, corners, [], leans=True) for _ in range(20)]
    assert np.mean([abs(placed[:, 1].max() - 118) < 5 for placed in stood if placed is not None]) > 0.6


def test_a_print_takes_the_walls_light_and_a_screen_does_not() -> None:
    corners = np.float32([(60, 40), (120, 40), (120, 90), (60, 90)])
    rgba = np.full((50, 60, 4), (200, 200, 200, 255), np.uint8)
    levels: dict[tuple[bool, int], float] = {}
    for shines in (False, True):
        for wall in (40, 220):
            room = np.full((130, 180, 3), wall, np.uint8)
            out = hang(np.random.default_rng(1), room, Print(rgba, shines), corners)
            levels[shines, wall] = float(out[45:85, 65:115].mean())
            far = np.ones((130, 180), bool)
            far[20:110, 40:140] = False
            assert (out[far] == wall).all(), "the room is changed only where the thing and its shadow are"
            assert (out <= max(wall, out[45:85, 65:115].max())).all()
    assert levels[False, 40] < 0.6 * levels[False, 220]
    assert levels[True, 40] == pytest.approx(levels[True, 220], abs=1)


def test_edges_are_smooth_and_lie_where_they_should() -> None:
    # A half covered column must be a mixture: white over black, with its left side in the middle of column 60.
    corners = np.float32([(60.5, 40), (120, 40), (120, 90), (60.5, 90)])
    room = np.zeros((130, 180, 3), np.uint8)
    white = Print(np.full((100, 119, 4), 255, np.uint8), shines=True)
    row = max(
        (hang(np.random.default_rng(seed), room, white, corners)[65] for seed in range(5)), key=lambda r: r[60, 0]
    )
    assert row[62, 0] == row[100, 0]
    assert row[60, 0] == pytest.approx(row[100, 0] / 2, abs=0.12 * row[100, 0])
    assert row[57, 0] < 0.02 * row[100, 0]
