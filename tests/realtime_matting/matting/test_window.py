"""Windows around people: which are chosen, and that networks always get pictures of the same few sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.matting.window import SHAPES, SQUARE, TALL, WIDE, Window, best_window, size_seen, takes_windows
from realtime_matting.models.bundle import Role, RoleSpec
from realtime_matting.models.registry import find_bundle
from realtime_matting.tiles import Rectangle

BUNDLES = ("shm-fast", "shm-balanced", "shm-quality")
FRAMES = ((720, 1280), (1080, 1920), (480, 640), (288, 512), (1280, 720), (768, 1366))


def roles_of(name: str) -> dict[Role, RoleSpec]:
    return dict(find_bundle(name).roles)


@st.composite
def people_in_a_frame(draw: st.DrawFn) -> tuple[tuple[int, int], Rectangle]:
    height, width = draw(st.sampled_from(FRAMES))
    top, left = draw(st.integers(0, height - 20)), draw(st.integers(0, width - 20))
    bottom, right = draw(st.integers(top + 10, height)), draw(st.integers(left + 10, width))
    return (height, width), Rectangle(top, bottom, left, right)


@given(people_in_a_frame(), st.sampled_from(BUNDLES))
def test_a_window_holds_the_people_and_lies_in_the_frame(case: tuple[tuple[int, int], Rectangle], name: str) -> None:
    (height, width), people = case
    area = best_window(people, (height, width), roles_of(name), SHAPES).area
    assert 0 <= area.top <= people.top < people.bottom <= area.bottom <= height
    assert 0 <= area.left <= people.left < people.right <= area.right <= width


@given(people_in_a_frame(), st.sampled_from(BUNDLES))
def test_all_windows_of_one_shape_give_the_networks_pictures_of_one_size(
    case: tuple[tuple[int, int], Rectangle], name: str
) -> None:
    frame, people = case
    roles = roles_of(name)
    window = best_window(people, frame, roles, SHAPES)
    height, width = window.size
    for role, spec in window.shape.sized(roles).items():
        if window.shape.across:
            longer, shorter = sorted((window.shape.across, window.shape.down), reverse=True)
            side = spec.long_side or 0
            padded = -(-round(side * shorter / longer) // spec.stride) * spec.stride
            assert sorted(spec.working_size(width, height), reverse=True) == [side, padded]
        else:
            assert spec.working_size(width, height) == spec.working_size(frame[1], frame[0]), role


@given(people_in_a_frame(), st.sampled_from(BUNDLES))
def test_people_are_never_seen_smaller_than_in_the_whole_frame(
    case: tuple[tuple[int, int], Rectangle], name: str
) -> None:
    frame, people = case
    roles = roles_of(name)
    best = best_window(people, frame, roles, SHAPES)
    assert size_seen(people, best, roles) >= size_seen(people, Window.whole(frame), roles)


def test_somebody_at_a_desk_is_seen_in_a_square_and_somebody_who_stands_in_an_upright_window() -> None:
    roles = roles_of("shm-balanced")
    at_a_desk = best_window(Rectangle(150, 720, 400, 900), (720, 1280), roles, SHAPES)
    assert at_a_desk.shape is SQUARE
    assert at_a_desk.size[0] == at_a_desk.size[1]
    with_both_arms = best_window(Rectangle(100, 720, 250, 1000), (720, 1280), roles, SHAPES)
    assert with_both_arms.shape is WIDE
    standing = best_window(Rectangle(100, 700, 600, 760), (720, 1280), roles, SHAPES)
    assert standing.shape is TALL
    assert best_window(Rectangle(100, 720, 0, 1280), (720, 1280), roles, SHAPES).is_whole


def test_networks_have_hardly_more_to_do_for_a_window_than_for_a_frame() -> None:
    for name in BUNDLES:
        roles = roles_of(name)
        for shape in (WIDE, SQUARE, TALL):
            for role, spec in shape.sized(roles).items():
                pixels = np.prod(spec.working_size(100 * shape.across, 100 * shape.down))
                assert pixels <= 1.2 * np.prod(roles[role].working_size(1280, 720)), (name, shape.name, role)


def test_a_part_comes_back_to_its_place() -> None:
    window = Window((40, 60), Rectangle(10, 30, 20, 50), SQUARE)
    frame = np.arange(40 * 60 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 60, 3)
    part = window.cut(frame)
    assert part.shape == (20, 30, 3)
    assert part.flags.c_contiguous
    np.testing.assert_array_equal(window.replaced(frame, part), frame)
    changed = window.replaced(frame, 255 - part)
    assert (changed[10:30, 20:50] == 255 - part).all()
    alpha = window.placed(np.ones((20, 30), np.float32))
    assert alpha.sum() == 600
    assert alpha[10:30, 20:50].all()
    whole = Window.whole((40, 60))
    assert whole.cut(frame) is frame
    assert whole.share == 1


@pytest.mark.parametrize(
    ("name", "takes"), [("shm-balanced", True), ("fixed", False), ("one network", False)], ids=lambda value: str(value)
)
def test_windows_are_for_trimap_and_matting_networks_of_free_sizes(name: str, takes: bool) -> None:
    roles = roles_of("shm-balanced")
    if name == "fixed":
        roles["trimap"] = roles["trimap"].model_copy(update={"long_side": None, "fixed_size": (320, 320)})
    if name == "one network":
        del roles["matting"]
    assert takes_windows(roles) is takes


@given(people_in_a_frame(), people_in_a_frame())
def test_the_place_of_a_pixel_in_another_window_is_that_of_the_same_pixel_of_the_frame(
    case: tuple[tuple[int, int], Rectangle], another: tuple[tuple[int, int], Rectangle]
) -> None:
    frame, one = case
    other = another[1].grown(0, 0, frame)
    if other.bottom <= other.top or other.right <= other.left:
        return
    here, there = Window(frame, one), Window(frame, other)
    place = here.place_of(there, (90, 160), (60, 70))
    back = there.place_of(here, (60, 70), (90, 160))
    for x, y in ((0, 0), (69, 59), (12.5, 40)):
        in_frame = other.left + (x + 0.5) * there.size[1] / 70, other.top + (y + 0.5) * there.size[0] / 60
        expected = (
            (in_frame[0] - one.left) * 160 / here.size[1] - 0.5,
            (in_frame[1] - one.top) * 90 / here.size[0] - 0.5,
        )
        found = place @ (x, y, 1)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_allclose(back @ (*found, 1), (x, y), atol=1e-6)
