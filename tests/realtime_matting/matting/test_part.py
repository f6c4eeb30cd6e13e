"""The columns of a picture that the matting network is given."""

import time
from contextlib import closing
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import realtime_matting
from realtime_matting.matting.fusion import fuse
from realtime_matting.matting.networks import Networks, at_size
from realtime_matting.matting.part import columns_of_band, part_width
from realtime_matting.models.registry import find_bundle
from realtime_matting.sources.video import VideoSource

STRIDE = 16
SAMPLE = Path(realtime_matting.__file__).parent / "sample"


def band(width: int, first: int, last: int) -> np.ndarray:
    probabilities = np.zeros((3, 4, width), np.float32)
    probabilities[0] = 1
    probabilities[0, 1, [first, last]], probabilities[1, 1, [first, last]] = 0.4, 0.6
    return probabilities


@given(st.integers(1, 60), st.data())
def test_the_part_holds_the_band_with_its_margin_and_is_seven_tenths_wide(cells: int, data: st.DataObject) -> None:
    width = cells * STRIDE
    first = data.draw(st.integers(0, width - 1))
    last = data.draw(st.integers(first, width - 1))
    part = columns_of_band(band(width, first, last), width, STRIDE)
    if part is None:
        assert min(last // STRIDE + 3, cells) - max(first // STRIDE - 2, 0) > 7 * cells // 10 or cells < 4
        return
    assert 0 <= part.start <= max(0, first - 2 * STRIDE)
    assert min(width, last + 2 * STRIDE) <= part.stop <= width
    assert part.start % STRIDE == part.stop % STRIDE == 0
    assert part.stop - part.start == part_width(width, STRIDE) == -(-7 * cells // 10) * STRIDE < width


def test_a_person_in_the_middle_of_a_wide_picture_takes_seven_tenths() -> None:
    assert columns_of_band(band(640, 170, 470), 640, STRIDE) == slice(96, 544)


def test_with_nobody_there_the_middle_is_given() -> None:
    empty = np.zeros((3, 4, 640), np.float32)
    empty[0] = 1
    assert columns_of_band(empty, 640, STRIDE) == slice(96, 544)


def test_of_two_people_who_fill_the_picture_all_is_given() -> None:
    assert columns_of_band(band(640, 40, 600), 640, STRIDE) is None


def test_a_band_narrower_than_the_padded_picture_counts_from_the_same_left() -> None:
    part = columns_of_band(band(630, 600, 629), 640, STRIDE)
    assert part is not None
    assert part.stop == 640


def test_a_part_of_a_real_frame_is_matted_as_in_the_whole() -> None:
    with VideoSource(str(SAMPLE / "gesture.mp4")) as source:
        rgb = next(iter(source)).rgb
    with closing(Networks(find_bundle("shm-fast"), engine="openvino", threads=1, precision="f32")) as networks:
        small = networks.shrink(rgb)
        probabilities = at_size(networks.trimap(small)[0], networks.work_size(rgb.shape[1], rgb.shape[0]))
        padded = networks.roles["matting"].working_size(*probabilities.shape[:0:-1])
        columns = columns_of_band(probabilities, padded[0], STRIDE)
        assert columns is not None
        raw, share = networks.matting(small, probabilities)
        whole = fuse(probabilities, raw)
        assert share == 1
        raw, share = networks.matting(small, probabilities, streamed=True)
        assert np.array_equal(fuse(probabilities, raw), whole)
        assert share == 1
        shapes = dict.fromkeys(("rgb", "trimap"), (1, 3, padded[1], columns.stop - columns.start))
        until = time.monotonic() + 30
        while not networks._engines["matting"].prepared(shapes):
            assert time.monotonic() < until
            time.sleep(0.01)
        raw, share = networks.matting(small, probabilities, streamed=True)
        part = fuse(probabilities, raw)
    assert share == (columns.stop - columns.start) / padded[0] < 1
    assert np.abs(part - whole).max() < 0.05
    assert np.abs(part - whole).mean() < 1e-4
