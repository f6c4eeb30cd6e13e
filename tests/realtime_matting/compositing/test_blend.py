import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from realtime_matting.compositing.blend import composite

Alpha = NDArray[np.float32]
Rgb = NDArray[np.uint8]

SHAPE = (7, 5)
pictures = arrays(np.uint8, (*SHAPE, 3))
mattes = arrays(np.float32, SHAPE, elements=st.sampled_from([0.0, 1.0]) | st.floats(0, 1, width=32))


def large(seed: int) -> tuple[Rgb, Alpha, Rgb]:
    """Pictures larger than the parts they are treated in, with opaque, empty and soft areas."""
    generator = np.random.default_rng(seed)
    foreground, background = (generator.integers(0, 256, (150, 203, 3), dtype=np.uint8) for _ in range(2))
    y, x = np.indices((150, 203), np.float32)
    alpha = np.clip((60 - np.hypot(y - 75, x - 100)) / 5, 0, 1).astype(np.float32)
    return foreground, alpha, background


def exact(foreground: Rgb, alpha: Alpha, background: Rgb) -> NDArray[np.float64]:
    weight = alpha[..., None].astype(np.float64)
    return weight * foreground + (1 - weight) * background


@given(pictures, mattes, pictures)
def test_every_pixel_is_the_nearest_whole_value(foreground: Rgb, alpha: Alpha, background: Rgb) -> None:
    result = composite(foreground, alpha, background)
    assert result.dtype == np.uint8
    assert np.abs(result - exact(foreground, alpha, background)).max() <= 0.5 + 1e-4


@given(pictures, mattes, pictures)
def test_alpha_one_is_exactly_the_foreground_and_alpha_zero_the_background(
    foreground: Rgb, alpha: Alpha, background: Rgb
) -> None:
    result = composite(foreground, alpha, background)
    np.testing.assert_array_equal(result[alpha == 1], foreground[alpha == 1])
    np.testing.assert_array_equal(result[alpha == 0], background[alpha == 0])


@given(pictures, mattes)
def test_a_picture_over_itself_is_itself(picture: Rgb, alpha: Alpha) -> None:
    np.testing.assert_array_equal(composite(picture, alpha, picture.copy()), picture)


@settings(max_examples=5)
@given(st.integers(0, 99))
def test_large_pictures_are_composited_in_all_their_parts(seed: int) -> None:
    foreground, alpha, background = large(seed)
    result = composite(foreground, alpha, background)
    assert np.abs(result - exact(foreground, alpha, background)).max() <= 0.5 + 1e-4


def test_the_result_is_written_to_out_and_the_inputs_are_left_alone() -> None:
    foreground, alpha, background = large(1)
    copies = foreground.copy(), alpha.copy(), background.copy()
    out = np.empty_like(foreground)
    assert composite(foreground, alpha, background, out=out) is out
    for array, copy in zip((foreground, alpha, background), copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(out, composite(foreground, alpha, background))


def test_a_new_result_shares_no_memory_with_the_background() -> None:
    foreground, alpha, background = large(2)
    assert not np.shares_memory(composite(foreground, np.zeros_like(alpha), background), background)


def test_out_may_be_the_background() -> None:
    foreground, alpha, background = large(3)
    expected = composite(foreground, alpha, background)
    assert composite(foreground, alpha, background, out=background) is background
    np.testing.assert_array_equal(background, expected)


def test_read_only_and_strided_inputs_are_fine() -> None:
    foreground, alpha, background = large(4)
    expected = composite(foreground[:, 3:90], alpha[:, 3:90].copy(), background[:, 3:90].copy())
    for array in (foreground, alpha, background):
        array.setflags(write=False)
    np.testing.assert_array_equal(composite(foreground[:, 3:90], alpha[:, 3:90], background[:, 3:90]), expected)


def test_out_must_not_be_the_foreground() -> None:
    foreground, alpha, background = large(5)
    with pytest.raises(ValueError, match="over its foreground"):
        composite(foreground, alpha, background, out=foreground)


@pytest.mark.parametrize("wrong", ["alpha", "background", "out"])
def test_arrays_of_different_size_are_refused(wrong: str) -> None:
    arguments = {
        "alpha": np.zeros((4, 5), np.float32),
        "background": np.zeros((4, 5, 3), np.uint8),
        "out": np.zeros((4, 5, 3), np.uint8),
    }
    arguments[wrong] = arguments[wrong][:3]
    with pytest.raises(ValueError, match="must be of one size"):
        composite(np.zeros((4, 5, 3), np.uint8), **arguments)
