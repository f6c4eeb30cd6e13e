"""All pictures of a set in one buffer on the training device, and a batched resampler that reads from it.

A pixel is one int32 (its four bytes are red, green, blue and a fourth channel), a picture a run of them, row by row,
followed by its copies at half the size, a quarter, and so on. Pictures of any size thus share one buffer, and a batch
gathers from as many pictures as it likes without a loop, without padding, and without asking the device anything.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from realtime_matting.errors import MattingError

MAX_LEVELS = 6
SMALLEST_SIDE = 8
ROOM_FOR_TRAINING = 0.2
"""Share of the free memory that the pictures leave to network, gradients and batches."""

Map = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): pixel (x, y) of the output shows the picture at (a·x + b·y + c, d·x + e·y + f)."""


@dataclass(frozen=True)
class Level:
    """One size of one picture: where its pixels start in the buffer, and how wide and high it is."""

    offset: int
    width: int
    height: int


def level_sizes(width: int, height: int) -> list[tuple[int, int]]:
    """(width, height) of the picture and of its copies, each half the one before, rounded up."""
    sizes = [(width, height)]
    while len(sizes) < MAX_LEVELS and min(sizes[-1]) >= 2 * SMALLEST_SIDE:
        width, height = sizes[-1]
        sizes.append(((width + 1) // 2, (height + 1) // 2))
    return sizes


def bytes_needed(sizes: Sequence[tuple[int, int]]) -> int:
    """Bytes of an atlas of pictures of these (width, height)."""
    return sum(4 * w * h for width, height in sizes for w, h in level_sizes(width, height))


def free_memory(device: torch.device) -> int | None:
    """Bytes of memory that ``device`` has free; None where that cannot be asked."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo") as lines:
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None


def require_room(needed: int, free: int | None, device: torch.device, pictures: int) -> None:
    """Raise MattingError, in one line with sizes, if ``needed`` bytes would not leave room for training."""
    usable = math.inf if free is None else (1 - ROOM_FOR_TRAINING) * free
    if needed > usable:
        gib = 2**30
        raise MattingError(
            f"data.resident: {pictures} pictures need {needed / gib:.2f} GiB on {device}, which has "
            f"{(free or 0) / gib:.2f} GiB free ({ROOM_FOR_TRAINING:.0%} of it is left for training); "
            "lower data.max_side or set data.resident to false"
        )


class Atlas:
    """Pictures, uint8 (H, W, 4) each, in the memory of ``device``; ``levels[i]`` says where the i-th lies.

    Raises:
        MattingError: the device has too little free memory.
    """

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], device: torch.device) -> None:
        sizes = [(p.shape[1], p.shape[0]) for p in pictures]
        needed = bytes_needed(sizes)
        require_room(needed, free_memory(device), device, len(pictures))
        self.pixels = torch.empty(needed // 4, dtype=torch.int32, device=device)
        self.levels: list[tuple[Level, ...]] = []
        start = 0
        for picture, (width, height) in zip(pictures, sizes, strict=True):
            levels: list[Level] = []
            parts: list[NDArray[np.int32]] = []
            for w, h in level_sizes(width, height):
                if parts:
                    picture = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
                levels.append(Level(start, w, h))
                parts.append(np.ascontiguousarray(picture).reshape(-1).view(np.int32))
                start += w * h
            run = np.concatenate(parts)
            self.pixels[start - len(run) : start] = torch.from_numpy(run).to(device)
            self.levels.append(tuple(levels))


@dataclass(frozen=True)
class View:
    """What to read for one output picture: a level, the map into it, and how far apart its four samples lie."""

    level: Level
    map: Map
    spread: float


def choose_level(levels: Sequence[Level], map_: Map) -> View:
    """The level from which a picture is read so that shrinking does not alias; ``map_`` leads to the full size.

    The shrink factor f that remains, at most 2√2, is met by the mean of four bilinear samples at ±s pixels of the
    level in x and y. s = √((f² − 1)/12) gives them the variance of an area filter: a box of f pixels over pixels that
    are boxes themselves has (f² + 1)/12 an axis, bilinear interpolation 1/6. (Switching levels at f = 2 would be softer
    just above it, where one bilinear sample of the coarser level falls between its pixels.)
    """
    a, b, c, d, e, f = map_
    shrink = math.sqrt(abs(a * e - b * d))
    chosen = levels[min(len(levels) - 1, int(max(0.0, math.log2(max(shrink, 1.0)) - 0.5)))]
    sx, sy = chosen.width / levels[0].width, chosen.height / levels[0].height
    remaining = shrink * math.sqrt(sx * sy)
    spread = math.sqrt(max(0.0, remaining**2 - 1) / 12)
    return View(
        chosen, (a * sx, b * sx, (c + 0.5) * sx - 0.5, d * sy, e * sy, (f + 0.5) * sy - 0.5), spread
    )  # fmt: skip


def resample(pixels: Tensor, offsets: Tensor, views: Tensor, width: int, height: int, *, shrunk: bool) -> Tensor:
    """Read one picture for each row of ``views``.

    Args:
        pixels: int32, an atlas's buffer.
        offsets: int64 (N,), where each picture's level starts.
        views: float32 (N, 9): the six numbers of the map, the level's width and height, the spread.
        width, height: of the output.
        shrunk: whether any spread is above zero; otherwise one sample a pixel does.

    Returns:
        float32 (N, 5, height, width) in [0, 1]: the four channels, continued beyond the edge by its nearest pixel, and
        how much of the pixel lies inside the picture.
    """
    device = pixels.device
    x = torch.arange(width, device=device, dtype=torch.float32)
    y = torch.arange(height, device=device, dtype=torch.float32)[:, None]
    a, b, c, d, e, f, w, h, spread = (v[:, None, None] for v in views.unbind(1))
    at_x, at_y = a * x + b * y + c, d * x + e * y + f
    start, row = offsets[:, None, None], w.long()
    right, bottom = w - 1, h - 1
    out = None
    for sign_x, sign_y in ((-1, -1), (1, -1), (-1, 1), (1, 1)) if shrunk else ((0, 0),):
        u, v = at_x + sign_x * spread, at_y + sign_y * spread
        inside = (u + 1).clamp(0, 1) * (w - u).clamp(0, 1) * (v + 1).clamp(0, 1) * (h - v).clamp(0, 1)
        u, v = u.clamp_min(0).minimum(right), v.clamp_min(0).minimum(bottom)
        left, top = u.floor(), v.floor()
        across, down = (u - left)[..., None], (v - top)[..., None]
        x0, x1 = left.long(), (left + 1).minimum(right).long()
        y0, y1 = start + top.long() * row, start + (top + 1).minimum(bottom).long() * row
        upper = torch.lerp(_channels(pixels[y0 + x0]), _channels(pixels[y0 + x1]), across)
        lower = torch.lerp(_channels(pixels[y1 + x0]), _channels(pixels[y1 + x1]), across)
        part = torch.cat([torch.lerp(upper, lower, down) / 255, inside[..., None]], dim=3)
        out = part if out is None else out + part
    assert out is not None
    return (out / 4 if shrunk else out).permute(0, 3, 1, 2).contiguous()


def _channels(pixels: Tensor) -> Tensor:
    """int32 (N, H, W) → float32 (N, H, W, 4), 0 to 255."""
    return pixels.view(torch.uint8).view(*pixels.shape, 4).float()
