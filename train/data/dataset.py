"""Samples by number: sample ``i`` of a run depends on the seed and on ``i`` alone.

That makes every run repeatable whatever the number of loader processes, and resuming exact: step ``s`` simply asks
for the samples that step ``s`` would have had.
"""

import re
import warnings
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from realtime_matting.errors import InputError
from train.data import augment
from train.data.augment import Rng, chance
from train.data.compose import Composite, compose, cover
from train.data.config import DataConfig
from train.data.records import (
    Foreground,
    MaskPair,
    Picture,
    list_foregrounds,
    list_mask_pairs,
    list_pictures,
    read_foreground,
    read_picture,
    shrink,
)
from train.data.trimaps import IGNORE, classes, trimap_from_alpha
from train.phases import Phase

Split = Literal["all", "train", "held_out"]

# Shapes a T-Net meets: the frame's aspect at a long side near 320. All samples of a batch share one.
TRIMAP_SIZES = ((256, 256), (320, 192), (320, 192), (320, 240), (288, 160), (352, 208), (192, 256), (384, 224))
# Shapes of end-to-end pictures, None being the configured one.
ASPECTS = (None, None, None, None, 4 / 3, 1.0, 3 / 4)
MATTING_CANVASES = ((640, 360), (640, 480), (480, 480), (480, 640), (800, 450), (960, 540))


@dataclass(frozen=True)
class SampleSpec:
    """What a phase wants of each sample.

    ``crop``: side of the square crop around unknown pixels (phase ``m_net``). ``size``: (width, height) of
    end-to-end pictures. ``trimap_radius``: half width of the T-Net's unknown band as a share of (h+w)/2.
    """

    phase: Phase
    crop: int = 256
    size: tuple[int, int] = (512, 288)
    trimap_radius: float = 0.012


class PictureStore:
    """Decoded pictures by record, kept in memory; broken files stop the run or are skipped and counted."""

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        self.skipped: dict[str, str] = {}
        self._kept: dict[object, Picture | tuple[Picture, Picture]] = {}

    def _keep(self, key: object, read: object) -> object:
        if key not in self._kept:
            try:
                self._kept[key] = read()  # type: ignore[operator]
            except InputError as error:
                if self.config.on_error == "stop":
                    raise
                self.skipped[str(key)] = str(error)
                warnings.warn(f"skipped ({len(self.skipped)} so far): {error}", stacklevel=2)
                return None
        return self._kept[key]

    def foreground(self, record: Foreground) -> Picture | None:
        """Straight RGBA, or None if it was skipped."""
        return self._keep(record, lambda: read_foreground(record, self.config.max_side))  # type: ignore[return-value]

    def background(self, path: object) -> Picture | None:
        """RGB, or None if it was skipped."""
        return self._keep(path, lambda: shrink(read_picture(path), self.config.max_side))  # type: ignore[arg-type,return-value]

    def mask_pair(self, record: MaskPair) -> tuple[Picture, Picture] | None:
        """(RGB, mask) of one size, or None if it was skipped."""

        def read() -> tuple[Picture, Picture]:
            image, mask = read_picture(record.image), read_picture(record.mask, cv2.IMREAD_GRAYSCALE)
            if image.shape[:2] != mask.shape:
                raise InputError(f"{record.image} and its mask {record.mask} differ in size")
            return shrink(image, self.config.max_side), shrink(mask, self.config.max_side)

        return self._keep(record, read)  # type: ignore[return-value]


class MattingSamples(Dataset[dict[str, Tensor]]):
    """Endless samples for one phase; ``samples[i]`` is the same whenever and wherever it is asked for.

    Each sample holds, all of one size (H, W):
        image: uint8 (3, H, W).    alpha: float32 (1, H, W).    foreground, background: uint8 (3, H, W).
        trimap: int64 (H, W), class numbers, 255 = look away.    has_alpha: bool, False for mask pairs.
    """

    def __init__(
        self,
        config: DataConfig,
        spec: SampleSpec,
        *,
        seed: int,
        batch_size: int,
        length: int,
        split: Split = "all",
        holdout: float = 0.0,
    ) -> None:
        self.config, self.spec = config, spec
        self.seed, self.batch_size, self.length = seed, batch_size, length
        self.split, self.holdout = split, holdout
        self.store = PictureStore(config)

    def __len__(self) -> int:
        return self.length

    def _wanted(self, name: str) -> bool:
        """Whether a person or a background belongs to this split: by a hash of its name, so that it never moves."""
        held_out = zlib.crc32(name.encode()) % 10_000 < self.holdout * 10_000
        return self.split == "all" or held_out == (self.split == "held_out")

    @cached_property
    def _people(self) -> tuple[list[list[list[Foreground]]], NDArray[np.float64], list[bool]]:
        sources, weights, white = [], [], []
        for source in self.config.foregrounds:
            groups: dict[str, list[Foreground]] = defaultdict(list)
            for record in list_foregrounds(source.path, source.group):
                groups[record.group].append(record)
            kept = [group for name, group in groups.items() if self._wanted(Path(name).name)]
            # A source of few people may have none in the small split: then it is left out there.
            if not kept:
                continue
            sources.append(kept)
            weights.append(source.weight)
            white.append(source.white_clothes)
        if not sources:
            raise InputError(f"no foreground belongs to the {self.split} split; add people or change holdout")
        return sources, np.asarray(weights) / sum(weights), white

    @cached_property
    def _backgrounds(self) -> tuple[list[list[object]], NDArray[np.float64]]:
        lists, weights = [], []
        for source in self.config.backgrounds:
            paths = [p for p in list_pictures(source.path) if source.match is None or re.search(source.match, p.name)]
            if not paths:
                raise InputError(f"{source.path}: no file name matches {source.match!r}")
            kept = [p for p in paths if self._wanted(re.sub(r"_\d+$", "", p.stem))]  # views of one scene stay together
            if kept:
                lists.append(kept)
                weights.append(source.weight)
        if not lists:
            raise InputError(f"no background belongs to the {self.split} split; add backgrounds or change holdout")
        return lists, np.asarray(weights) / sum(weights)  # type: ignore[return-value]

    @cached_property
    def _masks(self) -> tuple[list[list[MaskPair]], NDArray[np.float64]]:
        weights = np.asarray([s.weight for s in self.config.masks])
        return [list_mask_pairs(s.images, s.masks) for s in self.config.masks], weights / weights.sum()

    def _draw_person(self, rng: Rng) -> tuple[Picture, bool] | None:
        sources, weights, white = self._people
        which = int(rng.choice(len(sources), p=weights))
        group = sources[which][rng.integers(len(sources[which]))]
        picture = self.store.foreground(group[rng.integers(len(group))])
        return None if picture is None else (picture, white[which])

    def _draw_background(self, rng: Rng) -> Picture | None:
        lists, weights = self._backgrounds
        paths = lists[int(rng.choice(len(lists), p=weights))]
        return self.store.background(paths[rng.integers(len(paths))])

    def _draw_composite(self, rng: Rng, width: int, height: int, crop: int | None = None) -> Composite:
        people = 0 if crop is None and chance(rng, self.config.empty_share) else 1
        people += int(people > 0 and chance(rng, self.config.second_person_share))
        for _ in range(100):
            background = self._draw_background(rng)
            drawn = [self._draw_person(rng) for _ in range(people)]
            if background is not None and all(d is not None for d in drawn):
                return compose(rng, self.config, drawn, background, width, height, crop=crop)  # type: ignore[arg-type]
        raise InputError("100 draws in a row met only broken files; repair the data")

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if index >= self.length:
            raise IndexError(index)
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=index))
        # What must be equal within a batch is drawn from the batch's own generator.
        shared = np.random.Generator(np.random.Philox(key=self.seed + 1, counter=index // self.batch_size))
        if self.spec.phase == "t_net":
            width, height = TRIMAP_SIZES[shared.integers(len(TRIMAP_SIZES))]
            if self.config.masks and chance(rng, self.config.masks_share):
                return self._mask_sample(rng, width, height)
            return self._tensors(rng, self._draw_composite(rng, width, height))
        if self.spec.phase == "m_net":
            width, height = MATTING_CANVASES[rng.integers(len(MATTING_CANVASES))]
            return self._tensors(rng, self._draw_composite(rng, width, height, self.spec.crop))
        width, height = same_area(self.spec.size, ASPECTS[shared.integers(len(ASPECTS))])
        return self._tensors(rng, self._draw_composite(rng, width, height))

    def _tensors(self, rng: Rng, c: Composite) -> dict[str, Tensor]:
        mean_side = sum(c.alpha.shape) / 2
        if self.spec.phase == "m_net":
            # Independent erosion and dilation, in pixels of canvases whose mean side is 480 to 750.
            erosion, dilation = rng.uniform(1, 14, 2)
        else:
            erosion = dilation = self.spec.trimap_radius * mean_side
        trimap = classes(trimap_from_alpha(c.alpha, erosion, dilation))
        return {
            "image": chw(c.image),
            "alpha": torch.from_numpy(np.ascontiguousarray(c.alpha))[None],
            "foreground": chw(c.foreground),
            "background": chw(c.background),
            "trimap": torch.from_numpy(trimap.astype(np.int64)),
            "has_alpha": torch.tensor(True),
        }

    def _mask_sample(self, rng: Rng, width: int, height: int) -> dict[str, Tensor]:
        lists, weights = self._masks
        for _ in range(100):
            pairs = lists[int(rng.choice(len(lists), p=weights))]
            pair = self.store.mask_pair(pairs[rng.integers(len(pairs))])
            if pair is not None:
                break
        else:
            raise InputError("100 mask pairs in a row were broken; repair the data")
        both = cover(np.dstack(pair), width, height, rng)
        image = augment.apply_tone(np.ascontiguousarray(both[..., :3]), *augment.tone_curve(rng))
        if chance(rng, 0.5):
            image = augment.sensor_noise(rng, image)
        mask = both[..., 3]
        sure = (mask > 127).astype(np.float32)
        radius = self.spec.trimap_radius * (width + height) / 2
        target = classes(trimap_from_alpha(sure, radius, radius))
        target[(mask > 64) & (mask < 192)] = IGNORE
        picture = chw(np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8))
        return {
            "image": picture,
            "alpha": torch.from_numpy(sure)[None],
            "foreground": picture,
            "background": picture,
            "trimap": torch.from_numpy(target.astype(np.int64)),
            "has_alpha": torch.tensor(False),
        }

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return (self[i] for i in range(self.length))


def same_area(size: tuple[int, int], aspect: float | None) -> tuple[int, int]:
    """(width, height) of another aspect with about as many pixels, multiples of 16; ``None`` keeps ``size``."""
    if aspect is None:
        return size
    height = (size[0] * size[1] / aspect) ** 0.5
    return max(1, round(height * aspect / 16)) * 16, max(1, round(height / 16)) * 16


def chw(picture: Picture) -> Tensor:
    """uint8 (H, W, 3) array → (3, H, W) tensor of its own memory."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
