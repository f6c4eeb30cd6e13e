import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime_matting.matting.refine import at_picture_size, fast_guided_filter
from realtime_matting.resampling import shrunk

Alpha = NDArray[np.float32]
Rgb = NDArray[np.uint8]

SIZES = [
    ((144, 192), (72, 96)),
    ((300, 100), (90, 40)),
    ((150, 250), (60, 100)),
    ((101, 67), (37, 41)),
    ((48, 64), (48, 64)),
]


def blobs(shape: tuple[int, int], seed: int) -> Alpha:
    """Soft and hard blobs on 0, with plateaus of exactly 0, exactly 1 and in between."""
    noise = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    return np.clip(smooth / smooth.std() * np.float32(1.5), 0, 1).astype(np.float32)


def picture(shape: tuple[int, int], seed: int) -> Rgb:
    noise = np.random.default_rng(seed).standard_normal((*shape, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def disc(shape: tuple[int, int], inside: tuple[int, ...], outside: tuple[int, ...]) -> tuple[Rgb, Alpha]:
    """A disc with a one pixel soft rim over a plain colour, and its alpha."""
    y, x = np.indices(shape, np.float32)
    alpha = np.clip(shape[0] / 3 - np.hypot(y - shape[0] / 2, x - shape[1] / 2) + np.float32(0.5), 0, 1)
    composite = alpha[..., None] * np.float32(inside) + (1 - alpha[..., None]) * np.float32(outside)
    return np.rint(composite).astype(np.uint8), alpha.astype(np.float32)


def guided_by_definition(guide: Rgb, alpha: Alpha, radius: int, eps: float) -> Alpha:
    """The filter written down plainly: whole image, double precision, no parts."""
    half = (alpha.shape[1] + 1) // 2, (alpha.shape[0] + 1) // 2
    small, alpha_half = (
        cv2.resize(part, half, interpolation=cv2.INTER_LINEAR) for part in (shrunk(guide, *alpha.shape), alpha)
    )

    def planes(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
        red, green, blue = np.moveaxis(rgb.astype(np.float64) / 255, 2, 0)
        return np.stack([0.299 * red + 0.587 * green + 0.114 * blue, red - blue])

    def mean(array: NDArray[np.float64]) -> NDArray[np.float64]:
        windows = (2 * radius + 1, 2 * radius + 1)
        padding = [(0, 0)] * (array.ndim - 2) + [(radius, radius)] * 2
        padded = np.pad(array, padding, mode="edge")
        return np.lib.stride_tricks.sliding_window_view(padded, windows, axis=(-2, -1)).mean((-2, -1))

    colour, matte = planes(small), alpha_half.astype(np.float64)
    covariance = mean(colour[:, None] * colour[None]) - mean(colour)[:, None] * mean(colour)[None]
    covariance += eps * np.eye(2)[..., None, None]
    with_alpha = mean(colour * matte) - mean(colour) * mean(matte)
    slope = np.linalg.solve(np.moveaxis(covariance, (0, 1), (2, 3)), np.moveaxis(with_alpha, 0, 2)[..., None])[..., 0]
    slope = np.moveaxis(slope, 2, 0)
    offset = mean(mean(matte) - (slope * mean(colour)).sum(0))

    def up(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        return cv2.resize(plane, guide.shape[1::-1], interpolation=cv2.INTER_LINEAR)

    filtered = sum(up(s) * c for s, c in zip(mean(slope), planes(guide), strict=True)) + up(offset)
    linear = up(alpha.astype(np.float64))
    ceiling = up(cv2.dilate(alpha.astype(np.float64), np.ones((3, 3), np.uint8)))
    return np.where((linear > 0) & (linear < 1), np.clip(filtered, 0, ceiling), linear).astype(np.float32)


@pytest.mark.parametrize(("full", "small"), SIZES)
@pytest.mark.parametrize("radius", [1, 2, 3])
def test_filtering_in_parts_gives_the_whole_image_by_definition(
    full: tuple[int, int], small: tuple[int, int], radius: int
) -> None:
    guide, alpha = picture(full, 1), blobs(small, 2)
    expected = guided_by_definition(guide, alpha, radius, 1e-3)
    difference = np.abs(fast_guided_filter(guide, alpha, radius=radius, eps=1e-3) - expected)
    assert difference.max() < 0.02
    assert difference.mean() < 1e-3


@settings(max_examples=25)
@given(st.sampled_from(SIZES), st.integers(0, 999), st.integers(1, 3))
def test_known_regions_stay_exactly_zero_and_one(
    sizes: tuple[tuple[int, int], tuple[int, int]], seed: int, radius: int
) -> None:
    full, small = sizes
    alpha = blobs(small, seed)
    refined = fast_guided_filter(picture(full, seed), alpha, radius=radius)
    # The four small pixels around each full pixel, found independently of the filter.
    corners = []
    for shift_y in (0, 1):
        for shift_x in (0, 1):
            y = np.floor((np.arange(full[0]) + 0.5) * small[0] / full[0] - 0.5).astype(int) + shift_y
            x = np.floor((np.arange(full[1]) + 0.5) * small[1] / full[1] - 0.5).astype(int) + shift_x
            corners.append(alpha[np.ix_(y.clip(0, small[0] - 1), x.clip(0, small[1] - 1))])
    background, foreground = np.max(corners, axis=0) == 0, np.min(corners, axis=0) == 1
    assert background.any()
    assert foreground.any()
    assert (refined[background] == 0).all()
    assert (refined[foreground] == 1).all()
    assert refined.dtype == np.float32
    assert refined.min() >= 0
    assert refined.max() <= 1


@pytest.mark.parametrize(
    ("inside", "outside"),
    [((40, 30, 25), (200, 210, 220)), ((180, 60, 60), (40, 110, 120))],
    ids=["dark on light", "equal luminance"],
)
def test_an_edge_lost_at_low_resolution_comes_back(inside: tuple[int, ...], outside: tuple[int, ...]) -> None:
    composite, truth = disc((180, 240), inside, outside)
    small = cv2.resize(truth, (60, 45), interpolation=cv2.INTER_AREA)
    linear = cv2.resize(small, (240, 180), interpolation=cv2.INTER_LINEAR)
    refined = fast_guided_filter(composite, small)
    assert np.abs(refined - truth).mean() < 0.25 * np.abs(linear - truth).mean()


def test_a_reduced_guide_given_by_the_caller_is_used_as_it_is() -> None:
    guide, alpha = picture((90, 120), 3), blobs((45, 60), 4)
    reduced = shrunk(guide, 45, 60)
    refined = fast_guided_filter(guide, alpha)
    np.testing.assert_array_equal(fast_guided_filter(guide, alpha, guide_small=reduced), refined)
    assert not np.array_equal(fast_guided_filter(guide, alpha, guide_small=255 - reduced), refined)


@pytest.mark.parametrize("value", [0, 1])
def test_an_alpha_without_soft_pixels_is_only_enlarged(value: int) -> None:
    refined = fast_guided_filter(picture((90, 160), 5), np.full((36, 64), value, np.float32))
    np.testing.assert_array_equal(refined, np.full((90, 160), value, np.float32))


def test_the_inputs_are_left_alone() -> None:
    guide, alpha = picture((60, 80), 6), blobs((30, 40), 7)
    copies = guide.copy(), alpha.copy()
    fast_guided_filter(guide, alpha)
    np.testing.assert_array_equal(guide, copies[0])
    np.testing.assert_array_equal(alpha, copies[1])


def test_an_alpha_larger_than_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be larger"):
        fast_guided_filter(picture((20, 30), 0), np.zeros((20, 31), np.float32))


def test_a_reduced_guide_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="must be of the alpha's size"):
        fast_guided_filter(picture((20, 30), 0), np.zeros((10, 15), np.float32), guide_small=picture((10, 16), 0))


@pytest.mark.parametrize("size", [(90, 120), (45, 60), (180, 240)])
def test_several_filters_bring_a_vague_alpha_nearer_to_the_edge_than_one(size: tuple[int, int]) -> None:
    guide, truth = disc((90, 120), (200, 140, 60), (40, 60, 120))
    vague = cv2.GaussianBlur(np.roll(truth, 1, axis=1), (0, 0), 2)
    vague = np.where(vague < 0.01, 0, np.where(vague > 0.99, 1, vague)).astype(np.float32)
    alpha = np.asarray(cv2.resize(vague, size[::-1], interpolation=cv2.INTER_AREA), np.float32)
    several = at_picture_size(alpha, guide)
    one = fast_guided_filter(guide, alpha if alpha.shape <= truth.shape else vague)
    assert several.shape == truth.shape
    assert np.abs(several - truth).mean() < 0.8 * np.abs(one - truth).mean()


def test_a_haze_far_from_the_edge_is_gone_and_the_edge_stays_soft() -> None:
    guide, truth = disc((90, 120), (200, 140, 60), (40, 60, 120))
    soft = np.asarray(cv2.GaussianBlur(truth, (0, 0), 1), np.float32)
    hazy = np.asarray(0.012 + 0.976 * soft, np.float32)
    seen = at_picture_size(hazy, guide)
    far = cv2.dilate(soft, np.ones((15, 15))) < 0.01, cv2.erode(soft, np.ones((15, 15))) > 0.99
    assert (seen[far[0]] == 0).all()
    assert (seen[far[1]] == 1).all()
    assert ((seen > 0.1) & (seen < 0.9)).sum() > 50


def test_a_reduced_picture_given_by_the_caller_changes_little() -> None:
    guide, truth = disc((144, 192), (200, 140, 60), (40, 60, 120))
    alpha = np.asarray(cv2.resize(truth, (96, 72), interpolation=cv2.INTER_AREA), np.float32)
    given = at_picture_size(alpha, guide, small=np.asarray(shrunk(guide, 108, 144), np.uint8))
    np.testing.assert_allclose(given, at_picture_size(alpha, guide), atol=0.1)
    assert np.abs(given - at_picture_size(alpha, guide)).mean() < 2e-3


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    full=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    seed=st.integers(0, 99),
)
def test_alphas_of_any_size_stay_between_zero_and_one(size: tuple[int, int], full: tuple[int, int], seed: int) -> None:
    alpha = at_picture_size(blobs(size, seed), picture(full, seed))
    assert alpha.shape == full
    assert alpha.dtype == np.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(40, 130), st.integers(40, 130)),
    full=st.tuples(st.integers(40, 130), st.integers(40, 130)),
    at=st.floats(0.35, 0.65),
    seed=st.integers(0, 99),
)
def test_the_inside_of_a_person_stays_exactly_one_at_any_ratio_of_sizes(
    size: tuple[int, int], full: tuple[int, int], at: float, seed: int
) -> None:
    """Pixels that rounding makes a little less than 1 would be filtered where no coefficients were found."""
    _, x = np.indices(size, np.float32)
    alpha = np.clip(20 * (at - np.abs(x / size[1] - 0.5)) + 0.5, 0, 1).astype(np.float32)
    found = at_picture_size(alpha, picture(full, seed))
    inside = np.asarray(cv2.resize((alpha == 1).astype(np.float32), full[::-1], interpolation=cv2.INTER_LINEAR))
    far = cv2.erode((inside > 0.999).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    np.testing.assert_array_equal(found[far], 1)
