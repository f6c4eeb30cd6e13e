"""The person's colours towards those of the background."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime_matting.compositing.colour_match import ColourMatch, recoloured
from realtime_matting.look import Look

RNG = np.random.default_rng(0)
SHAPE = (48, 64)


def cloud(mean: tuple[int, int, int], spread: float) -> NDArray[np.uint8]:
    """Colours around a mean."""
    return np.clip(RNG.normal(mean, spread, (*SHAPE, 3)), 0, 255).round().astype(np.uint8)


PERSON = cloud((90, 70, 60), 30)
SKY = cloud((120, 150, 200), 15)
ALPHA = np.zeros(SHAPE, np.float32)
ALPHA[10:, 16:48] = 1


def mean_of(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    return picture[ALPHA == 1].mean(0)


def test_no_strength_changes_nothing_exactly() -> None:
    assert Look(match_colours=0.0).foreground(0.0, PERSON, ALPHA, SKY) is PERSON


@pytest.mark.parametrize("behind", [SKY, cloud((20, 20, 20), 5), cloud((240, 200, 40), 40)])
def test_more_strength_brings_the_mean_nearer_to_the_background(behind: NDArray[np.uint8]) -> None:
    distances = [
        np.abs(mean_of(Look(match_colours=strength).foreground(0.0, PERSON, ALPHA, behind)) - behind.mean((0, 1))).sum()
        for strength in (0.0, 0.5, 1.0)
    ]
    assert distances[0] > distances[1] + 3
    assert distances[1] > distances[2] + 3


def test_the_change_is_limited() -> None:
    for behind in (np.zeros_like(SKY), np.full_like(SKY, 255), np.full_like(SKY, (255, 0, 255))):
        changed = Look(match_colours=1.0).foreground(0.0, PERSON, ALPHA, behind)
        assert np.abs(mean_of(changed) - mean_of(PERSON)).max() < 40


def test_a_person_with_the_backgrounds_colours_stays_as_they_are() -> None:
    changed = Look(match_colours=1.0).foreground(0.0, PERSON, np.ones(SHAPE, np.float32), PERSON)
    assert np.abs(changed.astype(np.int16) - PERSON).max() <= 1


def test_soft_pixels_and_the_room_say_nothing_of_the_persons_colours() -> None:
    alpha = ALPHA.copy()
    alpha[:, 14:16] = 0.5
    other = PERSON.copy()
    other[alpha < 1] = (0, 255, 0)
    change = [ColourMatch(1.0).follow(0.0, picture, alpha, SKY) for picture in (PERSON, other)]
    assert np.array_equal(change[0], change[1])


def test_without_a_person_nothing_changes_and_the_last_change_is_kept() -> None:
    match = ColourMatch(1.0)
    nobody = np.zeros(SHAPE, np.float32)
    assert np.array_equal(match.follow(0.0, PERSON, nobody, SKY), np.eye(3, 4, dtype=np.float32))
    seen = match.follow(0.1, PERSON, ALPHA, SKY)
    assert np.array_equal(match.follow(0.2, PERSON, nobody, SKY), seen)


def test_a_sudden_change_of_the_scene_takes_effect_by_and_by() -> None:
    match = ColourMatch(1.0)
    dark, light = cloud((30, 30, 30), 10), cloud((220, 220, 220), 10)
    before = match.follow(0.0, PERSON, ALPHA, dark)
    at_once = ColourMatch(1.0).follow(0.0, PERSON, ALPHA, light)
    whole = np.abs(at_once - before).max()
    one_frame = match.follow(1 / 30, PERSON, ALPHA, light)
    assert 0 < np.abs(one_frame - before).max() < 0.05 * whole
    for frame in range(2, 30 * 8):
        last = match.follow(frame / 30, PERSON, ALPHA, light)
    assert np.abs(last - at_once).max() < 0.05 * whole


def test_a_person_whose_colours_flicker_is_not_made_to_pump() -> None:
    """Statistics that jump from frame to frame change the colours by a fraction of a level."""
    match = ColourMatch(1.0)
    changes = []
    for frame in range(60):
        alpha = ALPHA.copy()
        alpha[:, : 20 + 6 * (frame % 2)] = 0
        person = cloud((90 + 20 * (frame % 2), 70, 60), 30)
        changes.append(match.follow(frame / 30, person, alpha, SKY) @ np.array([90, 70, 60, 1], np.float32))
    steps = np.abs(np.diff(changes[1:], axis=0))
    assert steps.max() < 1


@pytest.mark.parametrize("time", [5.0, -1.0])
def test_a_break_begins_anew(time: float) -> None:
    match = ColourMatch(1.0)
    match.follow(0.0, PERSON, ALPHA, SKY)
    dark = cloud((30, 30, 30), 10)
    assert np.array_equal(match.follow(time, PERSON, ALPHA, dark), ColourMatch(1.0).follow(0.0, PERSON, ALPHA, dark))
    match.reset()
    assert np.array_equal(match.follow(time, PERSON, ALPHA, SKY), ColourMatch(1.0).follow(0.0, PERSON, ALPHA, SKY))


@settings(max_examples=30)
@given(st.integers(0, 255), st.integers(0, 255), st.floats(0, 1))
def test_one_colour_before_another_gives_finite_numbers(person: int, behind: int, strength: float) -> None:
    change = ColourMatch(strength).follow(
        0.0, np.full((*SHAPE, 3), person, np.uint8), ALPHA, np.full((*SHAPE, 3), behind, np.uint8)
    )
    assert change.dtype == np.float32
    assert np.isfinite(change).all()
    out = np.empty_like(PERSON)
    recoloured(np.full((*SHAPE, 3), person, np.uint8), change, out)
    assert np.abs(out.astype(np.int16) - person).max() <= 22
