"""Arrays that would have the compiled kernels read or write beside them."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting import native
from realtime_matting.tiles import Rectangle

WINDOWS = {"radius": 2, "smoothness": 1.0}
Call = Callable[[], object]


@pytest.mark.parametrize(
    "call",
    [
        lambda: _filter_soft(_rgb(4, 5)[..., 0], _zeros(3, 1, 2), _rgb(1, 2)[..., 0], _zeros(2, 3)),
        lambda: _filter_soft(_rgb(4, 5), _zeros(3, 1, 2), _rgb(1, 2)[..., 0], _zeros(2, 2)),
        lambda: _filter_soft(_rgb(4, 5), _zeros(2, 1, 2), _rgb(1, 2)[..., 0], _zeros(2, 3)),
        lambda: _filter_soft(_rgb(4, 5), _zeros(3, 2, 2), _rgb(2, 2)[..., 0], _zeros(2, 3)),
        lambda: _filter_soft(_rgb(4, 5), _zeros(3, 1, 2), _rgb(2, 2)[..., 0], _zeros(2, 3)),
        lambda: _filter_soft(_rgb(4, 5), _zeros(3, 1, 2), _rgb(1, 2)[..., 0], _zeros(2, 3), 0.5),
        lambda: native.unknown_halves(_zeros(3, 4, 5)),
        lambda: native.fuse_colours(_rgb(4, 5), _zeros(4, 6), _zeros(2, 3, 2, 2), Rectangle(0, 4, 0, 5)),
        lambda: native.fuse_colours(_rgb(4, 5), _zeros(4, 5), _zeros(3, 2, 2), Rectangle(0, 4, 0, 5)),
        lambda: native.fuse_colours(_rgb(4, 5), _zeros(4, 5), _zeros(2, 3, 2, 2), Rectangle(0, 4, 0, 6)),
        lambda: native.soft_area(_zeros(3, 4, 5)),
        lambda: native.coefficients(_rgb(4, 5), _zeros(4, 5), _rgb(4, 5)[..., 0], _zeros(2, 4), **WINDOWS),
        lambda: native.coefficients(_planes(4, 6), _zeros(4, 5), _rgb(4, 5)[..., 0], _zeros(2, 4), **WINDOWS),
        lambda: native.coefficients(_planes(4, 5), _zeros(4, 5), _rgb(4, 6)[..., 0], _zeros(2, 4), **WINDOWS),
        lambda: native.coefficients(
            _planes(4, 5), _zeros(4, 5), _rgb(4, 5)[..., 0], _zeros(2, 4), radius=17, smoothness=1.0
        ),
        lambda: native.near_colours(_rgb(4, 5), _zeros(5, 5), wide=7, narrow=1, faint=1e-4),
        lambda: native.normalised(_rgb(4, 5), _zeros(3), _zeros(3), _zeros(3, 3, 5), mirrored=True),
        lambda: native.normalised(_rgb(4, 5), _zeros(2), _zeros(2), _zeros(3, 4, 5), mirrored=True),
        lambda: native.padded(_zeros(4, 5), _zeros(8, 10)[::2, ::2], mirrored=True),
        lambda: native.shares(_rgb(4, 5)[..., 0], _rgb(4, 6)[..., 0]),
        lambda: native.fused_over(_rgb(4, 5), _zeros(4, 5), _zeros(2, 3, 2, 2), _rgb(5, 5), _rgb(4, 5)),
        lambda: native.fused_over(_rgb(4, 5), _zeros(4, 5), _zeros(3, 2, 2), _rgb(4, 5), _rgb(4, 5)),
        lambda: native.fused_over(_rgb(4, 5), _zeros(4, 5), _zeros(2, 3, 2, 2), _rgb(4, 5), _rgb(4, 10)[:, ::2]),
        lambda: native.over(_rgb(4, 5), _zeros(4, 5), _rgb(5, 5), _rgb(4, 5)),
        lambda: native.over(_rgb(4, 5), _zeros(4, 5), _rgb(4, 5), _rgb(4, 10)[:, ::2]),
    ],
)
def test_arrays_that_do_not_fit_are_refused(call: Call) -> None:
    with pytest.raises(ValueError, match="another size or type"):
        call()


def _planes(height: int, width: int) -> NDArray[np.uint8]:
    return np.zeros((3, height, width), np.uint8)


def _rgb(height: int, width: int) -> NDArray[np.uint8]:
    return np.zeros((height, width, 3), np.uint8)


def _zeros(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


def _filter_soft(
    picture: NDArray[np.uint8],
    coefficients: NDArray[np.float32],
    unknown: NDArray[np.uint8],
    top: NDArray[np.float32],
    margin: float = 0.0,
) -> object:
    return native.filter_soft(_zeros(2, 3), picture, coefficients, unknown, top, _zeros(2, 4), margin)
