import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from realtime_matting import metrics

Alpha = NDArray[np.float32]

mattes = arrays(np.float32, (6, 9), elements=st.floats(0, 1, width=32))


def alpha(*rows: list[float]) -> Alpha:
    return np.array(rows, np.float32)


def flat(value: float, shape: tuple[int, int] = (4, 5)) -> Alpha:
    return np.full(shape, value, np.float32)


def test_mean_differences_are_in_thousandths() -> None:
    ours, truth = alpha([0, 0.5], [1, 1]), alpha([0, 0], [1, 0.75])
    assert metrics.mad(ours, truth) == pytest.approx(1e3 * (0.5 + 0.25) / 4)
    assert metrics.mse(ours, truth) == pytest.approx(1e3 * (0.25 + 0.0625) / 4)


def test_unknown_region_leaves_out_errors_in_known_pixels() -> None:
    ours, truth = alpha([0, 0.5], [1, 1]), alpha([1, 0], [1, 0.75])
    region = np.array([[False, True], [True, True]])
    assert metrics.sad(ours, truth, region) == pytest.approx(0.75 / 1000)
    assert metrics.unknown_mse(ours, truth, region) == pytest.approx((0.25 + 0.0625) / 3)


def test_gradient_filters_have_unit_norm_so_one_white_pixel_costs_two() -> None:
    truth = flat(0, (21, 21))
    ours = truth.copy()
    ours[10, 10] = 0.5
    assert metrics.grad(ours, truth) == pytest.approx(0.5**2 * 2 / 1000, rel=1e-5)


def test_gradient_error_of_a_region_counts_its_pixels_and_filters_across_its_border() -> None:
    truth = flat(0, (21, 21))
    ours = truth.copy()
    ours[10, 10] = 0.5
    # Taps of the 9-tap Gaussian g and its derivative d = x·g at distance 0 and 1, each scaled to unit norm.
    gaussian = [math.exp(-(x**2) / (2 * 1.4**2)) for x in range(-4, 5)]
    derivative = [x * one for x, one in zip(range(-4, 5), gaussian, strict=True)]
    at_0 = gaussian[4] / math.hypot(*gaussian)
    at_1 = derivative[5] / math.hypot(*derivative)
    region = np.zeros((21, 21), np.bool_)
    region[10, 11] = True  # beside the white pixel, which itself is outside the region
    assert metrics.grad(ours, truth, region) == pytest.approx((0.5 * at_1 * at_0) ** 2 / 1000, rel=1e-5)
    region[10, 11], region[10, 10] = False, True  # on it: the derivative of a symmetric bump is 0
    assert metrics.grad(ours, truth, region) == pytest.approx(0, abs=1e-12)


def test_gradient_error_is_the_same_as_a_direct_convolution_with_the_two_dimensional_filter() -> None:
    generator = np.random.default_rng(5)
    ours, truth = (generator.random((13, 15)).astype(np.float32) for _ in range(2))
    y, x = np.mgrid[-4:5, -4:5].astype(np.float64)
    kernel = x * np.exp(-(x**2 + y**2) / (2 * 1.4**2))
    kernel /= np.sqrt(np.sum(kernel**2))

    def magnitude(matte: Alpha) -> NDArray[np.float64]:
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(matte.astype(np.float64), 4, mode="edge"), (9, 9))
        return np.hypot((windows * kernel).sum((2, 3)), (windows * kernel.T).sum((2, 3)))

    expected = np.sum((magnitude(ours) - magnitude(truth)) ** 2) / 1000
    assert metrics.grad(ours, truth) == pytest.approx(expected, rel=1e-4)


def test_gradient_error_of_constant_mattes_is_zero_up_to_the_border() -> None:
    assert metrics.grad(flat(0.25), flat(1)) == pytest.approx(0, abs=1e-9)


def test_connectivity_punishes_an_island_and_not_the_attached_pixels() -> None:
    truth = alpha([1, 1, 1, 0, 0, 0])
    island = alpha([1, 1, 1, 0, 0, 1])
    attached = alpha([1, 1, 1, 0.1, 0, 0])
    assert metrics.conn(island, truth) == pytest.approx(1 / 1000)
    assert metrics.conn(attached, truth) == 0  # 0.1 is below the tolerance of 0.15


def test_connectivity_of_a_region_counts_its_pixels_but_looks_for_the_source_everywhere() -> None:
    truth, island = alpha([1, 1, 1, 0, 0, 0]), alpha([1, 1, 1, 0, 0, 1])
    only_the_island = np.array([[False] * 5 + [True]])
    assert metrics.conn(island, truth, only_the_island) == pytest.approx(1 / 1000)
    assert metrics.conn(island, truth, ~only_the_island) == 0
    # Seen alone, this pixel would be the source; the larger component outside the region is.
    both = alpha([1, 1, 1, 0, 0, 0.5])
    assert metrics.conn(both, alpha([1, 1, 1, 0, 0, 1]), only_the_island) == pytest.approx(0.5 / 1000)


def test_connectivity_level_is_the_last_one_a_pixel_shares_with_the_source() -> None:
    # The third pixel leaves the source above 0.5 in one matte: l = 0.5, d = 0.4 against 0.05, which is tolerated.
    assert metrics.conn(alpha([1, 1, 0.9]), alpha([1, 1, 0.55])) == pytest.approx(0.4 / 1000, rel=1e-5)


def test_connectivity_is_four_connected() -> None:
    truth, ours = (alpha([1, 1, 0], [1, 1, 0], [0, 0, corner]) for corner in (0.15, 0.1))
    # The corner touches only diagonally, so l = 0 there and d = 0.15 counts; were it attached, l would be 0.1.
    assert metrics.conn(ours, truth) == pytest.approx(0.15 / 1000)


def test_connectivity_of_mattes_with_nothing_in_common_is_their_sum() -> None:
    assert metrics.conn(alpha([1, 0, 0]), alpha([0, 0, 1])) == pytest.approx(2 / 1000)


def test_dtssd_sees_flicker_but_not_a_constant_offset() -> None:
    truths = [flat(0.25), flat(0.75), flat(0.25)]
    assert metrics.dtssd([flat(0.5), flat(1), flat(0.5)], truths) == 0
    assert metrics.dtssd([flat(0.25), flat(0.5), flat(0.25)], truths) == pytest.approx(25)


def test_dtssd_averages_over_pairs_and_reads_generators() -> None:
    values = [0.0, 0.5, 0.5]
    assert metrics.dtssd((flat(v) for v in values), (flat(0) for _ in values)) == pytest.approx((50 + 0) / 2)


def test_dtssd_of_half_the_pixels_is_a_root_mean_square() -> None:
    moved = flat(0)
    moved[:2] = 1
    assert metrics.dtssd([flat(0), moved], [flat(0), flat(0)]) == pytest.approx(100 * math.sqrt(0.5))


@pytest.mark.parametrize("counts", [(1, 1), (0, 0), (3, 2), (2, 3)])
def test_dtssd_refuses_too_few_or_unpaired_frames(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"two frames|zip"):
        metrics.dtssd([flat(0)] * counts[0], [flat(0)] * counts[1])


def test_dtssd_refuses_a_change_of_frame_size() -> None:
    with pytest.raises(ValueError, match="frame size changes"):
        metrics.dtssd([flat(0), flat(0, (2, 2))], [flat(0), flat(0, (2, 2))])


@pytest.mark.parametrize("width", [1, 3])
def test_edge_band_is_width_pixels_on_each_side_of_a_straight_outline(width: int) -> None:
    truth = flat(0, (5, 20))
    truth[:, 10:] = 1
    ours = truth.copy()
    ours[:, 10 + width :] = 0  # wrong, but just outside the band
    assert metrics.edge_mad(ours, truth, width) == 0
    ours[:, 10 + width - 1] = 0
    assert metrics.edge_mad(ours, truth, width) == pytest.approx(1e3 / (2 * width))


def test_edge_error_is_undefined_without_an_outline() -> None:
    assert math.isnan(metrics.edge_mad(flat(0), flat(0.4)))
    assert math.isnan(metrics.edge_mad(flat(0), flat(1)))


def test_iou_counts_pixels_at_or_above_the_threshold() -> None:
    assert metrics.iou(alpha([1, 0.5, 0.4, 0]), alpha([1, 0, 1, 0])) == pytest.approx(1 / 3)
    assert metrics.iou(alpha([1, 0.5, 0.4, 0]), alpha([1, 0, 1, 0]), threshold=0.4) == pytest.approx(2 / 3)


def test_iou_of_two_empty_mattes_is_one() -> None:
    assert metrics.iou(flat(0), flat(0.2)) == 1


@given(mattes)
def test_a_perfect_matte_has_no_error(truth: Alpha) -> None:
    assert astuple(metrics.whole_image(truth, truth.copy())) == pytest.approx((0, 0, 0, 0), abs=1e-12)
    trimap = np.full(truth.shape, 128, np.uint8)
    assert astuple(metrics.unknown_region(truth, truth.copy(), trimap)) == pytest.approx((0, 0, 0, 0), abs=1e-12)
    assert metrics.iou(truth, truth) == 1
    assert metrics.dtssd([truth, truth], [truth, truth]) == 0


@given(mattes, mattes)
def test_errors_are_symmetric_and_not_negative(one: Alpha, other: Alpha) -> None:
    forth, back = astuple(metrics.whole_image(one, other)), astuple(metrics.whole_image(other, one))
    assert forth == pytest.approx(back, rel=1e-6, abs=1e-9)
    assert min(forth) >= 0


@given(mattes, mattes)
def test_a_region_and_its_complement_add_up_to_the_whole(one: Alpha, other: Alpha) -> None:
    region = np.indices(one.shape).sum(0) % 3 == 0
    for sum_metric in (metrics.sad, metrics.grad, metrics.conn):
        whole = sum_metric(one, other, np.ones_like(region))
        assert sum_metric(one, other, region) + sum_metric(one, other, ~region) == pytest.approx(whole, abs=1e-9)


def test_unknown_region_is_where_the_trimap_is_128() -> None:
    trimap = np.array([[0, 128], [255, 128]], np.uint8)
    measured = metrics.unknown_region(alpha([1, 0.5], [0, 0.5]), alpha([0, 0], [1, 0]), trimap)
    assert measured.sad == pytest.approx(1 / 1000)
    assert measured.mse == pytest.approx(0.25)


def test_both_scales_of_one_picture_by_hand() -> None:
    """Two unknown pixels with |d| of 0.5 and 0.25 among eight; the errors lie on a flat row, so ∇ has one direction."""
    truth, ours = alpha([1, 1, 1, 1, 0, 0, 0, 0]), alpha([1, 1, 1, 0.5, 0.25, 0, 0, 0])
    trimap = np.array([[255, 255, 255, 128, 128, 0, 0, 0]], np.uint8)
    taps = np.array([x * math.exp(-(x**2) / (2 * 1.4**2)) for x in range(-4, 5)])
    gaussian = np.array([math.exp(-(x**2) / (2 * 1.4**2)) for x in range(-4, 5)])
    # Rows are replicated, so the Gaussian across them multiplies by the sum of its taps, and its derivative gives 0.
    weight = gaussian.sum() / np.linalg.norm(gaussian) / np.linalg.norm(taps)
    padded = np.pad(np.stack([ours[0], truth[0]]).astype(np.float64), ((0, 0), (4, 4)), mode="edge")
    ours_slope, truth_slope = (np.abs(np.correlate(row, taps, "valid")) * weight for row in padded)
    squared = (ours_slope - truth_slope) ** 2
    whole, unknown = metrics.whole_image(ours, truth), metrics.unknown_region(ours, truth, trimap)
    assert whole.mad == pytest.approx(1e3 * 0.75 / 8)
    assert whole.mse == pytest.approx(1e3 * (0.25 + 0.0625) / 8)
    assert whole.grad == pytest.approx(squared.sum() / 1000, rel=1e-5)
    # Levels: 0.5 for the fourth pixel (d = 0 against 0.5), 0 for the fifth (d = 0.25 against 0); both count.
    assert whole.conn == pytest.approx((0.5 + 0.25) / 1000)
    assert unknown.sad == pytest.approx(0.75 / 1000)
    assert unknown.mse == pytest.approx((0.25 + 0.0625) / 2)
    assert unknown.grad == pytest.approx(squared[3:5].sum() / 1000, rel=1e-5)
    assert unknown.conn == pytest.approx((0.5 + 0.25) / 1000)


def test_the_two_scales_cannot_be_averaged_or_compared() -> None:
    truth, trimap = flat(0.5), np.full((4, 5), 128, np.uint8)
    whole, unknown = metrics.whole_image(truth, truth), metrics.unknown_region(truth, truth, trimap)
    assert whole != unknown
    with pytest.raises(TypeError, match="different scales"):
        metrics.mean([whole, unknown])  # type: ignore[type-var]


def test_mean_averages_each_number() -> None:
    averaged = metrics.mean([metrics.WholeImageMetrics(1, 2, 3, 4), metrics.WholeImageMetrics(3, 2, 1, 0)])
    assert averaged == metrics.WholeImageMetrics(2, 2, 2, 2)
    with pytest.raises(ValueError, match="nothing"):
        metrics.mean([])


def test_an_empty_unknown_region_has_no_mean() -> None:
    with pytest.raises(ValueError, match="undefined"):
        metrics.unknown_region(flat(0), flat(0), np.zeros((4, 5), np.uint8))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.zeros((4, 6), np.float32), "but truth is"),
        (np.zeros((4, 5), np.uint8), "must be float32"),
        (np.zeros((4, 5), np.float64), "must be float32"),
        (np.zeros((4, 5, 1), np.float32), "must be float32"),
        (np.full((4, 5), 255, np.float32), r"must lie in \[0, 1\]"),
        (np.full((4, 5), np.nan, np.float32), r"must lie in \[0, 1\]"),
    ],
)
def test_every_metric_refuses_a_wrong_array(wrong: NDArray[np.generic], words: str) -> None:
    truth, region = flat(0), np.ones((4, 5), np.bool_)
    for whole in (metrics.mad, metrics.mse, metrics.grad, metrics.conn, metrics.edge_mad, metrics.iou):
        with pytest.raises(ValueError, match=words):
            whole(wrong, truth)
    for masked in (metrics.sad, metrics.unknown_mse, metrics.grad, metrics.conn):
        with pytest.raises(ValueError, match=words):
            masked(wrong, truth, region)


def test_a_region_of_another_shape_or_type_is_refused() -> None:
    for region in (np.ones((4, 6), np.bool_), np.ones((4, 5), np.uint8)):
        with pytest.raises(ValueError, match="region must be bool"):
            metrics.sad(flat(0), flat(0), region)
