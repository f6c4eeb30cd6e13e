"""Drafts, frame by frame, with people who are green (see ``green_bundle``)."""

from contextlib import nullcontext

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.matting.networks import Networks
from realtime_matting.matting.stream import Draft, Stream
from realtime_matting.matting.window import SQUARE, Window
from realtime_matting.tiles import Rectangle

HEIGHT, WIDTH = 144, 256
Rgb = NDArray[np.uint8]


def shot(x: int, seed: int = 0) -> tuple[Rgb, NDArray[np.float32]]:
    """A green disc at column ``x`` before a room, and its exact alpha."""
    generator = np.random.default_rng(seed)
    noise = cv2.resize(generator.normal(0, 1, (18, 32, 1)).astype(np.float32), (WIDTH, HEIGHT))
    room = np.clip(130 + 25 * noise[..., None] + np.float32([12, 0, 0]), 0, 255)
    mask = np.zeros((4 * HEIGHT, 4 * WIDTH), np.uint8)
    cv2.circle(mask, (4 * x, 320), 200, 255, -1)
    alpha = cv2.resize(mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)[..., None] / np.float32(255)
    return np.rint(room + alpha * (np.float32([30, 220, 40]) - room)).astype(np.uint8), alpha[..., 0]


def drafts(networks: Networks, frames: list[Rgb], *, ahead: bool) -> list[Draft]:
    stream = Stream(networks, frames[0].shape)
    done: list[Draft] = []
    for rgb in frames:
        draft = stream.draft(rgb, lambda _name, _draft: nullcontext(), ahead=ahead)
        if ahead and done:
            stream.look_back(done[-1], draft)
        done.append(draft)
    return done


def test_every_second_frame_is_left_to_its_neighbours_where_the_next_may_be_waited_for(
    green_networks: Networks,
) -> None:
    shots = [shot(80 + 2 * t) for t in range(9)]
    done = drafts(green_networks, [rgb for rgb, _ in shots], ahead=True)
    assert [draft.is_between for draft in done] == [t % 2 == 1 for t in range(9)]
    for draft, (_, truth) in zip(done, shots, strict=True):
        assert (draft.matted == 0) or not draft.is_between
        assert draft.alpha.dtype == np.float32
        assert np.abs(draft.alpha - truth).mean() < 0.01


def test_a_frame_between_follows_both_of_its_neighbours(green_networks: Networks) -> None:
    shots = [shot(80 + 2 * t) for t in range(3)]
    stream = Stream(green_networks, shots[0][0].shape)
    first, between, last = (stream.draft(rgb, lambda _name, _draft: nullcontext(), ahead=True) for rgb, _ in shots)
    alone = np.abs(between.alpha - shots[1][1]).mean()
    last.alpha[:] = 1  # as if everybody had come
    stream.look_back(between, last)
    assert np.abs(between.alpha - shots[1][1]).mean() > alone + 0.2
    kept = first.alpha.copy()
    stream.look_back(first, between)
    np.testing.assert_array_equal(first.alpha, kept)


def test_a_cut_is_no_frame_between(green_networks: Networks) -> None:
    frames = [shot(80)[0], shot(170, seed=5)[0], shot(170, seed=5)[0], shot(172, seed=5)[0]]
    done = drafts(green_networks, frames, ahead=True)
    assert done[1].why == "refresh: scene cut"
    assert [draft.is_between for draft in done] == [False, False, True, False]


def test_the_last_frame_needs_no_next_one(green_networks: Networks) -> None:
    shots = [shot(80 + 2 * t) for t in range(4)]
    last = drafts(green_networks, [rgb for rgb, _ in shots], ahead=True)[-1]
    assert last.is_between
    assert np.abs(last.alpha - shots[-1][1]).mean() < 0.01


def test_live_every_frame_has_the_networks_say_or_the_last_ones(green_networks: Networks) -> None:
    done = drafts(green_networks, [shot(80 + t)[0] for t in range(8)], ahead=False)
    assert not any(draft.is_between for draft in done)
    assert all(draft.why.startswith(("refresh: ", "reuse: age ")) for draft in done)


def test_the_trimap_is_a_trimap(green_networks: Networks) -> None:
    for draft in drafts(green_networks, [shot(80 + 2 * t)[0] for t in range(3)], ahead=True):
        trimap = draft.classes()
        assert set(np.unique(trimap)) == {0, 128, 255}
        assert draft.band == pytest.approx(np.mean(trimap == 128), abs=0.2)


def test_what_is_carried_goes_along_to_another_window(green_networks: Networks) -> None:
    """A disc of 50 pixels is matted in the whole frame, then in the right two thirds of it."""
    whole = Window.whole((HEIGHT, WIDTH))
    right = Window((HEIGHT, WIDTH), Rectangle(0, 144, 100, 244), SQUARE)
    networks = green_networks.sized(SQUARE.sized(green_networks.roles))
    first, second = shot(170), shot(171)
    stream = Stream(green_networks, first[0].shape)
    stream.draft(first[0], lambda _name, _draft: nullcontext(), ahead=False)
    moved = stream.moved(networks, (144, 144, 3), whole, right, right.cut(first[0]))
    draft = moved.draft(right.cut(second[0]), lambda _name, _draft: nullcontext(), ahead=True)
    assert draft.is_between
    assert draft.carried is not None
    truth = cv2.resize(np.ascontiguousarray(second[1][right.area.slices()]), draft.alpha.shape[::-1])
    assert np.abs(draft.alpha - truth).mean() < 0.01
    assert np.abs(truth - shifted(truth)).mean() > 0.03


def shifted(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """By a twentieth of the width: what a wrong place would cost."""
    return np.roll(alpha, alpha.shape[1] // 20, axis=1)
