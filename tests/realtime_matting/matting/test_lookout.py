"""Where the window goes from frame to frame, with a trimap network that is told what it sees."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.matting.lookout import Lookout, people_in
from realtime_matting.matting.window import SQUARE, Window
from realtime_matting.models.registry import find_bundle
from realtime_matting.tiles import Rectangle

HEIGHT, WIDTH = 360, 640
# Sizes of its own: which shape is best depends on them, and those of the model may change.
SIDES = {"trimap": 480, "matting": 640}
ROLES = {
    role: spec.model_copy(update={"long_side": SIDES[role]}) for role, spec in find_bundle("shm-balanced").roles.items()
}
Rgb = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # top, bottom, left, right


class Scene:
    """People are white boxes before grey; counts how often it is looked at."""

    def __init__(self, ready: Callable[[Window], bool] = lambda window: True) -> None:
        self.lookout = Lookout(ROLES, ready=ready)
        self.looks = 0

    def frame(self, *people: Box, room: int = 90) -> Window:
        rgb = np.full((HEIGHT, WIDTH, 3), room, np.uint8)
        for top, bottom, left, right in people:
            rgb[top:bottom, left:right] = 250

        def look() -> NDArray[np.float32]:
            self.looks += 1
            person = cv2.resize((rgb[..., 0] == 250).astype(np.float32), (240, 135), interpolation=cv2.INTER_AREA)
            return np.stack([1 - person, 0 * person, person])

        choice = self.lookout.choose(rgb, look)
        self.trimap, self.is_cut = choice.trimap, choice.is_cut
        part = choice.window.cut(rgb)[..., 0] == 250
        self.lookout.saw(cv2.resize(part.astype(np.float32), (200, 200), interpolation=cv2.INTER_AREA))
        return choice.window


ONE: Box = (100, 360, 200, 360)
OTHER: Box = (150, 330, 560, 620)


def test_the_first_frame_is_looked_at_and_later_ones_only_now_and_then() -> None:
    scene = Scene()
    windows = [scene.frame(ONE) for _ in range(100)]
    assert set(windows) == {windows[0]}
    assert windows[0].shape is SQUARE
    assert scene.looks == 2


def test_a_whole_frame_is_looked_at_once_and_its_trimap_serves() -> None:
    scene = Scene()
    assert scene.frame((50, 360, 10, 630)).is_whole
    assert scene.trimap is not None
    for _ in range(100):
        assert scene.frame((50, 360, 10, 630)).is_whole
        assert scene.trimap is None
    assert scene.looks == 1


def test_with_a_window_the_trimap_of_the_whole_frame_does_not_serve() -> None:
    scene = Scene()
    assert not scene.frame(ONE).is_whole
    assert scene.trimap is None


def test_whoever_comes_in_outside_is_seen_in_the_same_frame() -> None:
    scene = Scene()
    for _ in range(5):
        assert not scene.frame(ONE).is_whole
    area = scene.frame(ONE, OTHER).area
    assert area.left <= 200
    assert area.right >= 620


def test_a_room_that_moves_has_at_most_every_fourth_frame_looked_at() -> None:
    scene = Scene()
    for number in range(40):
        scene.frame(ONE, room=60 + 30 * (number % 2))
    assert 5 < scene.looks <= 13


def test_a_small_step_does_not_move_the_window() -> None:
    scene = Scene()
    first = scene.frame(ONE)
    assert {scene.frame((100, 360, 200 + step, 360 + step)) for step in (0, 6, -6, 3)} == {first}


def test_who_leaves_the_window_is_followed() -> None:
    scene = Scene()
    for left in range(200, 440, 8):
        area = scene.frame((100, 360, left, left + 160)).area
        assert area.left <= left
        assert left + 160 <= area.right


def test_a_window_that_is_too_wide_is_narrowed_after_a_while() -> None:
    scene = Scene()
    assert scene.frame((50, 360, 10, 630)).is_whole
    windows = [scene.frame((160, 360, 300, 380)) for _ in range(40)]
    assert windows[20].is_whole
    assert windows[-1].share < 0.5


def test_an_arm_that_comes_and_goes_does_not_narrow_the_window_each_time() -> None:
    scene = Scene()
    down, raised = (160, 360, 200, 300), (160, 360, 200, 420)
    windows = [scene.frame(raised if number % 10 < 5 else down) for number in range(100)]
    assert len(set(windows[10:])) == 1


def test_when_nobody_is_there_the_whole_frame_is_seen() -> None:
    scene = Scene()
    scene.frame(ONE)
    scene.frame()
    assert scene.frame().is_whole
    assert scene.frame(OTHER).is_whole


def test_another_picture_altogether_is_a_cut() -> None:
    scene = Scene()
    for _ in range(3):
        scene.frame(ONE)
        assert not scene.is_cut
    moved = scene.frame((60, 250, 500, 600), room=180)
    assert scene.is_cut
    assert moved.area.right >= 600


def test_a_shape_that_the_networks_are_not_ready_for_is_not_waited_for() -> None:
    asked: list[Window] = []

    def ready(window: Window) -> bool:
        asked.append(window)
        return len(asked) > 3

    scene = Scene(ready=ready)
    windows = [scene.frame(ONE) for _ in range(60)]
    assert windows[0].is_whole
    assert not windows[-1].is_whole
    assert asked[0].shape is SQUARE


def test_a_frame_of_another_size_is_a_first_one() -> None:
    scene = Scene()
    scene.frame(ONE)
    rgb = np.full((200, 300, 3), 90, np.uint8)
    choice = scene.lookout.choose(
        rgb, lambda: np.stack([np.ones((50, 60), np.float32)] + [np.zeros((50, 60), np.float32)] * 2)
    )
    assert choice.window.frame == (200, 300)
    assert choice.window.is_whole


@pytest.mark.parametrize("window", [Window.whole((360, 640)), Window((360, 640), Rectangle(60, 260, 100, 300), SQUARE)])
def test_people_are_found_where_they_are_in_the_frame(window: Window) -> None:
    frame = np.zeros((360, 640), np.uint8)
    frame[100:240, 150:250] = 1
    frame[70:74, 110:114] = 1  # too small for a person
    small = cv2.resize(np.ascontiguousarray(window.cut(frame)), (320, 320), interpolation=cv2.INTER_NEAREST)
    found = people_in(small.astype(bool), window)
    assert found is not None
    for place, expected in zip(found, (100, 240, 150, 250), strict=True):
        assert abs(place - expected) <= 8


def test_a_few_pixels_are_nobody() -> None:
    mask = np.zeros((100, 200), bool)
    assert people_in(mask, Window.whole((360, 640))) is None
    mask[10:25, 20:40] = True
    assert people_in(mask, Window.whole((360, 640))) is None
