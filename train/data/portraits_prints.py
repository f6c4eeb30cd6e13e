"""Flat things that show a person: framed photographs, posters, screens and book covers, seen from straight ahead.

Every kind is a function that takes the random generator, the people to show (straight RGBA), a picture that may stand
behind them and the thing's height in pixels, and returns a :class:`Print`. Pictures are uint8 RGB unless said
otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from train.data import augment
from train.data.augment import Rng, chance
from train.data.compose import cover, place, plain_background
from train.data.records import Picture

# Black, white, greys, woods and gilt, of which frames are made.
FRAMES = ((18, 18, 20), (238, 236, 230), (120, 120, 122), (74, 46, 28), (140, 96, 58), (186, 150, 104), (176, 138, 66))
UPRIGHT, LYING = (2 / 3, 0.7, 3 / 4, 4 / 5, 1.0), (5 / 4, 4 / 3, 1.4, 3 / 2)
Color = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Print:
    """``rgba``: straight, uint8 (H, W, 4). ``shines``: gives light of its own. ``leans``: stands instead of hanging."""

    rgba: Picture
    shines: bool = False
    leans: bool = False


def photograph(rng: Rng, person: Picture, behind: Picture, width: int, height: int) -> Picture:
    """A person as a photographer would frame them, before something plain or before ``behind``, in a look of its own.

    Of somebody shown from head to foot mostly the head and the shoulders are kept. Returns uint8 (height, width, 3).
    """
    rows, columns = (np.flatnonzero(person[..., 3].max(axis) > 25) for axis in (1, 0))
    if len(rows):
        person = person[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if len(rows) and person.shape[0] > 1.5 * person.shape[1] and chance(rng, 0.7):
        upper = person[: max(2, round(person.shape[0] * rng.uniform(0.25, 0.5)))]
        shown = np.flatnonzero(upper[..., 3].max(0) > 25)
        person = upper[:, shown[0] : shown[-1] + 1]
    if chance(rng, 0.4):
        person = augment.recolor_white_clothes(rng, person)
    person = np.ascontiguousarray(person)
    posed = max((place(rng, person, width, height, tight=True)[0] for _ in range(3)), key=_head_shown)
    if chance(rng, 0.4):
        plain = plain_background(rng, width, height).astype(np.float32)
        grey = plain.mean(2, keepdims=True)  # studios are rarely bright green
        scene = (grey + rng.uniform(0, 1) ** 2 * (plain - grey)).astype(np.uint8)
    else:
        scene = cover(behind, width, height, rng)
        if chance(rng, 0.6):
            scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.005, 0.03) * height + 0.3), np.uint8)
    alpha = posed[..., 3:].astype(np.float32) / np.float32(255)
    merged = np.clip(alpha * posed[..., :3] + (1 - alpha) * scene + 0.5, 0, 255).astype(np.uint8)
    table, saturation = augment.tone_curve(rng)
    toned = augment.apply_tone(merged, table, 0.0 if chance(rng, 0.15) else saturation)
    return np.asarray(np.clip(toned * 255 + 0.5, 0, 255), np.uint8)


def framed(rng: Rng, people: Sequence[Picture], behind: Picture, height: int) -> Print:
    """A photograph of the first of ``people`` in a frame, with or without passe-partout and glass."""
    width = round(height * float(rng.choice(UPRIGHT + LYING)))
    side = min(width, height)
    edge = max(2, round(side * rng.uniform(0.025, 0.08)))
    mat = round(side * rng.uniform(0.05, 0.16)) if chance(rng, 0.55) else 0
    border = edge + mat
    picture = photograph(rng, people[0], behind, width - 2 * border, height - 2 * border)
    if mat:
        picture = _bordered(picture, 1, (150, 148, 142))
        shade = int(rng.integers(205, 250))
        picture = _bordered(picture, mat - 1, (shade, shade - 2, shade - 8))
    if chance(rng, 0.35):
        picture = glare(rng, picture)
    picture = _bordered(picture, edge, (0, 0, 0))
    color = np.array(FRAMES[rng.integers(len(FRAMES))]) + rng.normal(0, 8, 3)
    outer = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    inner = np.array([(edge, edge), (width - edge, edge), (width - edge, height - edge), (edge, height - edge)])
    for number, light in enumerate(rng.permutation([1.12, 1.0, 0.86, 0.98])):  # mitred: each side has its own light
        corners = [outer[number], outer[(number + 1) % 4], inner[(number + 1) % 4], inner[number]]
        cv2.fillConvexPoly(picture, np.array(corners, np.int32), _level(color * light), cv2.LINE_AA)
    cv2.rectangle(picture, (edge - 1, edge - 1), (width - edge, height - edge), _level(color * 0.55), 1)
    return Print(_opaque(picture), leans=chance(rng, 0.25))


def poster(rng: Rng, people: Sequence[Picture], behind: Picture, height: int) -> Print:
    """A sheet of paper without a frame, often with a white margin and lettering."""
    width = round(height * float(rng.choice(UPRIGHT if chance(rng, 0.75) else LYING)))
    margin = round(min(width, height) * rng.uniform(0.015, 0.06)) if chance(rng, 0.5) else 0
    picture = photograph(rng, people[0], behind, width - 2 * margin, height - 2 * margin)
    if chance(rng, 0.6):
        lettering(rng, picture)
    return Print(_opaque(_bordered(picture, margin, (236, 235, 230))))


def book(rng: Rng, people: Sequence[Picture], behind: Picture, height: int) -> Print:
    """A cover with title and author, darker where it bends at the spine."""
    picture = photograph(rng, people[0], behind, round(height * rng.uniform(0.62, 0.75)), height)
    lettering(rng, picture, bottom=False)
    lettering(rng, picture, bottom=True)
    bend = max(1, round(0.05 * picture.shape[1]))
    picture[:, :bend] = (picture[:, :bend] * np.linspace(0.55, 0.95, bend)[:, None]).astype(np.uint8)
    return Print(_opaque(picture), leans=True)


def screen(rng: Rng, people: Sequence[Picture], behind: Picture, height: int) -> Print:
    """A television, a monitor on its foot or a laptop, with one picture of a person or a call among ``people``."""
    foot = str(rng.choice(["none", "stand", "laptop"]))
    panel = height if foot == "none" else round(height * rng.uniform(0.72, 0.85))
    width = round(panel * float(rng.choice([16 / 9, 16 / 9, 16 / 10, 4 / 3])))
    bezel = max(2, round(panel * rng.uniform(0.012, 0.045)))
    inner = (width - 2 * bezel, panel - 2 * bezel)
    if len(people) > 1 and chance(rng, 0.5):
        shown = _call(rng, people, behind, *inner)
    else:
        shown = photograph(rng, people[0], behind, *inner)
    if chance(rng, 0.35):
        shown = glare(rng, shown)
    dark = int(rng.integers(8, 45))
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[:panel] = _opaque(_bordered(shown, bezel, (dark, dark, dark + 2)))
    if foot == "stand":
        left, right = round(width * 0.45), round(width * 0.55)
        rgba[panel:, left:right] = (dark + 20, dark + 20, dark + 22, 255)
        rgba[-max(2, (height - panel) // 5) :, round(width * 0.3) : round(width * 0.7)] = (dark + 32,) * 3 + (255,)
    elif foot == "laptop":  # seen from ahead, the keyboard is a low trapezium
        shade = int(rng.integers(60, 200))
        inset = round(0.04 * width)
        corners = np.array([(inset, panel), (width - inset, panel), (width - 1, height - 1), (0, height - 1)], np.int32)
        cv2.fillConvexPoly(rgba, corners, (shade, shade, shade, 255))
        keys = (corners - (width / 2, (panel + height) / 2)) * (0.86, 0.5) + (width / 2, panel + 0.4 * (height - panel))
        cv2.fillConvexPoly(rgba, keys.astype(np.int32), (shade // 3,) * 3 + (255,))
    return Print(rgba, shines=True, leans=foot != "none")


KINDS: tuple[Callable[[Rng, Sequence[Picture], Picture, int], Print], ...] = (framed, poster, screen, book)


def glare(rng: Rng, picture: Picture) -> Picture:
    """A window's or a lamp's reflection in glass: a soft bright band in a random direction."""
    height, width = picture.shape[:2]
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    along = (x / width - 0.5) * np.cos(angle) + (y / height - 0.5) * np.sin(angle)
    band = np.exp(-(((along - rng.uniform(-0.5, 0.5)) / rng.uniform(0.1, 0.4)) ** 2)) * rng.uniform(0.1, 0.45)
    return np.asarray(picture + (255 - picture) * band[..., None], np.uint8)


def lettering(rng: Rng, picture: Picture, *, bottom: bool | None = None) -> None:
    """Write one or two made-up words across the top or the bottom of ``picture``, some on a bar. Works in place."""
    height, width = picture.shape[:2]
    words = ["".join(chr(65 + int(i)) for i in rng.integers(0, 26, rng.integers(3, 8))) for _ in range(2)]
    text = " ".join(words[: int(rng.integers(1, 3))])
    font = int(rng.choice([cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SIMPLEX]))
    (unit, tall), _ = cv2.getTextSize(text, font, 1.0, 1)
    scale = min(width * rng.uniform(0.5, 0.9) / unit, height * 0.12 / tall)
    thick = max(1, round(scale * 2))
    low = chance(rng, 0.6) if bottom is None else bottom
    base = round(height * rng.uniform(0.9, 0.97)) if low else round(height * 0.03 + tall * scale * 1.4)
    ink = [int(v) for v in (rng.integers(200, 256, 3) if chance(rng, 0.6) else rng.integers(0, 70, 3))]
    if chance(rng, 0.3):
        bar = [int(v) for v in 255 - np.array(ink)]
        cv2.rectangle(
            picture, (0, base - round(tall * scale * 1.4)), (width, base + round(tall * scale * 0.4)), bar, -1
        )
    left = round((width - unit * scale) / 2)
    cv2.putText(picture, text, (left, base), font, scale, ink, thick, cv2.LINE_AA)


def _head_shown(posed: Picture) -> float:
    """How much of the place where a photographer puts the head is covered; a measure to compare poses by."""
    height, width = posed.shape[:2]
    middle = posed[height // 8 : height * 5 // 8, width // 3 : width * 2 // 3 + 1, 3]
    return float(middle.mean()) - 0.5 * float(posed[: max(1, height // 24), :, 3].mean())


def _call(rng: Rng, people: Sequence[Picture], behind: Picture, width: int, height: int) -> Picture:
    """Tiles of a video call on dark grey: two side by side, more in two rows."""
    grid = np.full((height, width, 3), rng.integers(20, 50), np.uint8)
    rows = 1 if len(people) == 2 else 2
    gap = max(1, width // 80)
    tall, wide = (height - gap * (rows + 1)) // rows, (width - 3 * gap) // 2
    for number, person in enumerate(people[:4]):
        top, left = gap + (number // 2) * (tall + gap), gap + (number % 2) * (wide + gap)
        grid[top : top + tall, left : left + wide] = photograph(rng, person, behind, wide, tall)
    return grid


def _bordered(picture: Picture, border: int, color: Color) -> Picture:
    out = cv2.copyMakeBorder(picture, border, border, border, border, cv2.BORDER_CONSTANT, value=color)
    return np.asarray(out, np.uint8)


def _opaque(picture: Picture) -> Picture:
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


def _level(color: np.ndarray) -> Color:
    red, green, blue = (int(v) for v in np.clip(color, 0, 255))
    return red, green, blue
