import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_matting.tiles import Rectangle, hull, rectangles, upsampled


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 99), st.integers(1, 12), st.integers(1, 12))
def test_rectangles_hold_every_pixel_of_the_mask_once(height: int, width: int, seed: int, band: int, cell: int) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < 0.01).astype(np.uint8)
    covered = np.zeros_like(mask)
    areas = rectangles(mask, band, cell)
    for area in areas:
        covered[area.slices()] += 1
        assert mask[area.slices()].any()
        assert area.top % band == area.left % cell == 0
        assert area.bottom == min(area.top + band, height)
        assert area.right % cell == 0 or area.right == width
    assert covered.max() <= 1
    assert (covered[mask > 0] == 1).all()
    assert areas == sorted(areas)


def test_an_empty_mask_has_no_rectangles() -> None:
    assert rectangles(np.zeros((9, 9), np.uint8), 4, 4) == []


sides = st.integers(1, 40)


@settings(deadline=None)
@given(st.tuples(sides, sides), st.tuples(sides, sides), st.sampled_from([(), (3,)]), st.data())
def test_a_part_enlarged_alone_is_a_part_of_the_whole_enlarged(
    small: tuple[int, int], more: tuple[int, int], channels: tuple[int, ...], data: st.DataObject
) -> None:
    full = small[0] + more[0] - 1, small[1] + more[1] - 1
    top, left = (data.draw(st.integers(0, side - 1)) for side in full)
    area = Rectangle(top, data.draw(st.integers(top + 1, full[0])), left, data.draw(st.integers(left + 1, full[1])))
    plane = np.random.default_rng(0).random((*small, *channels)).astype(np.float32)
    whole = cv2.resize(plane, full[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(upsampled(plane, area, full), whole[area.slices()], atol=1e-5)


def test_a_scaled_area_holds_all_pixels_that_it_touches() -> None:
    assert Rectangle(3, 9, 0, 8).scaled((12, 16), (3, 4)) == Rectangle(0, 3, 0, 2)
    assert Rectangle(4, 5, 7, 16).scaled((12, 16), (3, 4)) == Rectangle(1, 2, 1, 4)


def test_an_area_grows_as_far_as_the_picture_reaches() -> None:
    assert Rectangle(3, 5, 1, 12).grown(2, 3, (6, 20)) == Rectangle(1, 6, 0, 15)


def test_the_hull_holds_all_areas() -> None:
    assert hull([Rectangle(3, 5, 10, 12), Rectangle(4, 9, 1, 2)]) == Rectangle(3, 9, 1, 12)
