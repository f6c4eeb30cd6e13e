"""Composites made on the fly: people from foregrounds, put before a background, seen through one camera.

Everything is resized first and composited afterwards (compositing first and resizing then would blur the truth), and
what the camera does (blur, noise, compression, colour) reaches person and background alike.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from train.data import augment
from train.data.augment import Rng, chance
from train.data.clothes import draw_lower_clothes, dress
from train.data.config import DataConfig
from train.data.in_front import Box, draw_boxes, paint_boxes, put_before
from train.data.placement import Placement, cut_sides, draw_centres, draw_placement

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Composite:
    """``image`` = degrade(alpha·foreground + (1−alpha)·background); uint8 RGB (H, W, 3), ``alpha`` float32 (H, W)."""

    image: Picture
    alpha: NDArray[np.float32]
    foreground: Picture
    background: Picture


def cover(picture: Picture, width: int, height: int, rng: Rng | None = None) -> Picture:
    """Scale and crop to (height, width): centred, or with ``rng`` a random crop of a random zoom, maybe mirrored."""
    h, w = picture.shape[:2]
    scale = max(width / w, height / h)
    x = y = 0.5
    if rng is not None:
        scale *= rng.uniform(1.0, 1.7)
        x, y = rng.uniform(size=2)
    crop_w, crop_h = width / scale, height / scale
    left, top = int(x * (w - crop_w)), int(y * (h - crop_h))
    part = picture[top : top + max(1, round(crop_h)), left : left + max(1, round(crop_w))]
    filter_ = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    out = cv2.resize(part, (width, height), interpolation=filter_)
    return np.ascontiguousarray(out[:, ::-1]) if rng is not None and chance(rng, 0.5) else out  # type: ignore[return-value]


def plain_background(rng: Rng, width: int, height: int) -> Picture:
    """One colour, or a gradient between two."""
    a, b = rng.integers(0, 256, (2, 3)).astype(np.float32)
    if chance(rng, 0.5):
        return np.broadcast_to(a.astype(np.uint8), (height, width, 3)).copy()
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    t = (x / width - 0.5) * np.cos(angle) + (y / height - 0.5) * np.sin(angle) + 0.5
    return np.clip(a + (b - a) * t[..., None], 0, 255).astype(np.uint8)


def place(
    rng: Rng, rgba: Picture, width: int, height: int, *, tight: bool, centre: float | None = None
) -> tuple[Picture, Placement | None]:
    """Put a person on an empty canvas as a camera would frame them: straight RGBA, uint8 (height, width, 4), and where.

    See :func:`train.data.placement.draw_placement`.
    """
    alpha = cv2.extractChannel(rgba, 3)
    rows, columns = (np.flatnonzero(cv2.reduce(alpha, dim, cv2.REDUCE_MAX).ravel() > 25) for dim in (1, 0))
    box = (columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]) if len(rows) else None
    placed = draw_placement(rng, box, cut_sides(alpha), width, height, tight=tight, centre=centre)
    if placed is None:
        return np.zeros((height, width, 4), np.uint8), None
    rgba = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if placed.flip:
        rgba = np.ascontiguousarray(rgba[:, ::-1])
    filter_ = cv2.INTER_AREA if placed.width < rgba.shape[1] else cv2.INTER_LINEAR
    rgba = cv2.resize(rgba, (placed.width, placed.height), interpolation=filter_)  # type: ignore[assignment]
    matrix = cv2.getRotationMatrix2D((placed.width / 2, placed.height / 2), placed.angle, 1.0)
    matrix[:, 2] += (placed.left, placed.top)
    color = cv2.warpAffine(
        rgba[..., :3], matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    alpha = cv2.warpAffine(rgba[..., 3], matrix, (width, height), flags=cv2.INTER_LINEAR)
    return cv2.merge([*cv2.split(color), alpha]), placed  # type: ignore[return-value]


def soft_window(rng: Rng, alphas: list[Picture], width: int, height: int, side: int) -> tuple[slice, slice]:
    """Square window centred on a random half-transparent pixel (Deep Image Matting, section 3.4), inside the canvas."""
    soft = np.zeros(0, np.int64)
    if alphas:
        chosen = alphas[int(rng.integers(len(alphas)))]
        soft = np.flatnonzero(((chosen > 5) & (chosen < 250)).ravel())
    at = int(soft[rng.integers(len(soft))]) if len(soft) else int(rng.integers(height * width))
    top = int(np.clip(at // width - side // 2, 0, height - side))
    left = int(np.clip(at % width - side // 2, 0, width - side))
    return slice(top, top + side), slice(left, left + side)


def compose(
    rng: Rng,
    config: DataConfig,
    people: list[tuple[Picture, bool]],
    background: Picture,
    width: int,
    height: int,
    *,
    table: Picture | None = None,
    crop: tuple[int, int] | None = None,
    hardness: float = 1.0,
) -> Composite:
    """One training picture.

    Args:
        people: (straight RGBA, dye its white clothes?) each; back to front; may be empty.
        background: any size, uint8 RGB.
        width, height: size of the canvas on which people are placed.
        table: puts a table before the people that looks like this picture, any size, uint8 RGB.
        crop: (side, final side): keep only a square around half-transparent pixels, resized before compositing, and
            keep people large.
        hardness: share of the real background, the rest being one solid colour: 0 is easy, 1 hard.
    """
    placed: list[Picture] = []
    clothes: list[Box | None] = []
    for (rgba, white), centre in zip(people, draw_centres(rng, len(people)), strict=True):
        if white and chance(rng, 0.7):
            rgba = augment.recolor_white_clothes(rng, rgba)
        canvas, at = place(rng, rgba, width, height, tight=crop is not None, centre=centre)
        dressed = at is not None and config.lower_clothes_share > 0 and chance(rng, config.lower_clothes_share)
        placed.append(canvas)
        clothes.append(draw_lower_clothes(rng, at, width, height) if dressed and at is not None else None)
    boxes, texture = [], None
    if table is not None:
        boxes, texture = draw_boxes(rng, width, height), cover(table, width, height, rng)
    if chance(rng, config.plain_background_share):
        behind = plain_background(rng, width, height)
    else:
        behind = cover(background, width, height, rng)
    if crop is not None:
        side, final = crop
        window = soft_window(rng, [p[..., 3] for p in placed], width, height, side)
        behind, placed = np.ascontiguousarray(behind[window]), [np.ascontiguousarray(p[window]) for p in placed]
        if side != final:
            filter_ = cv2.INTER_AREA if side > final else cv2.INTER_LINEAR
            behind, *placed = (cv2.resize(p, (final, final), interpolation=filter_) for p in (behind, *placed))  # type: ignore[assignment]
        corner = window[1].start, window[0].start, side / final
        clothes = [box and box.seen_through(*corner) for box in clothes]
        if texture is not None:
            boxes = [box.seen_through(*corner) for box in boxes]
            texture = cv2.resize(texture[window], (final, final), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    if chance(rng, config.blurred_background_share):
        behind = cv2.GaussianBlur(behind, (0, 0), rng.uniform(0.5, 0.012 * width + 0.6))
    if hardness < 1:
        solid = np.empty_like(behind)
        solid[:] = rng.integers(0, 256, 3)
        behind = cv2.addWeighted(solid, 1 - hardness, behind, hardness, 0)

    # One look for the camera and a smaller one for each thing in front of it, since light differs between places.
    light = augment.draw_light(rng, config.backlit_share, config.dim_share)
    curve, saturation = augment.tone_curve(rng, light=light.camera)
    room = augment.tone_curve(rng, 0.6, light.room)
    back = augment.apply_tone(behind, *room)
    front, alpha = back, np.zeros(behind.shape[:2], np.float32)
    for person, lower in zip(placed, clothes, strict=True):
        color = augment.apply_tone(np.ascontiguousarray(person[..., :3]), *augment.tone_curve(rng, 0.8, light.people))
        if lower is not None:
            color = dress(color, lower)
        own = person[..., 3].astype(np.float32) * np.float32(1 / 255)
        if chance(rng, config.wall_colour_share):
            color = augment.toward_background(color, own, back, rng.uniform(0.5, 1.0))
        if chance(rng, config.motion_share):
            kernel = augment.motion_kernel(rng, rng.uniform(2, 0.04 * width + 2))
            premultiplied, own = augment.smear(color * own[..., None], own, kernel, augment.motion_area(rng))
            color = np.where(own[..., None] > 0.01, premultiplied / np.maximum(own[..., None], 0.01), color)
        # "Over" for straight colours: the union's alpha, and the colour that the union has where it covers anything.
        union = own + alpha * (1 - own)
        weight = (own / np.maximum(union, 1e-4))[..., None]
        front = np.where(union[..., None] > 1e-4, weight * color + (1 - weight) * front, color)
        alpha = union
    if boxes:
        color, cover_ = paint_boxes(boxes, behind.shape[1], behind.shape[0], texture)
        alpha, back = put_before(cover_, augment.apply_tone(to_uint8(color), *room), alpha, back)
    back, front = (augment.apply_tone(to_uint8(x), curve, saturation) for x in (back, front))
    image, alpha = camera(rng, back + alpha[..., None] * (front - back), alpha, light.noise)
    picture = to_uint8(image)
    if chance(rng, 0.55):
        picture = augment.jpeg(rng, picture)
    if chance(rng, config.h264_share):
        picture = augment.h264(rng, picture)
    return Composite(picture, np.clip(alpha, 0, 1), to_uint8(front), to_uint8(back))


def to_uint8(picture: NDArray[np.float32]) -> Picture:
    """[0, 1] → 0 to 255, rounded."""
    return cv2.convertScaleAbs(np.maximum(picture, 0), alpha=255)  # type: ignore[return-value]


def camera(
    rng: Rng, image: NDArray[np.float32], alpha: NDArray[np.float32], noise: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lens, sensor and firmware, over the finished picture. Lens blur reaches the alpha too: it is what is seen.

    ``noise`` is a factor of the sensor's.
    """
    if chance(rng, 0.4):
        sigma = rng.uniform(0.3, 1.3)
        image, alpha = cv2.GaussianBlur(image, (0, 0), sigma), cv2.GaussianBlur(alpha, (0, 0), sigma)
    if chance(rng, 0.2):
        image = augment.lower_resolution(rng, image)
    if chance(rng, 0.65):
        image = augment.sensor_noise(rng, image, noise)
    if chance(rng, 0.25):
        image = augment.sharpen(rng, image)
    return image, alpha
