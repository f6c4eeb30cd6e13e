"""Video4Linux2 without a device: the choice of a mode, the constants, who holds a file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from realtime_matting.sources import v4l2
from realtime_matting.sources.v4l2 import Mode, choose_mode, find_devices, holders, modes_of, sizes_within

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Video4Linux2 is Linux's")

WEBCAM = [
    Mode("YUYV", 640, 480, 30),
    Mode("YUYV", 1280, 720, 10),
    Mode("YUYV", 1920, 1080, 5),
    Mode("MJPG", 640, 480, 30),
    Mode("MJPG", 1280, 720, 30),
    Mode("MJPG", 1920, 1080, 30),
]


@pytest.mark.parametrize(
    ("size", "fps", "expected"),
    [
        ((1280, 720), 30, Mode("MJPG", 1280, 720, 30)),
        ((640, 480), 30, Mode("YUYV", 640, 480, 30)),  # no decoding where USB can carry it
        ((1280, 720), 10, Mode("MJPG", 1280, 720, 30)),
        ((1920, 1080), 30, Mode("MJPG", 1920, 1080, 30)),
        ((960, 540), 30, Mode("MJPG", 1280, 720, 30)),  # the smallest that is large enough
        ((3840, 2160), 30, Mode("MJPG", 1920, 1080, 30)),  # or the largest
        ((1280, 720), 60, Mode("MJPG", 1280, 720, 30)),
    ],
)
def test_the_best_mode_of_a_usual_webcam(size: tuple[int, int], fps: float, expected: Mode) -> None:
    assert choose_mode(WEBCAM, size, fps) == expected


def test_pace_goes_before_size() -> None:
    modes = [Mode("YUYV", 1280, 720, 10), Mode("YUYV", 640, 480, 30)]
    assert choose_mode(modes, (1280, 720), 30) == modes[1]


def test_a_device_that_tells_no_rate_is_taken_at_its_word() -> None:
    modes = [Mode("YUYV", 1280, 720, 0), Mode("YUYV", 640, 480, 0)]
    assert choose_mode(modes, (1280, 720), 30) == modes[0]


@example([Mode("MJPG", 1274, 717, 0)])  # a hair too small, and smaller than what fits
@given(
    st.lists(
        st.builds(
            Mode,
            st.sampled_from(["MJPG", "YUYV"]),
            st.integers(160, 4000),
            st.integers(120, 3000),
            st.sampled_from([0, 5, 15, 30, 60]),
        ),
        min_size=1,
    )
)
def test_a_mode_that_fits_exactly_is_taken_whatever_the_others(modes: list[Mode]) -> None:
    exact = Mode("MJPG", 1280, 720, 30)
    chosen = choose_mode([*modes, exact], (1280, 720), 30)
    assert (chosen.width, chosen.height) == (1280, 720)
    assert chosen.fps in (0, 30, 60)


def test_a_range_of_sizes_gives_the_usual_ones_within_it() -> None:
    sizes = sizes_within((160, 1280, 2, 120, 720, 2))
    assert (1280, 720) in sizes
    assert (1920, 1080) not in sizes


def test_the_numbers_are_those_of_the_kernels_header(tmp_path: Path) -> None:
    if shutil.which("gcc") is None or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("no C compiler, or no kernel headers")
    source = tmp_path / "numbers.c"
    source.write_text(
        "#include <stdio.h>\n#include <stddef.h>\n#include <linux/videodev2.h>\n"
        'int main(void) { printf("%lu %lu %lu %lu %zu %zu %zu %zu %zu", (unsigned long)VIDIOC_QUERYCAP,'
        " (unsigned long)VIDIOC_ENUM_FMT, (unsigned long)VIDIOC_ENUM_FRAMESIZES,"
        " (unsigned long)VIDIOC_ENUM_FRAMEINTERVALS, offsetof(struct v4l2_capability, capabilities),"
        " offsetof(struct v4l2_fmtdesc, pixelformat), offsetof(struct v4l2_frmsizeenum, type),"
        " offsetof(struct v4l2_frmivalenum, width), offsetof(struct v4l2_frmivalenum, discrete)); }\n"
    )
    subprocess.run(["gcc", str(source), "-o", str(tmp_path / "numbers")], check=True)
    printed = subprocess.run([str(tmp_path / "numbers")], capture_output=True, text=True, check=True).stdout
    requests = [v4l2._QUERYCAP, v4l2._ENUM_FMT, v4l2._ENUM_FRAMESIZES, v4l2._ENUM_FRAMEINTERVALS]
    assert [int(number) for number in printed.split()] == [*requests, 84, 44, 8, 8, 20]


def test_who_holds_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    path.touch()
    assert holders(str(path)) == []
    code = f"open({str(path)!r}).read(); f = open({str(path)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (found,) = holders(str(path))
        assert found.endswith(f"(process {process.pid})")
        process.communicate("\n")


def test_what_is_no_device_is_no_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "video0").touch()
    with pytest.raises(OSError, match="ioctl"):
        modes_of(str(tmp_path / "video0"))
    monkeypatch.setattr(v4l2, "_ROOT", tmp_path)
    assert find_devices() == []
    assert v4l2.is_output(str(tmp_path / "video0")) is False
    assert v4l2.is_output(os.devnull) is False
