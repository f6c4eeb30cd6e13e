import numpy as np
import pytest

from realtime_matting.resampling import reduced, shrunk


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_at_powers_of_two_every_pixel_is_the_mean_of_its_area(factor: int, kind: type) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 96, 3)).astype(kind)
    expected = picture.reshape(48 // factor, factor, 96 // factor, factor, 3).mean((1, 3))
    result = shrunk(picture, 48 // factor, 96 // factor)
    assert result.dtype == kind
    assert np.abs(result - expected).max() <= 1.5  # bytes are rounded at each of up to three steps


@pytest.mark.parametrize("size", [(72, 128), (67, 120), (60, 100), (50, 70), (36, 64), (27, 48)])
def test_detail_that_is_too_fine_for_the_smaller_size_becomes_grey_and_no_pattern(size: tuple[int, int]) -> None:
    y, x = np.indices((144, 256))
    chequered = ((x + y) % 2 * 255).astype(np.uint8)
    result = shrunk(chequered, *size).astype(np.float32)
    assert result.shape == size
    if size[0] <= 72:
        assert abs(result.mean() - 127.5) < 2
        assert np.abs(result[1:-1, 1:-1] - 127.5).max() < 128 * 0.55


def test_a_picture_of_the_size_asked_for_is_not_copied() -> None:
    picture = np.zeros((20, 30, 3), np.uint8)
    assert shrunk(picture, 20, 30) is picture


def test_odd_sizes_and_single_planes_are_fine() -> None:
    plane = np.full((101, 67), 0.25, np.float32)
    result = reduced(plane, 10, 9)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.full((10, 9), 0.25), atol=1e-6)
