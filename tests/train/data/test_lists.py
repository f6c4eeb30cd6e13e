"""``lists`` through the real command line, and the split."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.lists import split
from train.data.records import list_pictures


@given(
    st.lists(st.sampled_from("abcdef"), min_size=2).filter(lambda names: len(set(names)) > 1),
    st.floats(0.01, 0.9),
    st.integers(0, 99),
)
def test_a_split_loses_nothing_and_parts_no_group(names: list[str], share: float, seed: int) -> None:
    items = list(range(len(names)))
    kept, held_out = split(items, names, share, seed)
    assert sorted(kept + held_out) == items
    assert kept
    assert held_out
    assert {names[i] for i in kept}.isdisjoint({names[i] for i in held_out})
    assert len(held_out) >= share * len(items) or len({names[i] for i in kept}) == 1
    assert split(items, names, share, seed) == (kept, held_out)


@pytest.mark.parametrize("relative", [False, True])
def test_foregrounds_are_listed_without_their_alphas(
    tool: Callable, toy_data: Path, tmp_path: Path, relative: bool
) -> None:
    out = tmp_path / "lists/DIM_list.txt"
    done = tool("lists", "foregrounds", toy_data / "people", "--out", out, *["--relative"] * relative)
    assert done.returncode == 0, done.stderr
    assert len(out.read_text().splitlines()) == 6
    assert out.read_text().startswith("../" if relative else "/")
    assert {p.resolve() for p in list_pictures(out)} == {
        p.resolve() for p in (toy_data / "people").iterdir() if not p.stem.endswith("_alpha")
    }


def test_people_held_out_are_on_one_side_only(tool: Callable, toy_data: Path, tmp_path: Path) -> None:
    done = tool(
        "lists", "foregrounds", toy_data / "people", "--out", tmp_path / "fg.txt", "--match", "^P",
        "--holdout", 0.3, "--group", r"P\d+", "--seed", 3,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of 1 group\n" in done.stdout
    kept, held = ({p.name[:4] for p in list_pictures(tmp_path / name)} for name in ("fg.txt", "fg_holdout.txt"))
    assert {*kept, *held} == {"P000", "P001"}
    assert kept.isdisjoint(held)
    verified = tool(
        "lists", "verify", tmp_path / "fg.txt", "--against", tmp_path / "fg_holdout.txt", "--group", r"P\d+"
    )
    assert verified.returncode == 0, verified.stdout


def test_pairs_make_two_lists_that_go_line_by_line(tool: Callable, toy_data: Path, tmp_path: Path) -> None:
    images, masks = tmp_path / "super_img.txt", tmp_path / "super_msk.txt"
    done = tool("lists", "pairs", toy_data / "images", toy_data / "masks", "--out", images, masks)
    assert done.returncode == 0, done.stderr
    assert [p.parent.name for p in list_pictures(images) + list_pictures(masks)] == ["images", "masks"]
    assert tool("lists", "verify", images, "--masks", masks).returncode == 0


def test_verify_names_every_kind_of_mistake(tool: Callable, toy_data: Path, tmp_path: Path) -> None:
    rooms = toy_data / "backgrounds"
    (tmp_path / "train.txt").write_text(
        f"\ufeff{rooms}/room_0.png\r\n{rooms}/room_1.png\r\n{rooms}/../backgrounds/room_1.png\r\n/nowhere/x.png\r\n",
        encoding="utf-8",
    )
    (tmp_path / "masks.txt").write_text(f"{rooms}/room_0.png\n")
    (tmp_path / "validation.txt").write_text(f"{rooms}/room_0.png\n{rooms}/room_2.png\n")
    done = tool(
        "lists", "verify", tmp_path / "train.txt", "--masks", tmp_path / "masks.txt",
        "--against", tmp_path / "validation.txt", "--group", "room",
    )  # fmt: skip
    assert done.returncode == 1
    for what in (
        "/nowhere/x.png does not exist",
        "room_1.png is listed 2 times",
        "has 4 lines but",
        "room_0.png is in",
        "group room (3 pictures) is in",
        "5 problems",
    ):
        assert what in done.stdout


def test_masks_in_another_order_are_noticed(tool: Callable, toy_data: Path, tmp_path: Path) -> None:
    rooms = toy_data / "backgrounds"
    (tmp_path / "a.txt").write_text(f"{rooms}/room_0.png\n{rooms}/room_1.png\n")
    (tmp_path / "b.txt").write_text(f"{rooms}/room_1.png\n{rooms}/room_0.png\n")
    done = tool("lists", "verify", tmp_path / "a.txt", "--masks", tmp_path / "b.txt")
    assert done.returncode == 1
    assert "line 1 is room_1.png" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("backgrounds", "nowhere", "--out", "x.txt"),
        ("backgrounds", "{rooms}", "--out", "x.txt", "--match", "("),
        ("backgrounds", "{rooms}", "--out", "x.txt", "--match", "nothing like it"),
        ("backgrounds", "{rooms}", "--out", "x.txt", "--holdout", "0.1", "--group", "room"),
        ("verify", "nowhere.txt"),
        ("verify", "{rooms}/room_0.png"),
    ],
)
def test_mistakes_are_one_line(tool: Callable, toy_data: Path, arguments: tuple[str, ...]) -> None:
    done = tool("lists", *(a.format(rooms=toy_data / "backgrounds") for a in arguments))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1
