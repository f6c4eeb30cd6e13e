"""Pictures of a phase for those who measure a network instead of training it."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from train.config import TrainConfig
from train.data.dataset import MattingSamples
from train.loop import to_float


def batches_of(config: TrainConfig, phase: str, count: int) -> Iterator[dict[str, Any]]:
    """The first ``count`` samples of a phase, of all its people and backgrounds, in batches as `MattingSamples` gives.

    Raises:
        InputError: the configuration has no such phase, or its data cannot be read.
    """
    chosen = config.phase(phase)
    pictures = MattingSamples(
        config.data, config.sample_spec(phase), seed=config.seed, batch_size=chosen.batch_size, split="all",
        holdout=config.holdout,
    )  # fmt: skip
    pictures.length = count
    return (to_float(batch) for batch in DataLoader(pictures, batch_size=min(count, chosen.batch_size)))
