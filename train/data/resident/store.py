"""The pictures of a split, decoded once and sent to the device; what is asked of them later is where they lie there."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from train.data.dataset import MattingSamples, PictureStore
from train.data.placement import CutSides, cut_sides
from train.data.records import Picture
from train.data.resident.atlas import Atlas, Level

NOT_CUT = CutSides(False, False, False, False)
SOFT_PIXELS = 1024
"""Half-transparent pixels remembered of each person, at random, to centre crops on."""


@dataclass(frozen=True)
class Stored:
    """A picture in the atlas. Of a person only the visible box is kept: ``box_left``, ``box_top`` and ``full_height``
    lead back to the whole picture, ``cut`` and ``soft`` (half-transparent pixels, (n, 2), x and y) are found once."""

    levels: tuple[Level, ...]
    cut: CutSides = NOT_CUT
    soft: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    box_left: int = 0
    box_top: int = 0
    full_height: int = 1
    empty: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) at full size."""
        return self.levels[0].width, self.levels[0].height


class ResidentStore:
    """Stands in for :class:`PictureStore`: hands out where a picture lies instead of its pixels."""

    def __init__(self, samples: MattingSamples, device: torch.device) -> None:
        reader = PictureStore(samples.config)
        reading: list[tuple[Any, Callable[[Any], Any]]] = [
            *((record, reader.foreground) for record in _flat(samples.people[0])),
            *((path, reader.background) for path in _flat(samples.backgrounds[0])),
        ]
        if samples.spec.masks and samples.config.masks:
            reading += [(record, reader.mask_pair) for record in _flat(samples.masks[0])]
        with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
            decoded = list(pool.map(lambda job: job[1](job[0]), reading))
        pictures, about, records = [], [], []
        for (record, _), picture in zip(reading, decoded, strict=True):
            if picture is not None:
                pixels, facts = _prepare(picture)
                pictures.append(pixels)
                about.append(facts)
                records.append(record)
        self.skipped = reader.skipped
        self.atlas = Atlas(pictures, device)
        self._kept = {
            record: Stored(levels, **facts)
            for record, levels, facts in zip(records, self.atlas.levels, about, strict=True)
        }

    def foreground(self, record: object) -> Stored | None:
        """Where the picture of ``record`` lies, or None if it was skipped."""
        return self._kept.get(record)

    background = mask_pair = foreground


def _flat(nested: Iterable[Any]) -> Iterator[Any]:
    for item in nested:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


def _prepare(picture: Picture | tuple[Picture, Picture]) -> tuple[Picture, dict[str, Any]]:
    """Four channels, and what is known of the picture: RGBA person, RGB background, or (RGB, mask)."""
    if isinstance(picture, tuple):
        return np.dstack(picture), {}
    if picture.shape[2] == 3:
        return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]), {}
    alpha = picture[..., 3]
    rows, columns = np.flatnonzero(alpha.max(axis=1) > 25), np.flatnonzero(alpha.max(axis=0) > 25)
    if len(rows) == 0:
        return picture[:1, :1], {"empty": True}
    box = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    y, x = np.nonzero((box[..., 3] > 5) & (box[..., 3] < 250))
    some = np.random.default_rng(len(y)).permutation(len(y))[:SOFT_PIXELS]
    return box, {
        "cut": cut_sides(alpha),
        "soft": np.stack([x[some], y[some]], axis=1).astype(np.float32),
        "box_left": int(columns[0]),
        "box_top": int(rows[0]),
        "full_height": len(alpha),
    }
