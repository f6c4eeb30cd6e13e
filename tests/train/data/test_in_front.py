"""Tables, laptops and screens between camera and person."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.config import DataConfig
from train.data.in_front import MOST_BOXES, Box, draw_boxes, paint_boxes, put_before
from train.data.placement import draw_centres

GREY = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_a_box_covers_its_inside_wholly_and_pixels_at_its_side_in_part() -> None:
    color, cover = paint_boxes([Box(5.0, 4.0, 3.25, 2.0, 0.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))], 12, 8)
    assert cover[4, 5] == 1
    assert cover[0, 0] == 0
    # The side lies at x = 8.25: a quarter of that pixel is covered, by the distance of its middle.
    np.testing.assert_allclose(cover[4, 7:10], [1.0, 0.25, 0.0])
    np.testing.assert_allclose(color[2:6, 5, 0], [0.125, 0.375, 0.625, 0.875])


def test_the_later_box_is_nearer() -> None:
    black, white = (0.0,) * 3, (1.0,) * 3
    far, near = (Box(4.0, 4.0, 9.0, 9.0, 0.0, shade, shade) for shade in (black, white))
    assert paint_boxes([far, near], 8, 8)[0].min() == 1
    assert paint_boxes([near, far], 8, 8)[0].max() == 0


def test_a_turned_box_is_turned_clockwise_on_the_screen() -> None:
    _, cover = paint_boxes([Box(8.0, 8.0, 7.0, 1.0, np.pi / 4, *GREY)], 16, 16)
    assert cover[11, 11] > 0.9
    assert cover[11, 4] == 0


@given(seed=st.integers(0, 10_000))
def test_a_window_shows_the_same_part_of_every_box(seed: int) -> None:
    boxes = draw_boxes(np.random.default_rng(seed), 64, 48)
    assert 1 <= len(boxes) <= MOST_BOXES
    color, cover = paint_boxes(boxes, 64, 48)
    part, its_cover = paint_boxes([box.seen_through(10, 20, 1) for box in boxes], 30, 25)
    np.testing.assert_allclose(its_cover, cover[20:45, 10:40], atol=1e-4)
    # Where nothing covers, colour means nothing.
    np.testing.assert_allclose(part * its_cover[..., None], (color * cover[..., None])[20:45, 10:40], atol=1e-3)


@given(seed=st.integers(0, 10_000))
def test_what_is_before_a_person_is_background(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cover, alpha = rng.random((2, 6, 7), np.float32)
    cover[0], alpha[:, 0] = 1, 1
    color, back, front = rng.random((3, 6, 7, 3), np.float32)
    seen, behind = put_before(cover, color, alpha, back)
    assert (seen[0] == 0).all()
    scene = alpha[..., None] * front + (1 - alpha[..., None]) * back
    expected = cover[..., None] * color + (1 - cover[..., None]) * scene
    np.testing.assert_allclose(seen[..., None] * front + (1 - seen[..., None]) * behind, expected, atol=2e-3)


@pytest.mark.parametrize("people", [0, 1, 3])
def test_only_two_people_are_put_beside_each_other(people: int) -> None:
    assert draw_centres(np.random.default_rng(0), people) == [None] * people


def test_two_people_mostly_stand_in_different_halves() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_centres(rng, 2) for _ in range(300)]
    beside = [sorted(x for x in pair if x is not None) for pair in drawn if None not in pair]
    assert 0.6 < len(beside) / 300 < 0.8
    assert all(left < 0.5 < right for left, right in beside)


def test_the_share_is_nothing_unless_asked_for() -> None:
    assert DataConfig.model_fields["in_front_share"].default == 0


def test_a_box_shows_the_other_picture_by_its_grain() -> None:
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:, :4] = 255
    table, screen = (Box(4.0, y, 9.0, 1.5, 0.0, *GREY, 0.6, mirrored) for y, mirrored in ((6.0, False), (2.0, True)))
    color, _ = paint_boxes([table, screen], 8, 8, texture)
    np.testing.assert_allclose(color[6, [0, 7], 0], [0.8, 0.2], atol=1e-6)
    np.testing.assert_allclose(color[2, [0, 7], 0], [0.2, 0.8], atol=1e-6)
    np.testing.assert_allclose(paint_boxes([table], 8, 8)[0][6], 0.5)
