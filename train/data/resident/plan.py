"""What is random about a batch, drawn on the CPU: every sample's numbers, from the sample's own generator."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import InputError
from train.data import augment
from train.data.augment import Rng, chance
from train.data.clothes import draw_lower_clothes
from train.data.dataset import ASPECTS, MATTING_CANVASES, TRIMAP_SIZES, MattingSamples, larger, same_area
from train.data.generators import BATCH, PEOPLE, SAMPLE, generator
from train.data.in_front import Box, draw_boxes
from train.data.placement import draw_centres, draw_placement
from train.data.resident.atlas import Map, choose_level
from train.data.resident.draws import (
    Dye,
    Placement,
    Window,
    draw_cover,
    draw_dye,
    draw_look,
    draw_plain,
    draw_window,
    placement_map,
)
from train.data.resident.store import Stored

Index = int | tuple[int, int]
"""A sample's number, or (i, j): sample i with the people of sample j."""

Visible = list[tuple[Placement, NDArray[np.float32], tuple[int, int]]]
"""People on a canvas, as :func:`train.data.resident.draws.draw_window` takes them."""


@dataclass
class Effect:
    """Something that happens to the samples ``rows`` of a batch: its numbers, and for pictures where they start."""

    rows: list[int] = field(default_factory=list)
    numbers: list[Sequence[float]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)


@dataclass
class Plan:
    """All that is random about one batch but the noise itself.

    ``radii``: (erosion, dilation) of each trimap, in pixels. ``windows``: (top, left, side). ``kernels``: one smear for
    each row of the effect of that name.
    """

    width: int
    height: int
    indices: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    has_alpha: list[bool] = field(default_factory=list)
    windows: list[tuple[int, int, int]] = field(default_factory=list)
    radii: list[tuple[float, float]] = field(default_factory=list)
    effects: dict[str, Effect] = field(default_factory=dict)
    kernels: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)

    def add(self, name: str, *numbers: float) -> None:
        """Effect ``name`` happens to the sample being planned."""
        effect = self.effects.setdefault(name, Effect())
        effect.rows.append(len(self.indices))
        effect.numbers.append(numbers)

    def show(self, name: str, picture: Stored, map_: Map) -> None:
        """The sample being planned shows ``picture`` as layer ``name``."""
        view = choose_level(picture.levels, map_)
        self.add(name, *view.map, view.level.width, view.level.height, view.spread)
        self.effects[name].offsets.append(view.level.offset)


def draw_plan(samples: MattingSamples, indices: Sequence[Index]) -> Plan:
    """Draw all numbers of a batch.

    Args:
        samples: lists the records and draws among them; its store hands out :class:`Stored`.
        indices: samples of one step.

    Raises:
        IndexError: a number is beyond the last sample.
        InputError: only broken files were met.
    """
    pairs = [index if isinstance(index, tuple) else (index, index) for index in indices]
    spec, seed = samples.spec, samples.seed
    step = pairs[0][0] // samples.batch_size
    shared = generator(seed, step, BATCH)
    if spec.kind == "crop":
        plan = Plan(spec.crop, spec.crop)
    elif sizes := spec.sizes or (TRIMAP_SIZES if spec.kind == "trimap" else ()):
        plan = Plan(*sizes[shared.integers(len(sizes))])
    else:
        plan = Plan(*same_area(spec.size, ASPECTS[shared.integers(len(ASPECTS))]))
    masks = spec.masks and bool(samples.config.masks) and spec.kind != "crop"
    for index, people_index in pairs:
        if index >= samples.length:
            raise IndexError(index)
        rng = generator(seed, index, SAMPLE)
        people_rng = generator(seed, people_index, PEOPLE)
        if masks and chance(rng, samples.config.masks_share):
            _plan_mask(plan, samples, rng)
        else:
            _plan_composite(plan, samples, rng, people_rng, spec.hardness(index // samples.batch_size))
        plan.indices.append(index)
    return plan


def _plan_composite(plan: Plan, samples: MattingSamples, rng: Rng, people_rng: Rng, hardness: float) -> None:
    """The draws of :func:`train.data.compose.compose`, and those of what is composed."""
    spec, config = samples.spec, samples.config
    width, height, side = plan.width, plan.height, None
    if spec.kind == "crop":
        side = int(rng.choice(spec.crops)) if spec.crops else spec.crop
        width, height = larger(MATTING_CANVASES[rng.integers(len(MATTING_CANVASES))], side)
    count = 0 if side is None and chance(rng, config.empty_share) else 1
    count += int(count > 0 and chance(rng, config.second_person_share))
    in_front = count > 0 and config.in_front_share > 0 and chance(rng, config.in_front_share)
    people, (background, background_name), table = _draw_pictures(samples, rng, people_rng, count, in_front)
    plan.names.append(" + ".join([*(name for _, _, name in people), background_name]))

    placed: list[Placement | None] = []
    dyes: list[Dye | None] = []
    clothes: list[Box | None] = []
    for (stored, white, _), centre in zip(people, draw_centres(rng, count), strict=True):
        dyes.append(draw_dye(rng, stored.full_height) if white and chance(rng, 0.7) else None)
        box = None if stored.empty else stored.size
        at = draw_placement(rng, box, stored.cut, width, height, tight=side is not None, centre=centre)
        dressed = at is not None and config.lower_clothes_share > 0 and chance(rng, config.lower_clothes_share)
        placed.append(at)
        clothes.append(draw_lower_clothes(rng, at, width, height) if dressed and at is not None else None)
    boxes, table_cover = [], None
    if table is not None:
        boxes = draw_boxes(rng, width, height)
        table_cover = draw_cover(rng, *table.size, width, height)
    plain = draw_plain(rng, width, height) if chance(rng, config.plain_background_share) else None
    cover = draw_cover(rng, *background.size, width, height) if plain is None else None
    visible = [(at, s.soft, s.size) for at, (s, _, _) in zip(placed, people, strict=True) if at is not None]
    window = Window()
    if side is not None:
        window = Window(*draw_window(rng, visible, width, height, side), side / plan.width)
    if plain is not None:
        plan.add("plain", *plain[0], *window.seen_through(plain[1])[:3])
    if cover is not None:
        plan.show("background", background, window.seen_through(cover))
    if chance(rng, config.blurred_background_share):
        plan.add("blur", rng.uniform(0.5, 0.012 * width + 0.6))
    if hardness < 1:
        plan.add("solid", *(rng.integers(0, 256, 3) / 255), hardness)

    light = augment.draw_light(rng, config.backlit_share, config.dim_share)
    look = draw_look(rng, light=light.camera)
    room = draw_look(rng, 0.6, light.room)
    plan.add("back look", *room)
    for number, ((stored, _, _), at, dye, lower) in enumerate(zip(people, placed, dyes, clothes, strict=True)):
        own = draw_look(rng, 0.8, light.people)
        wall_colour = rng.uniform(0.5, 1.0) if chance(rng, config.wall_colour_share) else None
        kernel, area = None, ()
        if chance(rng, config.motion_share):
            kernel = augment.motion_kernel(rng, rng.uniform(2, 0.04 * width + 2))
            area = augment.motion_area(rng)
        if at is None:
            continue
        map_ = window.seen_through(placement_map(at, *stored.size))
        plan.show(f"person {number}", stored, map_)
        plan.add(f"look {number}", *own)
        if dye is not None:
            plan.add(f"dye {number}", *dye_numbers(dye, stored, map_))
        if lower is not None:
            plan.add(f"clothes {number}", *lower.seen_through(window.left, window.top, window.ratio).numbers)
        if wall_colour is not None:
            plan.add(f"wall colour {number}", wall_colour)
        if kernel is not None:
            plan.add(f"smear {number}", *area)
            plan.kernels.setdefault(f"smear {number}", []).append(kernel)
    if table is not None and table_cover is not None:
        plan.add("box look", *room)
        plan.show("table", table, window.seen_through(table_cover))
    for number, box in enumerate(boxes):
        plan.add(f"box {number}", *box.seen_through(window.left, window.top, window.ratio).numbers)
    plan.add("look", *look)
    _plan_camera(plan, rng, light.noise)
    if chance(rng, config.h264_share):
        plan.add("h264", int(rng.uniform(24, 42)))
    if spec.kind == "crop":
        plan.radii.append((rng.uniform(*spec.erosion), rng.uniform(*spec.dilation)))
    else:
        plan.radii.append((spec.trimap_radius * (width + height) / 2,) * 2)
        _plan_window(plan, samples, rng, visible)
    plan.has_alpha.append(True)


def _draw_pictures(
    samples: MattingSamples, rng: Rng, people_rng: Rng, count: int, in_front: bool
) -> tuple[list[tuple[Stored, bool, str]], tuple[Stored, str], Stored | None]:
    """(person, has white clothes?, name) each, (background, name), and the picture of a table if there is one."""
    for _ in range(100):
        background: Any = samples.draw_background(rng)
        table: Any = samples.draw_background(rng) if in_front else None
        people: list[Any] = [samples.draw_person(people_rng) for _ in range(count)]
        if background is not None and (table is not None) == in_front and None not in people:
            return people, background, table and table[0]
    raise InputError("100 draws in a row met only broken files; repair the data")


def _plan_camera(plan: Plan, rng: Rng, noise: float) -> None:
    """The draws of :func:`train.data.compose.camera`, and of the compression after it."""
    if chance(rng, 0.4):
        plan.add("lens", rng.uniform(0.3, 1.3))
    if chance(rng, 0.2):
        factor = rng.uniform(1.2, 2.2)
        plan.add("lower", int(plan.width / factor), int(plan.height / factor))
    if chance(rng, 0.65):
        plan.add("noise", rng.exponential(0.018) * noise)
    if chance(rng, 0.25):
        plan.add("sharpen", rng.uniform(0.8, 1.6), rng.uniform(0.3, 1.2))
    if chance(rng, 0.55):
        plan.add("jpeg", int(rng.uniform(25, 95)))


def _plan_mask(plan: Plan, samples: MattingSamples, rng: Rng) -> None:
    """A picture with a coarse mask: cropped, mirrored, seen through a camera's colours and noise."""
    lists, weights = samples.masks
    for _ in range(100):
        pairs = lists[int(rng.choice(len(lists), p=weights))]
        record = pairs[rng.integers(len(pairs))]
        found: Any = samples.store.mask_pair(record)
        if found is not None:
            break
    else:
        raise InputError("100 mask pairs in a row were broken; repair the data")
    stored: Stored = found
    plan.names.append(record.image.name)
    plan.show("background", stored, draw_cover(rng, *stored.size, plan.width, plan.height))
    plan.add("mask")
    plan.add("look", *draw_look(rng))
    if chance(rng, 0.5):
        plan.add("noise", rng.exponential(0.018))
    plan.radii.append((samples.spec.trimap_radius * (plan.width + plan.height) / 2,) * 2)
    _plan_window(plan, samples, rng, [])
    plan.has_alpha.append(False)


def _plan_window(plan: Plan, samples: MattingSamples, rng: Rng, visible: Visible) -> None:
    if samples.spec.kind == "whole" and samples.spec.crops:
        side = min(int(rng.choice(samples.spec.crops)), plan.height, plan.width)
        left, top = draw_window(rng, visible, plan.width, plan.height, side)
        plan.windows.append((top, left, side))


def dye_numbers(dye: Dye, stored: Stored, map_: Map) -> tuple[float, ...]:
    """The 13 numbers of :func:`train.data.resident.filters.dye_pale_cloth`; ``map_``: sample → the person's box."""
    a, b, c, d, e, f = map_
    c, f, tall = c + stored.box_left, f + stored.box_top, stored.full_height
    x, y = dye.wave_x, dye.wave_y
    # The dye's edge is softened by 1.5 pixels of the person's picture.
    sigma = 1.5 / max(math.sqrt(abs(a * e - b * d)), 1e-3)
    phase = a * x + d * y, b * x + e * y, c * x + f * y
    return (*dye.color, d / tall, e / tall, f / tall, *dye.stripe, *phase, max(sigma, 0.05))
