"""Random numbers by item and stream."""

from functools import partial

import numpy as np

from train.data.generators import BATCH, HARD, PEOPLE, SAMPLE, generator


def test_no_two_items_or_streams_share_random_numbers() -> None:
    draws = partial(np.random.Generator.integers, low=0, high=2**63, size=64)
    streams = (SAMPLE, BATCH, PEOPLE, HARD)
    drawn = [draws(generator(7, number, stream)).tolist() for number in range(6) for stream in streams]
    assert len({value for one in drawn for value in one}) == 64 * len(drawn)


def test_an_item_draws_the_same_again() -> None:
    assert generator(3, 5, PEOPLE).random(4).tolist() == generator(3, 5, PEOPLE).random(4).tolist()
