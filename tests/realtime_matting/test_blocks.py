"""Blocks around the pixels of a mask, copied out and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime_matting.blocks import Blocks, Windows, blocks_of

sides = st.integers(1, 90)


def speckled(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    return (np.random.default_rng(seed).random((height, width)) < 0.002).astype(np.uint8)


@settings(deadline=None)
@given(sides, sides, st.integers(0, 99))
def test_blocks_hold_every_pixel_of_the_mask_and_none_twice(height: int, width: int, seed: int) -> None:
    mask = speckled(height, width, seed)
    covered = np.zeros_like(mask)
    for blocks in blocks_of(mask):
        for top, left in zip(blocks.tops, blocks.lefts, strict=True):
            here = slice(top, top + blocks.height), slice(left, left + blocks.width)
            assert covered[here].shape == (blocks.height, blocks.width)
            assert mask[here].any()
            covered[here] += 1
    assert covered.max() <= 1
    assert (covered[mask > 0] == 1).all()


@settings(deadline=None)
@given(sides, sides, st.integers(0, 99), st.integers(1, 40))
def test_bands_and_portions_hold_each_block_once_and_in_order(height: int, width: int, seed: int, rows: int) -> None:
    for blocks in blocks_of(speckled(height, width, seed)):
        bands = list(blocks.bands(rows))
        assert all(len(set(band.tops // rows)) == 1 for band in bands)
        portions = [few for band in bands for few in band.portions()]
        np.testing.assert_array_equal(np.concatenate([few.tops for few in portions]), blocks.tops)
        np.testing.assert_array_equal(np.concatenate([few.lefts for few in portions]), blocks.lefts)
        for band in bands:
            hull = band.hull()
            assert hull.top == band.tops.min()
            assert hull.bottom == band.tops.max() + blocks.height
            assert hull.left == band.lefts.min()
            assert hull.right == band.lefts.max() + blocks.width


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("part", [slice(None), slice(2, 50)], ids=["contiguous", "strided"])
def test_what_is_taken_and_changed_is_put_where_it_was(
    channels: tuple[int, ...], dtype: type[np.generic], part: slice
) -> None:
    mask = np.ascontiguousarray(speckled(70, 60, 3)[:, part])
    picture = np.random.default_rng(1).integers(0, 100, (70, 60, *channels)).astype(dtype)[:, part]
    before = picture.copy()
    covered = np.zeros(mask.shape, bool)
    for blocks in blocks_of(mask):
        windows = Windows(picture, blocks)
        taken = windows.take(blocks)
        first = before[blocks.tops[0] :, blocks.lefts[0] :][: blocks.height, : blocks.width]
        np.testing.assert_array_equal(taken[0], first.reshape(taken[0].shape))
        windows.put(blocks, taken + taken.dtype.type(100))
        for top, left in zip(blocks.tops, blocks.lefts, strict=True):
            covered[top : top + blocks.height, left : left + blocks.width] = True
    assert covered.any()
    assert not covered.all()
    np.testing.assert_array_equal(picture[covered], before[covered] + 100)
    np.testing.assert_array_equal(picture[~covered], before[~covered])


def test_blocks_are_found_again_in_a_part_of_the_picture() -> None:
    picture = np.arange(60 * 80, dtype=np.float32).reshape(60, 80)
    blocks = Blocks(8, 8, np.array([16, 24]), np.array([40, 8]))
    area = blocks.hull()
    part = picture[area.slices()]
    np.testing.assert_array_equal(
        Windows(part, blocks).take(blocks.within(area)), Windows(picture, blocks).take(blocks)
    )


def test_a_picture_that_is_only_read_may_be_read_only() -> None:
    picture = np.ones((20, 40), np.float32)
    picture.setflags(write=False)
    (blocks,) = blocks_of(np.pad(np.ones((1, 1), np.uint8), ((3, 16), (3, 36))))
    assert Windows(picture, blocks).take(blocks).all()
