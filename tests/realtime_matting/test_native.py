"""The compiled kernels against the same in NumPy and OpenCV."""

from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime_matting import native
from realtime_matting.errors import MattingError

sides = st.integers(1, 70)
shapes = st.tuples(sides, sides)
LEVELS = range(2, native._library().processor_level() + 1)


@pytest.fixture(params=LEVELS, autouse=True)
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every level that this processor can run."""

    class Limited:
        def __getattr__(self, name: str) -> object:
            return (lambda: request.param) if name == "processor_level" else getattr(library, name)

    library = native._library()
    native._kernel.cache_clear()
    monkeypatch.setattr(native, "_library", Limited)
    yield
    native._kernel.cache_clear()


def drawn(shape: tuple[int, int], seed: int) -> tuple[np.random.Generator, NDArray[np.float32]]:
    """Random numbers, and an alpha with opaque, empty and soft parts."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-0.7, 1.7, (max(1, shape[0] // 9), max(1, shape[1] // 9))).astype(np.float32)
    return rng, np.clip(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), 0, 1).reshape(shape)


def drawn_fusion(
    shape: tuple[int, int], small: tuple[float, float], kept: float, seed: int
) -> tuple[np.random.Generator, NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Random numbers, a picture, an alpha of which a share stays soft, and colours near each of a small one."""
    rng, alpha = drawn(shape, seed)
    alpha = np.where(rng.random(shape) < kept, alpha, np.round(alpha)).astype(np.float32)
    size = [max(1, round(side * share)) for side, share in zip(shape, small, strict=True)]
    picture = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    return rng, picture, alpha, rng.uniform(0, 255, (2, 3, *size)).astype(np.float32)


def enlarged(plane: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32).reshape(
        *shape, *plane.shape[2:]
    )


seeded = settings(max_examples=60)


@seeded
@given(
    shape=shapes,
    small=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
    margin=st.sampled_from((0.0, 0.03, 0.2)),
    seed=st.integers(0, 999),
)
def test_soft_pixels_become_the_linear_function_of_their_colour(
    shape: tuple[int, int], small: tuple[float, float], margin: float, seed: int
) -> None:
    size = [max(1, round(side * share)) for side, share in zip(shape, small, strict=True)]
    halved = [(side + 1) // 2 for side in size]
    rng, alpha = drawn((size[0], size[1]), seed)
    unknown = native.unknown_halves(alpha)
    picture = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    coefficients = rng.normal(0, 0.004, (3, *halved)).astype(np.float32)
    weights = rng.random((2, 4), np.float32)
    levels = picture.astype(np.float32) @ weights[:, :3].T + weights[:, 3]
    a, c, rest = (enlarged(plane, shape) for plane in coefficients)
    ceiling = rng.random(size, np.float32)
    filtered = np.clip(a * levels[..., 0] + c * levels[..., 1] + rest, 0, enlarged(ceiling, shape))
    filtered = np.clip((filtered - margin) / (1 - 2 * margin), 0, 1)
    own = enlarged(alpha, shape)
    coefficients[:, unknown == 0] = np.nan  # nobody looks there
    found = native.filter_soft(alpha, picture, coefficients, unknown, ceiling, weights, margin)
    # So near 0 and 1 it is a matter of rounding what is soft.
    soft = (own > 1e-5) & (own < 1 - 1e-5)
    np.testing.assert_allclose(found[soft], filtered[soft], atol=2e-4)
    for known in (0, 1):
        around = enlarged((alpha == known).astype(np.float32), shape) > 1 - 1e-6
        assert (found[around] == known).all(), "what is 0 or 1 all around stays so"


@seeded
@given(shape=shapes, seed=st.integers(0, 999))
def test_halves_are_unknown_within_a_pixel_of_one_that_is_soft_or_where_0_meets_1(
    shape: tuple[int, int], seed: int
) -> None:
    _, alpha = drawn(shape, seed)
    if seed % 2:
        alpha = np.round(alpha)
    near = cv2.dilate(alpha, np.ones((3, 3))), cv2.erode(alpha, np.ones((3, 3)))
    unknown = ((near[0] > 0) & (near[1] < 1)).reshape(shape)
    even = np.pad(unknown, [(0, side % 2) for side in shape])
    halves = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).any((1, 3)).astype(np.uint8)
    expected = 255 * cv2.dilate(halves, np.ones((3, 3), np.uint8)).reshape(halves.shape)
    np.testing.assert_array_equal(native.unknown_halves(alpha), expected)


def box(plane: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    side = 2 * radius + 1
    return cv2.blur(plane, (side, side), borderType=cv2.BORDER_REPLICATE).reshape(plane.shape)


@seeded
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 150)),
    radius=st.integers(0, 4),
    smoothness=st.floats(1, 500),
    asked=st.sampled_from([1, 0.1, 0.002]),
    seed=st.integers(0, 999),
)
def test_coefficients_solve_every_window_that_is_asked_for(
    shape: tuple[int, int], radius: int, smoothness: float, asked: float, seed: int
) -> None:
    rng, alpha = drawn(shape, seed)
    unknown = (rng.random(shape) < asked).astype(np.uint8)
    guide = rng.integers(0, 256, (3, *shape), dtype=np.uint8)
    weights = np.array([[0.3, 0.6, 0.1, 0], [0.5, 0, -0.5, 128]], np.float32)
    y, c = np.tensordot(weights[:, :3], guide.astype(np.float64), 1) + weights[:, 3, None, None]
    a = alpha.astype(np.float64)
    mean = {name: box(plane, radius) for name, plane in {"y": y, "c": c, "a": a}.items()}
    yy, cc = box(y * y, radius) - mean["y"] ** 2 + smoothness, box(c * c, radius) - mean["c"] ** 2 + smoothness / 4
    yc, ya, ca = (box(p * q, radius) - box(p, radius) * box(q, radius) for p, q in ((y, c), (y, a), (c, a)))
    slopes = np.linalg.solve(
        np.moveaxis(np.array([[yy, yc], [yc, cc]]), (0, 1), (2, 3)), np.stack([ya, ca], axis=2)[..., None]
    )[..., 0]
    slope_y, slope_c = slopes[..., 0], slopes[..., 1]
    offset = mean["a"] - slope_y * mean["y"] - slope_c * mean["c"]
    expected = np.stack([box(np.ascontiguousarray(plane), radius) for plane in (slope_y, slope_c, offset)])
    found = native.coefficients(guide, alpha, unknown, weights, radius=radius, smoothness=smoothness)
    here = unknown > 0
    # Where 0.01 of a level's variance is lost to rounding, a slope may be off by a hundredth of itself.
    np.testing.assert_allclose(found[:2, here], expected[:2, here], atol=2e-4, rtol=2e-2)
    level = np.stack([y, c, np.ones_like(y)])
    np.testing.assert_allclose((found * level).sum(0)[here], (expected * level).sum(0)[here], atol=0.03)
    assert not found[:, ~here.any(axis=1)].any(), "rows in which nothing is asked for stay as they are"


@seeded
@given(shape=shapes, kept=st.sampled_from([1, 0.1, 0.002, 0]), seed=st.integers(0, 999))
def test_the_soft_area_is_the_least_that_holds_all_soft_pixels(shape: tuple[int, int], kept: float, seed: int) -> None:
    rng, alpha = drawn(shape, seed)
    alpha = np.where(rng.random(shape) < kept, alpha, np.round(alpha)).astype(np.float32)
    x, y, width, height = cv2.boundingRect(((alpha > 0) & (alpha < 1)).astype(np.uint8))
    assert native.soft_area(alpha) == (y, y + height, x, x + width)


@seeded
@given(height=st.integers(1, 30), width=st.integers(1, 35), seed=st.integers(0, 999))
def test_colours_near_a_pixel_are_weighted_means_in_two_passes(height: int, width: int, seed: int) -> None:
    shape, faint = (2 * height, 2 * width), 1e-4
    rng, alpha = drawn(shape, seed)
    picture = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    image, share = picture.astype(np.float64), alpha.astype(np.float64)[..., None]

    def halved(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        return plane.reshape(height, 2, width, 2, -1).mean((1, 3))

    Plane = NDArray[np.float64]

    def means(colours: Plane, weight: Plane, all_: Plane, radius: int) -> Plane:
        sums = np.stack([box(np.ascontiguousarray(colours[..., i]), radius) for i in range(3)], axis=2)
        mean = np.stack([box(np.ascontiguousarray(all_[..., i]), radius) for i in range(3)], axis=2)
        return (sums + faint * mean) / (box(np.ascontiguousarray(weight[..., 0]), radius) + faint)[..., None]

    coarse = [means(halved(w**4 * image), halved(w**4), halved(image), 7) for w in (share, 1 - share)]
    front, back = (
        cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(image.shape) for plane in coarse
    )
    rest = image - share * front - (1 - share) * back
    expected = [
        means(w**2 * np.clip(near + w * rest, 0, 255), w**2, image, 1)
        for near, w in ((front, share), (back, 1 - share))
    ]
    found = native.near_colours(picture, alpha, wide=7, narrow=1, faint=faint)
    np.testing.assert_allclose(found, np.moveaxis(np.stack(expected), 3, 1), atol=0.2)


@seeded
@given(
    shape=shapes,
    small=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
    kept=st.sampled_from([1, 0.01, 0.001, 0]),
    seed=st.integers(0, 999),
)
def test_colours_are_fused_in_soft_pixels_and_two_pixels_around(
    shape: tuple[int, int], small: tuple[float, float], kept: float, seed: int
) -> None:
    _, picture, alpha, near = drawn_fusion(shape, small, kept, seed)
    front, back = (np.stack([enlarged(plane, shape) for plane in planes], axis=2) for planes in near)
    share = alpha[..., None]
    estimate = share * picture + (1 - share) * (front + share * (front - back))
    soft = ((alpha > 0) & (alpha < 1)).astype(np.uint8)
    wanted = cv2.dilate(soft, np.ones((5, 5), np.uint8)).reshape(shape) > 0
    fused = native.fuse_colours(picture, alpha, near, native.soft_area(alpha))
    np.testing.assert_array_equal(fused[~wanted], picture[~wanted])
    assert (np.abs(fused - np.clip(estimate, 0, 255))[wanted] <= 0.51).all()


@seeded
@given(
    shape=shapes,
    small=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
    kept=st.sampled_from([1, 0.01, 0]),
    left=st.integers(0, 40),
    in_place=st.booleans(),
    seed=st.integers(0, 999),
)
def test_colours_that_are_fused_on_the_way_give_the_composite_of_the_fused_picture(
    shape: tuple[int, int], small: tuple[float, float], kept: float, left: int, in_place: bool, seed: int
) -> None:
    rng, picture, alpha, near = drawn_fusion(shape, small, kept, seed)
    frame = rng.integers(0, 256, (shape[0] + 3, shape[1] + left + 5, 3), dtype=np.uint8)
    part = np.s_[2 : 2 + shape[0], left : left + shape[1]]
    expected = frame.copy()
    fused = native.fuse_colours(picture, alpha, near, native.soft_area(alpha))
    whole = np.empty_like(picture)
    native.over(fused, alpha, frame[part], whole)
    expected[part] = whole
    out = frame if in_place else frame.copy()
    native.fused_over(picture, alpha, near, frame[part], out[part])
    np.testing.assert_array_equal(out, expected)


@seeded
@given(shape=shapes, seed=st.integers(0, 999), in_place=st.booleans())
def test_over_rounds_to_the_nearest_and_keeps_what_is_known(shape: tuple[int, int], seed: int, in_place: bool) -> None:
    rng, alpha = drawn(shape, seed)
    front, back = rng.integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    expected = alpha[..., None] * front + (1 - alpha[..., None]) * back
    out = back.copy() if in_place else np.empty_like(front)
    native.over(front, alpha, out if in_place else back, out)
    assert (np.abs(out - expected) <= 0.501).all()
    np.testing.assert_array_equal(out[alpha == 1], front[alpha == 1])
    np.testing.assert_array_equal(out[alpha == 0], back[alpha == 0])


@seeded
@given(
    shape=shapes,
    more=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    start=st.integers(0, 9),
    mirrored=st.booleans(),
)
def test_inputs_are_scaled_and_go_on_beyond_their_edges(
    shape: tuple[int, int], more: tuple[int, int], start: int, mirrored: bool
) -> None:
    rng = np.random.default_rng(start)
    picture = rng.integers(0, 256, (shape[0], shape[1] + 9, 3), dtype=np.uint8)[:, start : start + shape[1]]
    plane = rng.random((shape[0], shape[1] + 9), np.float32)[:, start : start + shape[1]]
    scale, offset = rng.random((2, 3), np.float32)
    out, copy = (
        np.empty((3, shape[0] + more[0], shape[1] + more[1]), np.float32),
        np.empty(np.add(shape, more), np.float32),
    )
    native.normalised(picture, scale, offset, out, mirrored=mirrored)
    native.padded(plane, copy, mirrored=mirrored)
    around = [(0, more[0]), (0, more[1])]
    mode: Literal["reflect", "edge"] = "reflect" if mirrored else "edge"
    expected = np.pad((picture * scale + offset).transpose(2, 0, 1), [(0, 0), *around], mode=mode)
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-4)
    np.testing.assert_array_equal(copy, np.pad(plane, around, mode=mode))


def test_shares_of_two_planes_leave_the_rest_to_the_background() -> None:
    unknown, foreground = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    found = native.shares(unknown, foreground)
    rest = np.maximum(255 - unknown.astype(int) - foreground, 0)
    np.testing.assert_allclose(found, np.stack([rest, unknown, foreground]) / 255, atol=1e-6)


def test_parts_of_larger_pictures_are_taken_as_they_are_seen() -> None:
    rng, alpha = drawn((20, 40), 3)
    large = rng.integers(0, 256, (30, 60, 3), dtype=np.uint8)
    back, front, out = large[5:25, 10:50], large[::-1][:20, :40], np.empty((20, 40, 3), np.uint8)
    native.over(front, alpha, back, out)
    expected = np.empty_like(out)
    native.over(front.copy(), alpha, back.copy(), expected)
    np.testing.assert_array_equal(out, expected)


def test_a_copy_of_the_source_alone_says_that_it_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(native, "library_name", lambda: "_absent.so")
    with pytest.raises(MattingError, match="pip install"):
        native._library.__wrapped__()
