"""Crops with the trimaps of a T-Net that stays as it is, made once, for an M-Net that learns behind it.

On a CPU two thirds of such a step would go into making trimaps, which are the same every time.
"""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from realtime_matting.errors import InputError
from train.data.augment import chance
from train.data.compose import soft_window
from train.data.config import DataConfig
from train.data.dataset import MattingSamples, SampleSpec, Split
from train.data.generators import EPOCH, SAMPLE, WINDOWS, generator
from train.data.trimaps import UNKNOWN
from train.data.work import progress

LAYERS = {"image": 3, "alpha": 1, "foreground": 3, "background": 3, "probabilities": 3}
"""Channels of a crop, in the order of the file; all in 0 to 255."""
TRAIN, HELD_OUT, ABOUT = "train.npy", "held_out.npy", "baked.json"


class BakedCrops(MattingSamples):
    """Endless crops of a folder that `bake` wrote, each pass in another order, half of them mirrored.

    A sample holds, of one size (S, S): image, foreground, background, probabilities (of background, unknown and
    foreground): uint8 (3, S, S); alpha: float32 (1, S, S); has_alpha, index, name as in `MattingSamples`.

    Args:
        folder: of `bake`; its crops of ``split``, "all" being those to train on.
        config, spec: of the run; the crops must have the phase's side.

    Raises:
        InputError: no such folder, or crops of another size.
    """

    def __init__(
        self, folder: Path, config: DataConfig, spec: SampleSpec, *, seed: int, batch_size: int, split: Split = "all",
        holdout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(config, spec, seed=seed, batch_size=batch_size, split=split, holdout=holdout)
        self.file = folder / (HELD_OUT if split == "held_out" else TRAIN)
        if not (folder / ABOUT).is_file() or not self.file.is_file():
            raise InputError(f"{folder}: no crops are here; make them: python -m train.data bake CONFIG --out {folder}")
        side = json.loads((folder / ABOUT).read_text())["crop"]
        if side != spec.crop:
            raise InputError(f"{folder}: its crops have {side} pixels a side, and the phase's crop is {spec.crop}")
        self._order: tuple[int, NDArray[np.int64]] | None = None

    @cached_property
    def crops(self) -> NDArray[np.uint8]:
        """uint8 (n, 13, S, S), on disk; opened where it is used, for loader processes get a copy of this object."""
        crops: NDArray[np.uint8] = np.load(self.file, mmap_mode="r")
        return crops

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        index = index[0] if isinstance(index, tuple) else index
        if index >= self.length:
            raise IndexError(index)
        turn, place = divmod(index, len(self.crops))
        if self._order is None or self._order[0] != turn:
            self._order = turn, generator(self.seed, turn, EPOCH).permutation(len(self.crops))
        at = int(self._order[1][place])
        crop = torch.from_numpy(np.array(self.crops[at]))
        if chance(generator(self.seed, index, SAMPLE), 0.5):
            crop = crop.flip(-1)
        sample: dict[str, Any] = dict(zip(LAYERS, crop.split(tuple(LAYERS.values())), strict=True))
        sample["alpha"] = sample["alpha"].float() / 255
        return {**sample, "has_alpha": torch.tensor(True), "index": torch.tensor(index), "name": f"crop {at}"}


def write_crops(
    file: Path, samples: MattingSamples, network: Any, *, each: int, sides: tuple[int, ...], workers: int
) -> None:
    """Fill a file of `BakedCrops`: ``each`` crops of every sample, with the trimaps of a network of class `SHM`.

    Args:
        sides: at which its T-Net sees the batches in turn; none: at its own.
        workers: processes that make samples.

    Raises:
        OSError: no space, no permission.
    """
    from train.loop import quiet_worker, to_float

    network.eval().to(memory_format=torch.channels_last)
    side = samples.spec.crop
    shape = (len(samples) * each, sum(LAYERS.values()), side, side)
    crops = open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    # An array of zeros on disk takes no space: a full disk is to be told now, not by a signal when it is filled.
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as whole:
            os.posix_fallocate(whole.fileno(), 0, file.stat().st_size)
    loader = DataLoader(
        samples, batch_size=samples.batch_size, num_workers=workers, worker_init_fn=quiet_worker,
        multiprocessing_context="spawn" if workers else None,
    )  # fmt: skip
    done = 0
    with progress(f"baking {file.name}", len(samples)) as advance:
        for number, made in enumerate(loader):
            batch = to_float(made)
            long_side = sides[number % len(sides)] if sides else None
            batch["probabilities"] = _probabilities(network, batch["image"], long_side)
            for _ in range(each):
                windows = torch.stack([_window(samples, batch, at, done + at) for at in range(len(batch["image"]))])
                cut = _cut(batch, windows, side)
                crops[done : done + len(cut)] = cut
                done += len(cut)
            for _ in batch["image"]:
                advance()
    crops.flush()


@torch.no_grad()
def _probabilities(network: Any, pictures: Tensor, side: int | None) -> Tensor:
    from train.networks.shm import probabilities_at

    return probabilities_at(network.trimap_logits(pictures, side), pictures.shape[-2:])


def _window(samples: MattingSamples, batch: dict[str, Any], at: int, number: int) -> Tensor:
    """(top, left, side) around a pixel that the truth, or the T-Net, calls unknown."""
    rng = generator(samples.seed, number, WINDOWS)
    height, width = batch["image"].shape[-2:]
    side = min(int(rng.choice(samples.spec.crops)), height, width)
    by_truth = chance(rng, 0.5)
    unknown = (batch["trimap"][at] == 1 if by_truth else batch["probabilities"][at, 1] > 0.1).numpy()
    rows, columns = soft_window(rng, [np.where(unknown, UNKNOWN, 0).astype(np.uint8)], width, height, side)
    return torch.tensor([rows.start, columns.start, side])


def _cut(batch: dict[str, Any], windows: Tensor, side: int) -> NDArray[np.uint8]:
    from train.recipes.shm_end_to_end import cut_windows

    layers = torch.cat([cut_windows(batch[name], windows, side) for name in LAYERS], dim=1)
    return (layers * 255).round().clamp(0, 255).to(torch.uint8).numpy()
