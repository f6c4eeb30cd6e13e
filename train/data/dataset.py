"""Samples by number: sample ``i`` of a run depends on the seed and on ``i`` alone.

That makes every run repeatable whatever the number of loader processes, and resuming exact: step ``s`` simply asks
for the samples that step ``s`` would have had.
"""

import re
import sys
import warnings
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from realtime_matting.errors import InputError
from train.data import augment
from train.data.augment import Rng, chance
from train.data.compose import Composite, compose, cover, soft_window
from train.data.config import DataConfig
from train.data.generators import BATCH, PEOPLE, SAMPLE, generator
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
from train.data.trimaps import IGNORE, UNKNOWN, classes, trimap_from_alpha
from train.phases import SampleKind

Split = Literal["all", "train", "held_out"]

# Shapes a T-Net meets: the frame's aspect at a long side near 320. All samples of a batch share one.
TRIMAP_SIZES = ((256, 256), (320, 192), (320, 192), (320, 240), (288, 160), (352, 208), (192, 256), (384, 224))
# Shapes of whole pictures, None being the configured one.
ASPECTS = (None, None, None, None, 4 / 3, 1.0, 3 / 4)
MATTING_CANVASES = ((640, 360), (640, 480), (480, 480), (480, 640), (800, 450), (960, 540))


@dataclass(frozen=True)
class SampleSpec:
    """What a phase wants of each sample.

    ``kind``: "trimap" (whole pictures of ``sizes``, or of shapes a T-Net meets), "crop" (squares around unknown pixels)
    or "whole" (pictures of ``sizes``, or of ``size`` and other aspects of its area).
    ``crop``: side of the square crops; ``crops``: sides that are cut and then resized to ``crop``. With kind "whole",
    ``crops`` asks for a window around unknown pixels, which the recipe cuts.
    ``trimap_radius``: half width of the unknown band of whole pictures as a share of (h+w)/2. ``erosion``,
    ``dilation``: ranges in pixels from which trimaps of crops draw independently.
    ``masks``: whether pictures with coarse masks take part. ``easy_to_hard_steps``: steps over which real backgrounds
    are faded in over solid colours; 0 means real ones from the start.
    """

    kind: SampleKind
    crop: int = 256
    crops: tuple[int, ...] = ()
    size: tuple[int, int] = (512, 288)
    sizes: tuple[tuple[int, int], ...] = ()
    trimap_radius: float = 0.012
    erosion: tuple[float, float] = (1, 14)
    dilation: tuple[float, float] = (1, 14)
    masks: bool = False
    easy_to_hard_steps: int = 0

    def hardness(self, step: int) -> float:
        """Share of the real background at ``step``, 0 to 1."""
        return min(1.0, step / self.easy_to_hard_steps) if self.easy_to_hard_steps else 1.0


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


class MattingSamples(Dataset[dict[str, Any]]):
    """Endless samples for one phase; ``samples[i]`` is the same whenever and wherever it is asked for.

    Each sample holds, all of one size (H, W):
        image: uint8 (3, H, W).    alpha: float32 (1, H, W).    foreground, background: uint8 (3, H, W).
        trimap: int64 (H, W), class numbers, 255 = look away.    has_alpha: bool, False for mask pairs.
        index: int64, the sample's number.    name: str, the files it was made of.
        window: int64 (3,), top, left and side of a square around unknown pixels (kind "whole" with ``crops``).

    ``samples[i, j]`` is sample i with the people of sample j.
    """

    def __init__(
        self,
        config: DataConfig,
        spec: SampleSpec,
        *,
        seed: int,
        batch_size: int,
        length: int = sys.maxsize,
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
    def people(self) -> tuple[list[list[list[Foreground]]], NDArray[np.float64], list[bool]]:
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
    def backgrounds(self) -> tuple[list[list[object]], NDArray[np.float64]]:
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
    def masks(self) -> tuple[list[list[MaskPair]], NDArray[np.float64]]:
        weights = np.asarray([s.weight for s in self.config.masks])
        return [list_mask_pairs(s.images, s.masks) for s in self.config.masks], weights / weights.sum()

    @property
    def people_count(self) -> int:
        """Pictures of people in this split: what an epoch is counted by."""
        return sum(len(group) for source in self.people[0] for group in source)

    def draw_person(self, rng: Rng) -> tuple[Picture, bool, str] | None:
        sources, weights, white = self.people
        which = int(rng.choice(len(sources), p=weights))
        group = sources[which][rng.integers(len(sources[which]))]
        record = group[rng.integers(len(group))]
        picture = self.store.foreground(record)
        return None if picture is None else (picture, white[which], record.color.name)

    def draw_background(self, rng: Rng) -> tuple[Picture, str] | None:
        lists, weights = self.backgrounds
        paths = lists[int(rng.choice(len(lists), p=weights))]
        path = paths[rng.integers(len(paths))]
        picture = self.store.background(path)
        return None if picture is None else (picture, Path(str(path)).name)

    def _draw_composite(
        self, rng: Rng, people_rng: Rng, width: int, height: int, hardness: float, side: int | None = None
    ) -> tuple[Composite, str]:
        people = 0 if side is None and chance(rng, self.config.empty_share) else 1
        people += int(people > 0 and chance(rng, self.config.second_person_share))
        # Nothing is drawn where there is nothing to decide: without tables, samples of one person stay what they were.
        in_front = people > 0 and self.config.in_front_share > 0 and chance(rng, self.config.in_front_share)
        crop = None if side is None else (side, self.spec.crop)
        for _ in range(100):
            background = self.draw_background(rng)
            table = self.draw_background(rng) if in_front else None
            drawn = [self.draw_person(people_rng) for _ in range(people)]
            if background is not None and (table is not None) == in_front and all(d is not None for d in drawn):
                named = [d for d in drawn if d is not None]
                composite = compose(
                    rng, self.config, [(rgba, white) for rgba, white, _ in named], background[0], width, height,
                    table=table and table[0], crop=crop, hardness=hardness,
                )  # fmt: skip
                return composite, " + ".join([*(name for _, _, name in named), background[1]])
        raise InputError("100 draws in a row met only broken files; repair the data")

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        index, people_index = index if isinstance(index, tuple) else (index, index)
        if index >= self.length:
            raise IndexError(index)
        rng = generator(self.seed, index, SAMPLE)
        people_rng = generator(self.seed, people_index, PEOPLE)
        step = index // self.batch_size
        # What must be equal within a batch is drawn from the batch's own generator.
        shared = generator(self.seed, step, BATCH)
        spec = self.spec
        hardness = spec.hardness(step)
        if spec.kind == "crop":
            side = int(rng.choice(spec.crops)) if spec.crops else spec.crop
            width, height = larger(MATTING_CANVASES[rng.integers(len(MATTING_CANVASES))], side)
            return self._tensors(rng, index, *self._draw_composite(rng, people_rng, width, height, hardness, side))
        if sizes := spec.sizes or (TRIMAP_SIZES if spec.kind == "trimap" else ()):
            width, height = sizes[shared.integers(len(sizes))]
        else:
            width, height = same_area(spec.size, ASPECTS[shared.integers(len(ASPECTS))])
        if spec.masks and self.config.masks and chance(rng, self.config.masks_share):
            return self._mask_sample(rng, index, width, height)
        return self._tensors(rng, index, *self._draw_composite(rng, people_rng, width, height, hardness))

    def _tensors(self, rng: Rng, index: int, c: Composite, name: str) -> dict[str, Any]:
        spec = self.spec
        if spec.kind == "crop":
            erosion, dilation = rng.uniform(*spec.erosion), rng.uniform(*spec.dilation)
        else:
            erosion = dilation = spec.trimap_radius * sum(c.alpha.shape) / 2
        trimap = trimap_from_alpha(c.alpha, erosion, dilation)
        sample = {
            "image": chw(c.image),
            "alpha": torch.from_numpy(np.ascontiguousarray(c.alpha))[None],
            "foreground": chw(c.foreground),
            "background": chw(c.background),
            "trimap": torch.from_numpy(classes(trimap).astype(np.int64)),
            "has_alpha": torch.tensor(True),
            "index": torch.tensor(index),
            "name": name,
        }
        if spec.kind == "whole" and spec.crops:
            height, width = c.alpha.shape
            side = min(int(rng.choice(spec.crops)), height, width)
            soft = np.where(trimap == UNKNOWN, 128, 0).astype(np.uint8)
            rows, columns = soft_window(rng, [soft], width, height, side)
            sample["window"] = torch.tensor([rows.start, columns.start, side])
        return sample

    def _mask_sample(self, rng: Rng, index: int, width: int, height: int) -> dict[str, Any]:
        lists, weights = self.masks
        for _ in range(100):
            pairs = lists[int(rng.choice(len(lists), p=weights))]
            record = pairs[rng.integers(len(pairs))]
            pair, pair_name = self.store.mask_pair(record), record.image.name
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
            "index": torch.tensor(index),
            "name": pair_name,
        }

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(self.length))


def same_area(size: tuple[int, int], aspect: float | None) -> tuple[int, int]:
    """(width, height) of another aspect with about as many pixels, multiples of 16; ``None`` keeps ``size``."""
    if aspect is None:
        return size
    height = (size[0] * size[1] / aspect) ** 0.5
    return max(1, round(height * aspect / 16)) * 16, max(1, round(height / 16)) * 16


def larger(canvas: tuple[int, int], side: int) -> tuple[int, int]:
    """(width, height) of the same aspect in which a square of ``side`` has room."""
    scale = max(1.0, 1.1 * side / min(canvas))
    return round(canvas[0] * scale), round(canvas[1] * scale)


def chw(picture: Picture) -> Tensor:
    """uint8 (H, W, 3) array → (3, H, W) tensor of its own memory."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
