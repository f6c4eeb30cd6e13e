"""Streams with exact alpha: whatever happens in front of the camera, no stale matte for more than three frames.

People are green here (see ``green_bundle``), and drawn: a head on shoulders, with an arm that can be raised. The room
has a texture, without which nothing could be followed.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting import Frame, Matter
from realtime_matting.matting.matter import Matte

HEIGHT, WIDTH = 144, 256
Rgb = NDArray[np.uint8]
Truth = NDArray[np.float32]
Shot = tuple[Rgb, Truth]


def room(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Rgb:
    """Grey and reddish furniture of all sizes; nothing green."""
    generator = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 120, np.float32)
    for cells in (4, 12, 40):
        noise = generator.normal(0, 18, (cells * 9 // 16 + 1, cells)).astype(np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    picture[..., 0] += 12
    return np.clip(picture, 20, 235).astype(np.uint8)


def person(x: float, *, arm: float | None = None, size: float = 1.0, turn: float = 0.0) -> Truth:
    """Exact alpha of a person at column ``x``; ``arm`` is the angle of a raised arm, ``turn`` narrows the shoulders."""
    scale = 4
    mask = np.zeros((HEIGHT * scale, WIDTH * scale), np.uint8)

    def at(u: float, v: float) -> tuple[int, int]:
        return round((x + u * size) * scale), round((HEIGHT - v * size) * scale)

    def length(of: float) -> int:
        return max(1, round(of * size * scale))

    cv2.ellipse(mask, at(0, 0), (length(42 * (1 - 0.4 * turn)), length(56)), 0, 180, 360, 255, -1)
    cv2.circle(mask, at(8 * turn, 76), length(22), 255, -1)
    if arm is not None:
        tip = at(38 + 50 * np.cos(arm), 34 + 50 * np.sin(arm))
        cv2.line(mask, at(30, 30), tip, 255, length(13), cv2.LINE_AA)
    mask[round((HEIGHT - 10) * scale) :, : round((x - 80) * scale) if x > 80 else 0] = 0
    return cv2.resize(mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def shot(truth: Truth, behind: Rgb, *, light: float = 1.0, noise: int = 0) -> Shot:
    """A green person before the room, with a little cloth texture that moves with nothing in particular."""
    green = np.zeros_like(behind)
    green[...] = (30, 220, 40)
    picture = (truth[..., None] * green + (1 - truth[..., None]) * behind) * light
    picture += np.random.default_rng(noise).normal(0, 2, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8), truth


def empty() -> Truth:
    return np.zeros((HEIGHT, WIDTH), np.float32)


def entering() -> Iterator[Shot]:
    behind = room()
    for t in range(36):
        truth = person(-60 + 8.0 * (t - 6)) if t >= 6 else empty()
        yield shot(truth, behind, noise=t)


def leaving() -> Iterator[Shot]:
    yield from reversed([(np.ascontiguousarray(rgb), truth) for rgb, truth in entering()])


def turning() -> Iterator[Shot]:
    behind = room()
    for t in range(30):
        yield shot(person(128, turn=float(np.sin(t / 4) ** 2)), behind, noise=t)


def waving() -> Iterator[Shot]:
    behind = room()
    for t in range(30):
        yield shot(person(110, arm=0.8 + 0.7 * np.sin(t * 0.9)), behind, noise=t)


def a_second_person() -> Iterator[Shot]:
    behind = room()
    for t in range(36):
        truth = person(90)
        if t >= 10:
            truth = np.maximum(truth, person(300 - 6.0 * (t - 10), size=0.8))
        yield shot(truth, behind, noise=t)


def a_light_switched() -> Iterator[Shot]:
    behind = room()
    for t in range(24):
        yield shot(person(128 + t / 2), behind, light=1.0 if t < 12 else 0.7, noise=t)


def a_cut() -> Iterator[Shot]:
    rooms = room(1), room(2)
    for t in range(24):
        yield shot(person(80 if t < 12 else 190), rooms[t >= 12], noise=t)


def a_camera_that_pans() -> Iterator[Shot]:
    wide = room(3, width=WIDTH * 2)
    for t in range(30):
        left = 3 * t
        # Somebody stands still in the room: first outside, then inside the picture.
        truth = np.maximum(person(128), person(330 - left, size=0.7))
        yield shot(truth, np.ascontiguousarray(wide[:, left : left + WIDTH]), noise=t)


def calm() -> Iterator[Shot]:
    behind = room()
    for t in range(48):
        yield shot(person(128 + 1.5 * np.sin(t / 9)), behind, noise=t)


STORIES = [entering, leaving, turning, waving, a_second_person, a_light_switched, a_cut, a_camera_that_pans]


def is_stale(alpha: Truth, truth: Truth) -> bool:
    """A patch as large as a hand is wrong: nothing that the soft edge could explain."""
    wrong = (np.abs(alpha - truth) > 0.5).astype(np.uint8)
    return bool(cv2.erode(wrong, np.ones((5, 5), np.uint8)).any())


def run(bundle: Path, story: Iterator[Shot], delay: int = 0) -> list[tuple[Matte, Truth]]:
    shots = list(story)
    frames = (Frame(rgb, number, Fraction(1, 30), number) for number, (rgb, _) in enumerate(shots))
    with Matter(bundle, threads=1, foreground=False, reuse=True) as matter:
        return [(matte, shots[frame.index][1]) for frame, matte in matter.stream(frames, delay=delay)]


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_no_matte_is_stale_for_more_than_three_frames(green_bundle: Path, story, delay: int) -> None:
    stale = 0
    for number, (matte, truth) in enumerate(run(green_bundle, story(), delay)):
        stale = stale + 1 if is_stale(matte.alpha, truth) else 0
        assert stale <= 3, f"frame {number}: {matte.why}"


@pytest.mark.parametrize("delay", [0, 1])
def test_the_trimap_network_rests_while_nothing_happens(green_bundle: Path, delay: int) -> None:
    mattes = [matte for matte, _ in run(green_bundle, calm(), delay)]
    refreshes = [matte.why for matte in mattes if matte.why.startswith("refresh")]
    assert refreshes[0] == "refresh: first frame"
    assert len(refreshes) <= len(mattes) / 5
    assert all(matte.why.startswith(("refresh: ", "reuse: age ", "reuse: between")) for matte in mattes)


@pytest.mark.parametrize(
    ("story", "why", "first", "last"),
    [(a_cut, "scene cut", 12, 12), (a_light_switched, "light changed", 12, 12), (entering, "something new", 6, 12)],
)
def test_the_reason_is_told(green_bundle: Path, story, why: str, first: int, last: int) -> None:
    reasons = [matte.why for matte, _ in run(green_bundle, story())]
    assert f"refresh: {why}" in reasons[first : last + 1]
    assert reasons[0] == "refresh: first frame"


def test_age_is_a_reason(green_bundle: Path) -> None:
    frames = [shot(person(128), room())] * 30
    reasons = [matte.why for matte, _ in run(green_bundle, iter(frames))]
    assert reasons.count("refresh: age") == 2
    assert reasons[:3] == ["refresh: first frame", "reuse: age 1", "reuse: age 2"]


def test_a_reset_forgets_the_stream(green_bundle: Path) -> None:
    rgb, _ = shot(person(128), room())
    other, _ = shot(person(60), room(5))
    with Matter(green_bundle, threads=1, reuse=True) as matter:
        fresh = matter(rgb)
        matter(other)
        matter.reset()
        again = matter(rgb)
    assert again.why == "refresh: first frame"
    np.testing.assert_array_equal(again.alpha, fresh.alpha)


def test_a_frame_of_another_size_begins_a_new_stream(green_bundle: Path) -> None:
    rgb, _ = shot(person(128), room())
    with Matter(green_bundle, threads=1, reuse=True) as matter:
        matter(rgb)
        assert matter(np.ascontiguousarray(rgb[:, :200])).why == "refresh: first frame"


def test_without_reuse_every_frame_is_like_a_first_one(green_bundle: Path) -> None:
    shots = [rgb for rgb, _ in waving()][:5]
    with (
        Matter(green_bundle, threads=1, reuse=False, window=False) as off,
        Matter(green_bundle, threads=1, reuse=True, window=False) as on,
    ):
        for rgb in shots:
            on.reset()
            alone = off(rgb)
            assert alone.why == "refresh: every frame"
            # Carried mattes are bytes.
            np.testing.assert_allclose(alone.alpha, on(rgb).alpha, atol=1 / 255)


def test_the_cost_falls_with_what_there_is_to_do(green_bundle: Path) -> None:
    still = [matte.matted for matte, _ in run(green_bundle, calm())]
    lively = [matte.matted for matte, _ in run(green_bundle, waving())]
    nobody = [matte.matted for matte, _ in run(green_bundle, (shot(empty(), room(), noise=t) for t in range(12)))]
    assert np.mean(still[1:]) < np.mean(lively[1:])
    assert sum(nobody[1:]) == 0
