"""Changing the background of a live run."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime_matting.backdrop import Backdrop
from realtime_matting.errors import InputError

FRAME = np.full((48, 64, 3), 200, np.uint8)
PERSON = np.zeros((48, 64), np.float32)


def colour(backdrop: Backdrop) -> list[int]:
    return backdrop.at(1.0, FRAME, PERSON)[5, 5].tolist()


@pytest.fixture
def beach(tmp_path: Path) -> Path:
    path = tmp_path / "beach.png"
    cv2.imwrite(str(path), np.full((48, 64, 3), 77, np.uint8))
    return path


def test_next_goes_on_after_a_blur_chosen_by_hand_where_the_list_was_left(beach: Path) -> None:
    backdrop = Backdrop(["#112233", str(beach), "#445566"], print)
    backdrop.next()
    backdrop.blur_more(1)
    backdrop.next()
    assert backdrop.spec == "#445566"
    backdrop.close()


def test_next_goes_through_the_list_and_begins_again(beach: Path) -> None:
    backdrop = Backdrop(["#FF0000", "#00FF00", str(beach)], print)
    seen = [colour(backdrop)]
    for _ in range(3):
        backdrop.next()
        seen.append(colour(backdrop))
    assert seen == [[255, 0, 0], [0, 255, 0], [77, 77, 77], [255, 0, 0]]


def test_what_cannot_be_opened_leaves_the_old_one(tmp_path: Path) -> None:
    backdrop = Backdrop(["#FF0000"], print)
    for spec in (str(tmp_path / "missing.png"), "blur:7", "purple"):
        with pytest.raises(InputError):
            backdrop.show(spec)
    assert backdrop.spec == "#FF0000"
    assert colour(backdrop) == [255, 0, 0]


def test_no_background_is_refused() -> None:
    with pytest.raises(InputError, match="no background is given"):
        Backdrop([], print)


def test_a_changed_file_is_shown_and_an_unchanged_one_is_not_opened_again(beach: Path) -> None:
    from realtime_matting.compositing.backgrounds import Background, open_background

    opened = []

    def opener(spec: str) -> Background:
        opened.append(spec)
        return open_background(spec)

    backdrop = Backdrop([str(beach)], print, opener)
    backdrop.reload_if_changed()
    assert len(opened) == 1
    cv2.imwrite(str(beach), np.full((48, 64, 3), 99, np.uint8))
    give_up = time.monotonic() + 10
    while colour(backdrop) != [99, 99, 99]:
        assert time.monotonic() < give_up
        backdrop.reload_if_changed()
    assert len(opened) == 2


def test_a_background_that_breaks_while_it_is_shown_stays_on_with_its_last_picture(beach: Path) -> None:
    class Breaking:
        calls = 0

        def at(self, time: float, frame: object, alpha: object) -> object:
            self.calls += 1
            if self.calls > 1:
                raise InputError("beach.png: is damaged")
            return np.full((48, 64, 3), 77, np.uint8)

        def close(self) -> None:
            pass

    said: list[str] = []
    backdrop = Backdrop([str(beach)], said.append, lambda spec: Breaking())  # type: ignore[arg-type, return-value]
    for _ in range(3):
        assert colour(backdrop) == [77, 77, 77]
    assert said == ["beach.png: is damaged; the last picture of the background stays"]


def test_a_background_made_from_the_frame_is_never_shown_again_in_its_place() -> None:
    """A blurred room that fails must not leave the last blurred room on: it may hold the person."""

    class Breaking:
        calls = 0

        def at(self, time: float, frame: object, alpha: object) -> object:
            self.calls += 1
            if self.calls > 1:
                raise InputError("it broke")
            return frame

        def close(self) -> None:
            pass

    backdrop = Backdrop(["blur"], print, lambda spec: Breaking())  # type: ignore[arg-type, return-value]
    backdrop.at(0.0, FRAME, PERSON)
    with pytest.raises(InputError):
        backdrop.at(0.1, FRAME, PERSON)


@pytest.mark.parametrize("spec", ["blur", "none", "#102030"])
def test_alone_it_holds_nothing_of_any_frame(spec: str) -> None:
    backdrop = Backdrop([spec], print)
    backdrop.at(0.0, FRAME, PERSON)
    picture = backdrop.alone(0.1, 64, 48)
    assert picture.shape == (48, 64, 3)
    assert picture.max() < 60


def test_the_blur_gets_stronger_and_weaker_within_its_limits() -> None:
    backdrop = Backdrop(["blur"], print)
    backdrop.blur_more(1)
    assert backdrop.spec == "blur:0.60"
    for _ in range(9):
        backdrop.blur_more(1)
    assert backdrop.spec == "blur:1.00"
    for _ in range(20):
        backdrop.blur_more(-1)
    assert backdrop.spec == "blur:0.05"
    backdrop.show("#FF0000")
    backdrop.blur_more(1)
    assert backdrop.spec == "blur:0.50"
