"""Calm sequences with exact alpha: stills of people who sway a little, as somebody does who listens.

A person's picture is moved by fractions of pixels, about the lower edge of the frame, before a still background; every
frame has the noise of a webcam of its own.
"""

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from train.data.records import Foreground, list_foregrounds, list_pictures, read_foreground
from train.evaluation.framing import Camera, Sample, Size, frame_person, generator, view
from train.evaluation.sets import Clip

SIZE: Size = (640, 360)
# Each as a share of the picture's width, seconds: to and fro, breathing, up and down.
_SWAY, _BREATH, _NOD = (0.004, 4.0), (0.0006, 1.3), (0.0015, 3.1)


def calm_clips(data: Path, backgrounds: Path, count: int, frames: int) -> list[Clip]:
    """So many sequences of so many frames, of stills of ``data`` (the validation folder) evenly chosen."""
    stills, behind = list_foregrounds(data / "rendered" / "stills"), list_pictures(backgrounds)
    clips = []
    for number in range(count):
        still = stills[number * len(stills) // count]
        label = f"calm {still.color.stem}"
        background = behind[generator(label, "bg").integers(len(behind))]
        clips.append(Clip(label, frames, partial(_frame, still, background, label), still.color))
    return clips


def _frame(still: Foreground, background: Path, label: str, index: int) -> Sample:
    rng = generator(label)
    color, alpha = frame_person(rng, read_foreground(still), SIZE, full_frame=True)
    camera = Camera.draw(rng, SIZE[1])
    width, height = SIZE
    sway, breath, nod = (
        share * width * np.sin(2 * np.pi * index / 30 / seconds + phase)
        for (share, seconds), phase in zip((_SWAY, _BREATH, _NOD), rng.uniform(0, 2 * np.pi, 3), strict=True)
    )
    y, x = np.indices((height, width), np.float32)
    above = 1 - y / np.float32(height - 1)
    opaque = alpha[..., None] / np.float32(255)
    source = x - np.float32(sway + breath) * above, y - np.float32(nod) * above
    # Premultiplied: beyond the outline colours mean nothing.
    moved = cv2.remap(
        np.dstack([color * opaque, alpha]).astype(np.float32), *source, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    alpha = np.clip(np.rint(moved[..., 3]), 0, 255).astype(np.uint8)
    color = np.clip(moved[..., :3] * 255 / np.maximum(moved[..., 3:], 1), 0, 255).astype(np.uint8)
    return camera.shoot(generator(label, "noise", index), color, alpha, view(background, SIZE))
