"""Names and settings of folders that data tools fill."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.errors import InputError
from train.data.folders import unique_names

parts = st.sampled_from(["a", "b", "c"])
paths = st.lists(st.tuples(parts, parts, parts), unique=True, min_size=1).map(
    lambda found: [Path("/set", *one[:2], f"{one[2]}.png") for one in found]
)


@given(paths)
def test_different_files_get_different_names(found: list[Path]) -> None:
    names = unique_names(found)
    assert len(set(names)) == len(found)
    assert not any("/" in name for name in names)


def test_names_are_as_short_as_they_can_be() -> None:
    assert unique_names([Path("x/head.png"), Path("y/hand.jpg")]) == ["head", "hand"]
    assert unique_names([Path("x/head.png"), Path("x/head.jpg")]) == ["head_png", "head_jpg"]
    assert unique_names([Path("x/head.png"), Path("y/head.png")]) == ["x_head", "y_head"]


def test_a_picture_listed_twice_is_named() -> None:
    with pytest.raises(InputError, match=r"head\.png: is listed 2 times"):
        unique_names([Path("x/head.png"), Path("y/../x/head.png")])
