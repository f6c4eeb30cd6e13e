import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_matting.tiles import Rectangle, upsampled

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
    levels = np.rint(255 * plane).astype(np.uint8)
    part, whole = upsampled(levels, area, full), cv2.resize(levels, full[::-1], interpolation=cv2.INTER_LINEAR)
    assert part.dtype == np.uint8
    assert np.abs(part - whole[area.slices()].astype(int)).max() <= 1


def test_a_scaled_area_holds_all_pixels_that_it_touches() -> None:
    assert Rectangle(3, 9, 0, 8).scaled((12, 16), (3, 4)) == Rectangle(0, 3, 0, 2)
    assert Rectangle(4, 5, 7, 16).scaled((12, 16), (3, 4)) == Rectangle(1, 2, 1, 4)


def test_an_area_grows_as_far_as_the_picture_reaches() -> None:
    assert Rectangle(3, 5, 1, 12).grown(2, 3, (6, 20)) == Rectangle(1, 6, 0, 15)
