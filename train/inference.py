"""Any checkpoint on any picture: the alpha, or the trimap where a checkpoint has learnt no more than that.

    predictor = open_checkpoint(Path("runs/dim/stage1/best"))
    alpha = predictor.predict(rgb, trimap).alpha          # uint8 (H, W, 3), uint8 (H, W) → float32 (H, W)

A picture goes through a network in one of three ways, those of Deep Image Matting's users:

- ``whole``: all of it, shrunk so that its longer side is at most ``max_side`` (the network pads it to its stride);
- ``crop``: overlapping tiles of ``size`` pixels at the picture's own scale, blended without seams;
- ``resize``: all of it, squeezed to ``size`` × ``size``.

A T-Net judges by the whole picture in any case, so with ``crop`` it sees all of it and the M-Net sees the tiles.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from realtime_matting.errors import EngineError, InputError
from realtime_matting.matting.fusion import fuse
from realtime_matting.matting.refine import at_picture_size, fast_guided_filter
from realtime_matting.matting.trimap import resize_probabilities, trimap_picture
from realtime_matting.resampling import scaled_to
from train.checkpoints import Checkpoint, read_checkpoint
from train.data.trimaps import BACKGROUND, FOREGROUND, UNKNOWN
from train.parts import LONG_SIDE_WITH_TRIMAP, Parts, find_device, load_parts
from train.tiling import Window, blend_tiles

Alpha = NDArray[np.float32]
Picture = NDArray[np.uint8]
Method = Literal["whole", "crop", "resize"]
METHODS: tuple[Method, ...] = get_args(Method)
SMALLEST_TILE = 64


@dataclass(frozen=True, eq=False)
class Result:
    """What a network says of one picture.

    Attributes:
        alpha: float32 (H, W) in [0, 1]; None from a T-Net alone.
        trimap: uint8 (H, W), 0 background, 128 unknown, 255 foreground: the given one, or the network's own; None
            from a network that has none.
    """

    alpha: Alpha | None
    trimap: Picture | None


class Predictor:
    """A checkpoint that is ready to look at pictures; made by `open_checkpoint`.

    Attributes:
        about: what the checkpoint says of itself.
        gives_alpha: False for a T-Net alone.
        takes_trimap: whether `predict` may be given a trimap.
        needs_trimap: whether it must be.
    """

    def __init__(
        self,
        parts: Parts,
        about: Checkpoint,
        device: torch.device,
        *,
        method: Method,
        max_side: int | None,
        size: int,
        overlap: int,
    ) -> None:
        self.about, self.device, self.method = about, device, method
        self.size, self.overlap = size, overlap
        self.max_side = max_side
        self.gives_alpha = parts.matting is not None or parts.matte is not None
        self.takes_trimap = parts.matting is not None
        self.needs_trimap = self.takes_trimap and parts.trimap is None
        self._parts = parts

    def describe(self) -> str:
        """One line for people: which network runs where and how."""
        sides = [] if self.needs_trimap else [f"{self._longest_side(given=False)}"]
        if self.takes_trimap:
            sides.append(f"{self._longest_side(given=True)} with a given trimap")
        how = {
            "whole": f"whole pictures, longer side {', '.join(sides)}",
            "crop": f"tiles of {self.size}, overlap {self.overlap}",
            "resize": f"resized to {self.size}×{self.size}",
        }[self.method]
        return f"{self.about.network}, {self.about.phase} (step {self.about.step}) on {self.device.type}; {how}"

    @torch.inference_mode()
    def predict(self, rgb: Picture, trimap: Picture | None = None) -> Result:
        """Alpha, and trimap where there is one, of a picture.

        Where a trimap is given, the result is exactly 0 in its background and exactly 1 in its foreground.

        Args:
            rgb: uint8 (H, W, 3).
            trimap: uint8 (H, W), 0 background, 128 unknown, 255 foreground.

        Raises:
            InputError: the network needs a trimap or cannot take one, or an array is not as above.
            EngineError: the memory of the device is not enough.
        """
        self._check(rgb, trimap)
        try:
            if self._parts.matte is not None:
                small = self._scaled(rgb, given=False)
                return Result(at_picture_size(_plane(self._parts.matte(self._tensor(small))), rgb), None)
            if trimap is not None:
                return Result(self._matte_given(rgb, trimap), trimap)
            return self._matte_alone(rgb)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
                raise
            raise EngineError(
                f"the memory of the {self.device.type} is not enough for {rgb.shape[1]}x{rgb.shape[0]} pixels with "
                f"the method {self.method}; take a smaller maximum, or the method crop"
            ) from error

    def _check(self, rgb: Picture, trimap: Picture | None) -> None:
        what = f"{self.about.network} ({self.about.phase})"
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
            raise InputError(f"a picture is uint8 (H, W, 3) RGB, not {rgb.dtype} {rgb.shape}; convert it first")
        if trimap is None:
            if self.needs_trimap:
                raise InputError(f"{what} needs a trimap of the picture; give one, or the alpha to make it from")
            return
        if not self.takes_trimap:
            raise InputError(f"{what} takes no trimap; leave it out")
        if trimap.dtype != np.uint8 or trimap.shape != rgb.shape[:2]:
            raise InputError(
                f"the trimap must be uint8 of the picture's size {rgb.shape[:2]}, not {trimap.dtype} {trimap.shape}"
            )
        known = (trimap == BACKGROUND) | (trimap == UNKNOWN) | (trimap == FOREGROUND)
        if not known.all():
            raise InputError(f"the trimap holds {trimap[~known][0]}; its values are 0, 128 and 255 and no others")

    def _matte_given(self, rgb: Picture, trimap: Picture) -> Alpha:
        alpha = trimap.astype(np.float32)
        alpha /= 255
        unknown = trimap == UNKNOWN
        if not unknown.any():
            return alpha
        if self.method == "crop":

            def tile(window: Window) -> Alpha | None:
                if not unknown[window].any():
                    return None
                return self._matting(rgb[window], _one_hot(trimap[window]))

            predicted = blend_tiles(unknown.shape, self.size, self.overlap, tile)
        else:
            small = self._scaled(rgb, given=True)
            predicted = _enlarged(self._matting(small, _one_hot(resize_trimap(trimap, *small.shape[:2]))), rgb)
        np.copyto(alpha, predicted, where=unknown)
        return alpha

    def _matte_alone(self, rgb: Picture) -> Result:
        assert self._parts.trimap is not None  # what needs a trimap was refused without one
        small = rgb if self.method == "crop" else self._scaled(rgb, given=False)
        height, width = small.shape[:2]
        coarse = self._parts.trimap(self._tensor(small))[0].float().cpu().numpy()
        trimap = trimap_picture(coarse, rgb.shape[1], rgb.shape[0])
        if self._parts.matting is None:
            return Result(None, trimap)
        probabilities = resize_probabilities(coarse, width, height)
        if self.method == "crop":
            raw = blend_tiles(
                (height, width),
                self.size,
                self.overlap,
                lambda window: self._matting(small[window], probabilities[(slice(None), *window)]),
            )
        else:
            raw = self._matting(small, probabilities)
        return Result(at_picture_size(np.clip(fuse(probabilities, raw), 0, 1), rgb), trimap)

    def _matting(self, rgb: Picture, probabilities: Alpha) -> Alpha:
        """Alpha (h, w) of the matting network for class probabilities float32 (3, h, w)."""
        assert self._parts.matting is not None
        trimap = torch.from_numpy(np.ascontiguousarray(probabilities))[None].to(self.device)
        return _plane(self._parts.matting(self._tensor(rgb), trimap))

    def _longest_side(self, *, given: bool) -> int:
        return self.max_side or (LONG_SIDE_WITH_TRIMAP if given else self._parts.long_side)

    def _scaled(self, rgb: Picture, *, given: bool) -> Picture:
        """The picture as the network sees it, uint8; ``given``: together with a trimap."""
        height, width = rgb.shape[:2]
        if self.method == "resize":
            size = self.size, self.size
        elif self.max_side or given:
            scale = min(1.0, self._longest_side(given=given) / max(height, width))
            size = max(1, round(width * scale)), max(1, round(height * scale))
        else:
            size = scaled_to(self._parts.long_side, width, height)
        if size == (width, height):
            return rgb
        shrinks = size[0] <= width and size[1] <= height
        return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))

    def _tensor(self, rgb: Picture) -> Tensor:
        planes = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None]
        return planes.to(self.device, torch.float32).div_(255)


def open_checkpoint(
    folder: Path,
    *,
    device: str = "auto",
    method: Method = "whole",
    max_side: int | None = None,
    size: int = 320,
    overlap: int | None = None,
) -> Predictor:
    """Load a checkpoint of any recipe and phase.

    Args:
        folder: with ``checkpoint.json``.
        device: "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N".
        method: see the module.
        max_side: of ``whole``; None is 1600 with a given trimap, else what the network is meant for (see its file).
        size: pixels a side of a tile, or of the resized picture.
        overlap: pixels that neighbouring tiles share at least; None is a fifth of ``size``.

    Raises:
        InputError: not a checkpoint, an unknown phase, or settings that make no sense.
        EngineError: the device is not there.
    """
    if method not in METHODS:
        raise InputError(f"{method}: no such method; there are {', '.join(METHODS)}")
    if size < SMALLEST_TILE or (max_side is not None and max_side < SMALLEST_TILE):
        raise InputError(f"size {size}, longest side {max_side}: each must be {SMALLEST_TILE} pixels or more")
    shared = size // 5 if overlap is None else overlap
    if not 0 <= shared <= size // 2:
        raise InputError(f"overlap {shared}: must be from 0 to half the tile, {size // 2}")
    place = find_device(device)
    about = read_checkpoint(folder)
    parts = load_parts(folder, about, place)
    if method == "crop" and parts.matting is None:
        raise InputError(
            f"{folder}: {about.network} ({about.phase}) judges by the whole picture; use the method whole or resize"
        )
    return Predictor(parts, about, place, method=method, max_side=max_side, size=size, overlap=shared)


def resize_trimap(trimap: Picture, height: int, width: int) -> Picture:
    """A trimap of another size; what holds anything unknown, or both other classes, is unknown.

    So a strip of unknown pixels never gets lost however much it is shrunk.

    Args:
        trimap: uint8 (H, W), 0, 128 and 255.

    Returns:
        uint8 (height, width), 0, 128 and 255.
    """
    if trimap.shape == (height, width):
        return trimap
    resized = np.full((height, width), UNKNOWN, np.uint8)
    for level in (BACKGROUND, FOREGROUND):
        share = (trimap == level).astype(np.float32)
        # With both sides shrunk, the area filter weighs exactly the pixels that a new one covers.
        shrinks = height <= trimap.shape[0] and width <= trimap.shape[1]
        share = np.asarray(
            cv2.resize(share, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        )
        resized[share > 1 - 1e-4] = level
    return resized


def _one_hot(trimap: Picture) -> Alpha:
    """uint8 (h, w) → float32 (3, h, w): background, unknown, foreground."""
    return np.stack([trimap == BACKGROUND, trimap == UNKNOWN, trimap == FOREGROUND]).astype(np.float32)


def _plane(alpha: Tensor) -> Alpha:
    """(1, 1, h, w) → float32 (h, w) in [0, 1] on the CPU."""
    return np.asarray(alpha[0, 0].float().clamp(0, 1).cpu().numpy(), np.float32)


def _enlarged(alpha: Alpha, rgb: Picture) -> Alpha:
    """At the picture's size: with the picture's edges where both sides grow."""
    height, width = rgb.shape[:2]
    if alpha.shape == (height, width):
        return alpha
    if alpha.shape[0] < height and alpha.shape[1] < width:
        return fast_guided_filter(rgb, alpha)
    return np.asarray(np.clip(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA), 0, 1), np.float32)
