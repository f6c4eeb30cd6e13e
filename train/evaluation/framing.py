"""How an evaluation picture is put together: person, background, camera; the same on every run.

Every choice is drawn from a generator seeded by the picture's own name, so it depends neither on the order nor on the
number of pictures. Changing anything here changes the pictures, and results before and after do not compare; the
digest in each report shows it.
"""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from train.data.in_front import put_before
from train.data.placement import CutSides, cut_sides
from train.data.records import read_picture

Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]
Size = tuple[int, int]

SEED = 720


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture to judge by: ``image`` uint8 RGB (H, W, 3), ``truth`` float32 (H, W) in [0, 1].

    ``trimap`` uint8 (H, W) where the data bring one of their own.
    """

    image: Picture
    truth: Alpha
    trimap: Picture | None = None


@dataclass(frozen=True)
class Camera:
    """What lens and sensor do to the whole picture, person and background alike.

    Attributes:
        blur: σ of a Gaussian in pixels; it reaches the truth too, for it changes what is seen.
        noise: standard deviation of the noise at white, in [0, 1]; half of it in black, as shot noise falls with light.
    """

    blur: float
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator, height: int) -> "Camera":
        """A webcam: blur of 0.4 to 1.0 pixels at 720 lines, noise of 1 to 5 of 255."""
        return cls(float(rng.uniform(0.4, 1.0)) * height / 720, float(rng.uniform(1, 5)) / 255)

    def shoot(self, rng: np.random.Generator, color: Picture, alpha: Picture, background: Picture) -> Sample:
        """alpha·color + (1 − alpha)·background as this camera sees it; all uint8 and of one size."""
        truth = alpha.astype(np.float32) / 255
        image = background.astype(np.float32)
        image += truth[..., None] * (color.astype(np.float32) - image)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), self.blur), np.float32)
        truth = np.asarray(cv2.GaussianBlur(truth, (0, 0), self.blur), np.float32)
        noise = rng.standard_normal(image.shape, np.float32)
        noise *= np.sqrt(0.25 + image * (0.75 / 255)) * (self.noise * 255)
        image += noise
        # The blur's weights sum to 1 only up to rounding.
        return Sample(np.clip(image + 0.5, 0, 255).astype(np.uint8), np.clip(truth, 0, 1))


def generator(*name: str | int) -> np.random.Generator:
    """The random generator that belongs to ``name``, the same on every run and machine."""
    return np.random.default_rng([SEED, zlib.crc32("/".join(map(str, name)).encode())])


def resize(picture: Picture, width: int, height: int) -> Picture:
    """Area filter when shrinking, cubic when enlarging."""
    shrinks = width * height < picture.shape[0] * picture.shape[1]
    scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(scaled, np.uint8)


@lru_cache(maxsize=8)
def _covering(path: Path, size: Size, zoom: float) -> Picture:
    """The background, scaled to cover ``size`` ``zoom`` times; shared between calls, so not to be written to."""
    picture = read_picture(path)
    scale = zoom * max(size[0] / picture.shape[1], size[1] / picture.shape[0])
    return resize(picture, ceil(picture.shape[1] * scale), ceil(picture.shape[0] * scale))


def view(path: Path, size: Size, *, zoom: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)) -> Picture:
    """A window of ``size`` (width, height) on a background that covers it.

    Args:
        zoom: how many times larger than needed the background is.
        shift: window's centre relative to the background's, each in [−1, 1]; ±1 is as far as the background reaches.
    """
    behind = _covering(path, size, zoom)
    left = (behind.shape[1] - size[0]) / 2 * (1 + shift[0])
    top = (behind.shape[0] - size[1]) / 2 * (1 + shift[1])
    if zoom == 1.0:
        return behind[round(top) : round(top) + size[1], round(left) : round(left) + size[0]]
    matrix = np.array([[1, 0, -left], [0, 1, -top]])
    window = cv2.warpAffine(behind, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(window, np.uint8)


def frame_person(rng: np.random.Generator, rgba: Picture, size: Size, *, full_frame: bool) -> tuple[Picture, Picture]:
    """Place a person as a camera would frame them: (colour (H, W, 3), alpha (H, W)), uint8, of ``size``.

    No straight cut hangs in mid-air: a side of the picture at which the person is cut off lies on the frame's edge or
    beyond. People who are whole fit in the frame's height and stand near its lower edge. Half of all are mirrored.

    Args:
        rgba: straight colour and alpha, uint8 (h, w, 4).
        size: (width, height) of the frame.
        full_frame: the picture already is framed by a camera: it keeps its height, and where it has the frame's
            aspect also its width.
    """
    width, height = size
    if rng.random() < 0.5:
        rgba = np.ascontiguousarray(rgba[:, ::-1])
    cut = cut_sides(rgba[..., 3])
    if not full_frame:
        rgba, cut = _hide_shoulder_cuts(_trim(rgba, cut), cut)
    h, w = rgba.shape[:2]
    keeps_aspect = full_frame and abs(w * height - h * width) <= 0.01 * h * width
    if keeps_aspect:
        placed = resize(rgba, width, height)
        return placed[..., :3], placed[..., 3]

    if full_frame:
        share = 1.0
    elif cut.top and cut.bottom:
        share = rng.uniform(1.0, 1.1)
    elif cut.top or cut.bottom:
        share = rng.uniform(0.7, 1.0)
    else:
        share = rng.uniform(0.75, 0.97)
    scale = share * height / h
    if cut.left and cut.right:
        scale = max(scale, width / w)
    # Rounded up, so that a person cut at both ends still reaches both.
    new_w, new_h = ceil(w * scale - 1e-6), ceil(h * scale - 1e-6)

    if new_h >= height:
        # Heads are in the upper half, so most of what does not fit is left out below.
        top = -round(rng.uniform(0.15, 0.4) * (new_h - height))
    elif cut.top:
        top = 0
    elif cut.bottom or full_frame:
        top = height - new_h
    else:
        top = max(0, round(rng.uniform(0.95, 1.0) * height) - new_h)
    if cut.left and not cut.right:
        left = 0
    elif cut.right and not cut.left:
        left = width - new_w
    elif new_w >= width:
        left = (width - new_w) // 2
    else:
        left = round(rng.uniform(0, width - new_w))
    placed = _paste(resize(rgba, new_w, new_h), left, top, size)
    return placed[..., :3], placed[..., 3]


def stands_free(rgba: Picture) -> bool:
    """Whether the person is cut at no side but the lowest, so that they can stand anywhere."""
    cut = cut_sides(rgba[..., 3])
    _, cut = _hide_shoulder_cuts(_trim(rgba, cut), cut)
    return not (cut.left or cut.top or cut.right)


def frame_beside(rng: np.random.Generator, rgba: Picture, size: Size, *, right: bool) -> Picture:
    """Place one of two people in the left or the right half, as a camera before both would: RGBA, uint8, of ``size``.

    Args:
        rgba: someone who `stands_free`, straight colour and alpha, uint8 (h, w, 4).
        size: (width, height) of the frame.
    """
    width, height = size
    if rng.random() < 0.5:
        rgba = np.ascontiguousarray(rgba[:, ::-1])
    cut = cut_sides(rgba[..., 3])
    rgba, _ = _hide_shoulder_cuts(_trim(rgba, cut), cut)
    h, w = rgba.shape[:2]
    # Of people who are there from head to foot, the frame holds the upper half or more.
    share = rng.uniform(1.0, 1.8) if h > 1.8 * w else rng.uniform(0.6, 0.9)
    scale = min(share * height / h, 0.5 * width / w)
    new_w, new_h = ceil(w * scale), ceil(h * scale)
    top = max(height - new_h, round(rng.uniform(0.06, 0.25) * height))
    middle = width * (rng.uniform(0.62, 0.78) if right else rng.uniform(0.22, 0.38))
    return _paste(resize(rgba, new_w, new_h), round(middle - new_w / 2), top, size)


def behind_table(
    rng: np.random.Generator, alpha: Picture, background: Picture, table: Picture
) -> tuple[Picture, Picture]:
    """(alpha, background) with a table in front, its top 65 to 90 % down, that looks like the picture ``table``."""
    height, width = alpha.shape
    edge = height * rng.uniform(0.65, 0.9) + np.linspace(-0.5, 0.5, width) * rng.uniform(-0.06, 0.06) * height
    cover = np.clip(np.arange(height)[:, None] + 0.5 - edge, 0, 1).astype(np.float32)
    own, room = alpha.astype(np.float32) / 255, background.astype(np.float32)
    seen, behind = put_before(cover, table.astype(np.float32), own, room)
    return (seen * 255 + 0.5).astype(np.uint8), np.clip(behind + 0.5, 0, 255).astype(np.uint8)


def _trim(rgba: Picture, cut: CutSides) -> Picture:
    """Without the empty margin, but for sides at which the person is cut: those stay where they are."""
    h, w = rgba.shape[:2]
    rows = np.flatnonzero(rgba[..., 3].max(axis=1) > 12)
    columns = np.flatnonzero(rgba[..., 3].max(axis=0) > 12)
    if not len(rows):
        return rgba
    top, bottom = 0 if cut.top else int(rows[0]), h if cut.bottom else int(rows[-1]) + 1
    left, right = 0 if cut.left else int(columns[0]), w if cut.right else int(columns[-1]) + 1
    return rgba[top:bottom, left:right]


def _hide_shoulder_cuts(rgba: Picture, cut: CutSides) -> tuple[Picture, CutSides]:
    """Drop the lowest rows of a portrait whose shoulders run out of both sides.

    Those rows then lie below the frame; otherwise the head would have to be enlarged until it spans the frame's width.
    """
    if not (cut.left and cut.right and cut.bottom):
        return rgba, cut
    touching = np.flatnonzero(np.maximum(rgba[:, 0, 3], rgba[:, -1, 3]) > 12)
    if touching[0] < 0.7 * len(rgba):
        return rgba, cut
    return rgba[: touching[0]], CutSides(left=False, top=cut.top, right=False, bottom=True)


def _paste(rgba: Picture, left: int, top: int, size: Size) -> Picture:
    width, height = size
    h, w = rgba.shape[:2]
    canvas = np.zeros((height, width, 4), np.uint8)
    x0, x1, y0, y1 = max(left, 0), min(left + w, width), max(top, 0), min(top + h, height)
    canvas[y0:y1, x0:x1] = rgba[y0 - top : y1 - top, x0 - left : x1 - left]
    return canvas
