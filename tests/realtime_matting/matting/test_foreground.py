import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime_matting.compositing import blend
from realtime_matting.matting.foreground import blur_fusion, fusion_of

Alpha = NDArray[np.float32]
Rgb = NDArray[np.uint8]


def textured(shape: tuple[int, int], colour: tuple[int, ...], seed: int) -> Rgb:
    """A colour that wanders slowly, with a little grain."""
    generator = np.random.default_rng(seed)
    slow = cv2.resize(generator.uniform(-25, 25, (4, 5, 3)), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(np.float32(colour) + slow + generator.normal(0, 2, (*shape, 3)), 0, 255).astype(np.uint8)


def soft_disc(shape: tuple[int, int]) -> Alpha:
    y, x = np.indices(shape, np.float32)
    distance = np.hypot(y - shape[0] / 2, x - shape[1] / 2)
    return np.clip((shape[0] / 3 - distance) / (shape[0] / 36) + np.float32(0.5), 0, 1).astype(np.float32)


def strands(shape: tuple[int, int]) -> Alpha:
    """A disc with thin strands that stand out of it by a seventh of the height, as flyaway hair does."""
    sharp = np.zeros((shape[0] * 4, shape[1] * 4), np.uint8)
    centre, radius = (shape[1] * 2, shape[0] * 2), shape[0]
    cv2.circle(sharp, centre, radius, 255, -1)
    for angle in np.linspace(0, 2 * np.pi, 90, endpoint=False):
        tip = np.array(centre) + radius * 1.55 * np.array([np.cos(angle), np.sin(angle)])
        cv2.line(sharp, centre, tuple(int(c) for c in tip), 255, 3)
    return cv2.resize(sharp, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def composite(foreground: Rgb, alpha: Alpha, background: Rgb) -> Rgb:
    weight = alpha[..., None]
    return np.rint(weight * foreground + (1 - weight) * background).astype(np.uint8)


@pytest.mark.parametrize("matte", [soft_disc, strands])
@pytest.mark.parametrize("shape", [(360, 480), (270, 203)])
def test_the_old_background_leaves_the_soft_pixels(matte, shape: tuple[int, int]) -> None:
    alpha = matte(shape)
    person, wall = textured(shape, (90, 60, 45), 1), textured(shape, (40, 200, 60), 2)
    picture = composite(person, alpha, wall)
    soft = (alpha > 0.05) & (alpha < 1)
    seen = np.abs(picture.astype(np.float32) - person)[soft].mean()
    left = np.abs(blur_fusion(picture, alpha).astype(np.float32) - person)[soft].mean()
    assert left < 0.25 * seen


def test_plain_colours_are_separated_to_a_few_levels() -> None:
    shape = (360, 480)
    alpha = soft_disc(shape)
    person, wall = np.full((*shape, 3), (200, 150, 120), np.uint8), np.full((*shape, 3), (10, 60, 220), np.uint8)
    estimate = blur_fusion(composite(person, alpha, wall), alpha).astype(int)
    assert np.abs(estimate - person)[(alpha > 0.1) & (alpha < 1)].max() <= 8


@settings(max_examples=20)
@given(st.integers(1, 70), st.integers(1, 90), st.integers(0, 999))
def test_the_picture_is_kept_exactly_where_alpha_is_one_or_the_soft_pixels_are_far(
    height: int, width: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    picture = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    noise = generator.standard_normal((height // 8 + 1, width // 8 + 1)).astype(np.float32)
    alpha = np.clip(cv2.resize(noise, (width, height)) * 3, 0, 1).astype(np.float32)
    estimate = blur_fusion(picture, alpha)
    soft = ((alpha > 0) & (alpha < 1)).astype(np.uint8)
    far = cv2.dilate(soft, np.ones((5, 5), np.uint8)) == 0
    for kept in (alpha == 1, far):
        np.testing.assert_array_equal(estimate[kept], picture[kept])
    assert estimate.dtype == np.uint8
    assert estimate.shape == picture.shape


def test_colours_continue_a_little_beyond_the_soft_pixels() -> None:
    shape = (360, 480)
    alpha = soft_disc(shape)
    person, wall = np.full((*shape, 3), 200, np.uint8), np.full((*shape, 3), 20, np.uint8)
    estimate = blur_fusion(composite(person, alpha, wall), alpha)
    outermost = int(np.flatnonzero(alpha[180] > 0)[0])
    assert (estimate[180, outermost - 2 : outermost] > 150).all()
    assert (estimate[180, : outermost - 3] == 20).all()


def test_a_faint_speck_far_from_the_person_does_not_turn_black() -> None:
    alpha, picture = np.zeros((180, 240), np.float32), np.full((180, 240, 3), 180, np.uint8)
    alpha[90, 120] = 0.01
    assert blur_fusion(picture, alpha).min() >= 170


def test_the_boxes_scale_with_the_picture() -> None:
    shape = (360, 480)
    alpha = soft_disc(shape)
    picture = composite(textured(shape, (90, 60, 45), 1), alpha, textured(shape, (40, 200, 60), 2))
    twice = blur_fusion(
        cv2.resize(picture, (960, 720), interpolation=cv2.INTER_LINEAR),
        np.asarray(cv2.resize(alpha, (960, 720), interpolation=cv2.INTER_LINEAR), np.float32),
    )
    reduced = cv2.resize(twice, (480, 360), interpolation=cv2.INTER_AREA).astype(np.float32)
    soft = (alpha > 0.1) & (alpha < 0.9)
    assert np.abs(reduced - blur_fusion(picture, alpha))[soft].mean() < 3


@pytest.mark.parametrize("value", [0, 1])
def test_without_soft_pixels_the_result_is_a_copy(value: int) -> None:
    picture = textured((40, 50), (90, 60, 45), 1)
    estimate = blur_fusion(picture, np.full((40, 50), value, np.float32))
    np.testing.assert_array_equal(estimate, picture)
    assert not np.shares_memory(estimate, picture)


def test_an_alpha_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="must be of the picture's size"):
        blur_fusion(np.zeros((4, 5, 3), np.uint8), np.zeros((4, 6), np.float32))


@pytest.mark.parametrize("shape", [(720, 1280), (360, 640), (722, 402)])
def test_a_picture_halved_by_the_caller_changes_nothing(shape: tuple[int, int]) -> None:
    image, alpha = textured(shape, (90, 160, 60), 3), soft_disc(shape)
    halved = cv2.resize(image, (shape[1] // 2, shape[0] // 2), interpolation=cv2.INTER_AREA)
    expected = blur_fusion(image, alpha)
    assert (expected != image).any()
    assert np.array_equal(blur_fusion(image, alpha, halved=np.asarray(halved, np.uint8)), expected)


@pytest.mark.parametrize(
    "alpha", [soft_disc((90, 120)), np.zeros((90, 120), np.float32), np.ones((90, 120), np.float32)]
)
def test_over_a_background_it_is_the_composite_of_the_colours(alpha: Alpha) -> None:
    image, behind = textured(alpha.shape, (90, 160, 60), 3), textured(alpha.shape, (200, 40, 90), 4)
    out = np.empty_like(behind)
    fusion_of(image, alpha).over(behind, out)
    np.testing.assert_array_equal(out, blend.composite(blur_fusion(image, alpha), alpha, behind))
