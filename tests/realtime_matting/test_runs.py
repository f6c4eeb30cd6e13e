"""Runs around the pixels of a mask, copied out and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime_matting.runs import LENGTH, Runs

sides = st.integers(1, 90)


def speckled(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    return (np.random.default_rng(seed).random((height, width)) < 0.01).astype(np.uint8)


def covered_by(runs: Runs, shape: tuple[int, int]) -> NDArray[np.bool_]:
    covered = np.zeros(shape, bool).reshape(-1, runs.length)
    covered[runs.places] = True
    return covered.reshape(shape)


@settings(deadline=None)
@given(sides, st.one_of(sides, st.sampled_from([16, 32, 48])), st.integers(0, 99))
def test_runs_hold_every_pixel_of_the_mask_and_each_of_them_some(height: int, width: int, seed: int) -> None:
    mask = speckled(height, width, seed)
    runs = Runs(mask)
    assert width % runs.length == 0
    assert runs.length == LENGTH or width % LENGTH
    assert covered_by(runs, mask.shape)[mask > 0].all()
    assert mask.reshape(-1, runs.length)[runs.places].any(axis=1).all()
    assert (np.diff(runs.places) > 0).all()


@settings(deadline=None)
@given(sides, sides, st.integers(0, 99), st.integers(1, 40))
def test_bands_and_portions_hold_each_run_once_and_in_order(height: int, width: int, seed: int, rows: int) -> None:
    runs = Runs(speckled(height, width, seed))
    per_row = width // runs.length
    found = []
    for top, bottom, places in runs.bands(rows):
        assert top // rows == (bottom - 1) // rows
        assert places[0] // per_row == 0
        assert places[-1] // per_row == bottom - 1 - top
        found += [few + top * per_row for few in runs.portions(places)]
    np.testing.assert_array_equal(np.concatenate([*found, np.empty(0, int)]), runs.places)


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("width", [64, 50, 37])
def test_what_is_taken_and_changed_is_put_where_it_was(
    channels: tuple[int, ...], dtype: type[np.generic], width: int
) -> None:
    mask = speckled(40, width, 3)
    picture = np.random.default_rng(1).integers(0, 100, (40, width, *channels)).astype(dtype)
    before = picture.copy()
    runs = Runs(mask)
    taken = runs.take(picture, runs.places)
    assert taken.shape == (len(runs.places), runs.length, *channels)
    np.testing.assert_array_equal(picture, before)
    runs.put(picture, runs.places, taken + taken.dtype.type(100))
    covered = covered_by(runs, mask.shape)
    assert covered.any()
    assert not covered.all()
    np.testing.assert_array_equal(picture[covered], before[covered] + 100)
    np.testing.assert_array_equal(picture[~covered], before[~covered])


def test_a_part_of_rows_is_written_to_in_place() -> None:
    picture = np.zeros((6, 16), np.float32)
    runs = Runs(np.pad(np.ones((1, 1), np.uint8), ((4, 1), (3, 12))))
    ((top, bottom, places),) = runs.bands(6)
    runs.put(picture[top:bottom], places, np.ones((1, 16), np.float32))
    assert picture[4].all()
    assert picture.sum() == 16


def test_planes_are_taken_side_by_side_and_may_be_read_only_or_strided() -> None:
    planes = np.random.default_rng(0).random((2, 20, 80)).astype(np.float32)[:, :, 8:40]
    planes.setflags(write=False)
    runs = Runs(speckled(20, 32, 5))
    taken = runs.take_planes(list(planes), runs.places)
    assert taken.shape == (2, len(runs.places), 16)
    for plane, part in zip(planes, taken, strict=True):
        np.testing.assert_array_equal(part, runs.take(np.ascontiguousarray(plane), runs.places))
