"""Random numbers by what they are for, so that a sample is the same whenever and wherever it is made."""

import numpy as np

from train.data.augment import Rng

SAMPLE, BATCH, PEOPLE, HARD, WINDOWS, EPOCH = range(6)
"""Streams of a training run: a sample's scene and camera, what a batch shares, its people, and hard mode's choice; the
windows that are cut when crops are made once, and the order of such crops."""


def generator(seed: int, number: int, stream: int) -> Rng:
    """Random numbers of item ``number``, so far apart that no two items or streams share any.

    Philox' counter goes up with every four numbers drawn: were it the item's number, each item would draw its
    predecessor's numbers again, four places on.
    """
    return np.random.Generator(np.random.Philox(key=seed, counter=(number << 128) + (stream << 64)))
