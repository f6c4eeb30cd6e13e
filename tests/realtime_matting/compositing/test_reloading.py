"""A background whose file is replaced while it is shown."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from realtime_matting.compositing.backgrounds import Background, open_background
from realtime_matting.compositing.reloading import ReloadingBackground
from realtime_matting.errors import InputError

FRAME = np.full((48, 64, 3), 200, np.uint8)
PERSON = np.zeros((48, 64), np.float32)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Reloading:
    """A background under test, with a clock that the test turns."""

    def __init__(self, spec: str, opener: Callable[[str], Background] = open_background) -> None:
        self.said: list[str] = []
        self.clock = Clock()
        self.opened: list[str] = []

        def counting(spec: str) -> Background:
            self.opened.append(spec)
            return opener(spec)

        self.background = ReloadingBackground(spec, self.said.append, counting, self.clock)

    def level(self) -> int:
        return round(float(self.background.at(0.0, FRAME, PERSON).mean()))

    def look(self, seconds: float = 0.5) -> None:
        self.clock.now += seconds
        self.background.look()


def picture(path: Path, level: int) -> Path:
    assert cv2.imwrite(str(path), np.full((48, 64, 3), level, np.uint8))
    return path


def video(path: Path, level: int) -> Path:
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("write", "name"), [(picture, "beach.png"), (video, "sea.mkv")])
def test_a_replaced_file_is_shown_when_it_has_come_to_rest(
    tmp_path: Path, write: Callable[[Path, int], Path], name: str
) -> None:
    shown = Reloading(str(write(tmp_path / name, 77)))
    assert abs(shown.level() - 77) <= 2
    write(tmp_path / "new", 140).replace(tmp_path / name) if write is video else write(tmp_path / name, 140)
    shown.look()
    assert abs(shown.level() - 77) <= 2
    shown.look()
    assert abs(shown.level() - 140) <= 2
    assert shown.said == []


def test_it_is_looked_at_twice_a_second_at_most_and_opened_only_when_it_changed(tmp_path: Path) -> None:
    path = picture(tmp_path / "beach.png", 77)
    shown = Reloading(str(path))
    for _ in range(20):
        shown.look()
    assert len(shown.opened) == 1
    picture(path, 99)
    for _ in range(40):
        shown.look(0.02)  # 0.8 seconds: one look
    assert shown.level() == 77
    for _ in range(40):
        shown.look(0.02)
    assert shown.level() == 99
    assert len(shown.opened) == 2


def test_a_file_that_is_still_being_written_is_not_opened(tmp_path: Path) -> None:
    path = picture(tmp_path / "beach.png", 77)
    data = picture(tmp_path / "new.png", 99).read_bytes()
    shown = Reloading(str(path))
    for length in range(1, len(data), len(data) // 5):
        path.write_bytes(data[:length])
        shown.look()
    path.write_bytes(data)
    shown.look()
    shown.look()
    assert shown.level() == 99
    assert shown.said == []


def test_one_that_cannot_be_read_keeps_the_old_one_and_is_told_once(tmp_path: Path) -> None:
    path = picture(tmp_path / "beach.png", 77)
    shown = Reloading(str(path))
    path.write_bytes(b"garbage")
    for _ in range(10):
        shown.look()
    assert shown.level() == 77
    assert len(shown.said) == 1
    assert "beach.png" in shown.said[0]
    assert shown.said[0].endswith("the old background stays")
    picture(path, 99)
    shown.look()
    shown.look()
    assert shown.level() == 99


def test_a_removed_file_stays_as_it_was(tmp_path: Path) -> None:
    path = picture(tmp_path / "beach.png", 77)
    shown = Reloading(str(path))
    path.unlink()
    for _ in range(4):
        shown.look()
    assert shown.level() == 77
    assert shown.said == []


@pytest.mark.parametrize("spec", ["blur", "none", "#102030"])
def test_what_is_no_file_is_never_opened_again(spec: str) -> None:
    shown = Reloading(spec)
    for _ in range(4):
        shown.look()
    assert shown.opened == [spec]


def test_closed_while_the_new_one_is_being_opened_both_are_closed(tmp_path: Path) -> None:
    closed: list[int] = []

    class Numbered:
        def __init__(self, number: int) -> None:
            self.number = number

        def at(self, time: float, frame: object, alpha: object) -> object:
            raise AssertionError("not asked for here")

        def close(self) -> None:
            closed.append(self.number)

    path = picture(tmp_path / "beach.png", 77)

    def opener(spec: str) -> Background:
        if shown:
            shown[0].background.close()
        return Numbered(len(shown))  # type: ignore[return-value]

    shown: list[Reloading] = []
    shown.append(Reloading(str(path), opener))
    picture(path, 99)
    shown[0].look()
    shown[0].look()
    assert set(closed) == {0, 1}


def test_one_that_cannot_be_used_at_first_is_an_error() -> None:
    with pytest.raises(InputError, match="not a background"):
        ReloadingBackground("purple", print)


def test_a_video_that_breaks_again_and_again_is_told_once(tmp_path: Path) -> None:
    class Breaking:
        asked = 0

        def at(self, time: float, frame_rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
            self.asked += 1
            if self.asked % 3 == 0:
                raise InputError("waves.mp4: is damaged")
            return np.full_like(frame_rgb, self.asked)

        def close(self) -> None:
            pass

    said: list[str] = []
    background = ReloadingBackground(str(tmp_path / "waves.mp4"), said.append, lambda spec: Breaking(), Clock())
    shown = [int(background.at(0, FRAME, PERSON)[0, 0, 0]) for _ in range(9)]
    assert shown == [1, 2, 2, 4, 5, 5, 7, 8, 8]
    assert said == ["waves.mp4: is damaged; the last picture of the background stays"]
