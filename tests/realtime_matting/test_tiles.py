import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_matting.tiles import Rectangle, bands, hull, units, upsampled


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 99), st.integers(1, 7), st.integers(1, 7))
def test_rectangles_hold_every_pixel_of_the_mask_once(
    height: int, width: int, seed: int, unit_y: int, unit_x: int
) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < 0.01).astype(np.uint8)
    covered = np.zeros_like(mask)
    for areas in bands(mask, (unit_y, unit_x), 10, 8):
        assert len({(area.top, area.bottom) for area in areas}) == 1
        for area in areas:
            covered[area.slices()] += 1
            assert mask[area.slices()].any()
            assert area.top % unit_y == area.left % unit_x == 0
            assert area.bottom % unit_y == 0 or area.bottom == height
            assert area.right % unit_x == 0 or area.right == width
    assert covered.max() <= 1
    assert (covered[mask > 0] == 1).all()


def test_an_empty_mask_has_no_rectangles() -> None:
    assert list(bands(np.zeros((9, 9), np.uint8), (1, 1), 4, 4)) == []


def test_units_are_where_two_pixel_grids_meet() -> None:
    assert units((288, 512), (720, 1280)) == (2, 2)
    assert units((720, 1280), (288, 512)) == (5, 5)
    assert units((37, 41), (101, 67)) == (37, 41)


@pytest.mark.parametrize(("small", "full"), [((24, 32), (48, 64)), ((24, 30), (60, 75)), ((30, 20), (30, 20))])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_part_resized_alone_is_a_part_of_the_whole_resized(
    small: tuple[int, int], full: tuple[int, int], channels: tuple[int, ...]
) -> None:
    plane = np.random.default_rng(0).random((*small, *channels)).astype(np.float32)
    whole = cv2.resize(plane, full[::-1], interpolation=cv2.INTER_LINEAR)
    unit = units(small, full)
    for area in (Rectangle(0, 2 * unit[0], 0, 4), Rectangle(4, 10, 6, 20), Rectangle(12, small[0], 10, small[1])):
        source = area.grown(unit[0] + 1, unit[1] + 1, small)
        part = upsampled(plane[source.slices()], source, area, small, full)
        np.testing.assert_allclose(part, whole[area.scaled(small, full).slices()], atol=1e-6)


def test_the_hull_holds_all_areas() -> None:
    assert hull([Rectangle(3, 5, 10, 12), Rectangle(4, 9, 1, 2)]) == Rectangle(3, 9, 1, 12)
