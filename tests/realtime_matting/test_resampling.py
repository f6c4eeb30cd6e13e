import numpy as np
import pytest

from realtime_matting.resampling import reduced


@pytest.mark.parametrize("factor", [1, 2, 4, 6, 8])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_every_pixel_is_the_mean_of_its_area(factor: int, kind: type) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 96, 3)).astype(kind)
    expected = picture.reshape(48 // factor, factor, 96 // factor, factor, 3).mean((1, 3))
    result = reduced(picture, 48 // factor, 96 // factor)
    assert result.dtype == np.float32
    assert np.abs(result - expected).max() <= 1.5  # bytes are rounded at each of up to three steps


def test_odd_sizes_and_single_planes_are_fine() -> None:
    plane = np.full((101, 67), 0.25, np.float32)
    np.testing.assert_allclose(reduced(plane, 10, 9), np.full((10, 9), 0.25), atol=1e-6)
