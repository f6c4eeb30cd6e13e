"""Finding training data, and saying which file is wrong."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime_matting.errors import InputError
from train.data.records import (
    Foreground,
    list_foregrounds,
    list_mask_pairs,
    list_pictures,
    read_foreground,
    read_picture,
)


def test_rgba_pictures_and_pairs_are_both_foregrounds(toy_data: Path) -> None:
    found = list_foregrounds(toy_data / "people", r"P\d+")
    assert len(found) == 6
    assert sum(f.alpha is not None for f in found) == 2
    assert len({f.group for f in found}) == 4  # P000, P001, and two files that stand for themselves
    for record in found:
        assert read_foreground(record).shape == (96, 80, 4)


def test_colours_are_read_as_rgb_not_bgr(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "red.png"), np.full((4, 4, 4), (0, 0, 255, 128), np.uint8))
    rgba = read_foreground(Foreground(tmp_path / "red.png", None, "red"))
    assert rgba[0, 0].tolist() == [255, 0, 0, 128]


def test_a_list_file_names_pictures_relative_to_itself(toy_data: Path) -> None:
    listed = toy_data / "list.txt"
    listed.write_text("# rooms\nbackgrounds/room_0.png\n\nbackgrounds/room_1.png\n")
    assert [p.name for p in list_pictures(listed)] == ["room_0.png", "room_1.png"]


def test_a_list_that_names_a_missing_file_says_which(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("nowhere.png\n")
    with pytest.raises(InputError, match=r"nowhere\.png"):
        list_pictures(tmp_path / "list.txt")


def test_mismatched_sizes_are_named_with_their_path(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "a_alpha.png"), np.zeros((5, 4), np.uint8))
    with pytest.raises(InputError, match=r"a\.png is 4×4 but its alpha is 4×5"):
        read_foreground(list_foregrounds(tmp_path)[0])


def test_a_picture_without_alpha_is_not_a_foreground(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match="no alpha"):
        read_foreground(list_foregrounds(tmp_path)[0])


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"broken\.jpg"):
        read_picture(tmp_path / "broken.jpg")


def test_masks_are_matched_by_stem_or_line_by_line(toy_data: Path) -> None:
    assert len(list_mask_pairs(toy_data / "images", toy_data / "masks")) == 1
    (toy_data / "images.txt").write_text("images/frame.png\n")
    (toy_data / "masks.txt").write_text("masks/frame.png\n")
    assert list_mask_pairs(toy_data / "images.txt", toy_data / "masks.txt")[0].mask.name == "frame.png"
    with pytest.raises(InputError, match="no mask"):
        list_mask_pairs(toy_data / "backgrounds", toy_data / "masks")


@pytest.mark.parametrize("missing", ["nowhere", "empty"])
def test_a_missing_or_empty_folder_is_one_clear_error(tmp_path: Path, missing: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=missing):
        list_pictures(tmp_path / missing)
