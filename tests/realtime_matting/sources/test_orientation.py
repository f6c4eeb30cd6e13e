"""The eight orientations, from EXIF values and from display matrices."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.sources.orientation import UPRIGHT, from_display_matrix, from_exif

PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)

# EXIF 2.32: value -> what undoes it, written with plain NumPy.
UNDONE = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p),
}


@pytest.mark.parametrize("value", range(1, 9))
def test_each_exif_value_is_undone(value: int) -> None:
    orientation = from_exif(value)
    upright = orientation.apply(PICTURE)
    assert np.array_equal(upright, UNDONE[value](PICTURE))
    assert orientation.size(3, 2) == (upright.shape[1], upright.shape[0])


@given(st.integers(0, 65535).filter(lambda value: not 1 <= value <= 8))
def test_unknown_exif_values_leave_the_picture_alone(value: int) -> None:
    assert from_exif(value) is UPRIGHT


@given(turn=st.integers(0, 3), wobble=st.floats(-40, 40), scale=st.floats(0.5, 2))
def test_a_display_matrix_counts_as_the_nearest_right_angle(turn: int, wobble: float, scale: float) -> None:
    angle = math.radians(90 * turn + wobble)
    a, b = (round(65536 * scale * f(angle)) for f in (math.cos, math.sin))
    matrix = struct.pack("=9i", a, b, 0, -b, a, 0, 0, 0, 1 << 30)
    upright = from_display_matrix(matrix).apply(PICTURE)
    assert np.array_equal(upright, np.rot90(PICTURE, -turn))  # y points down: a positive angle turns clockwise
