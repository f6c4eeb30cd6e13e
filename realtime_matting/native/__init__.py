"""The compiled part: the passes over all pixels of a frame, in C, without Python's lock.

It is compiled when rtmatte is installed (``setup.py``), by a compiler that pip brings along. In NumPy and OpenCV the
same takes about twice as long (docs/performance.md), and holds the lock for much of it.
"""

import ctypes
import functools
import platform
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import MattingError
from realtime_matting.tiles import Rectangle

Alpha = NDArray[np.float32]
Floats = NDArray[np.float32]
Rgb = NDArray[np.uint8]

_PLANE = ctypes.c_void_p
_SIZE = ctypes.c_int
_NUMBER = ctypes.c_float
_ARGUMENTS: dict[str, tuple[type[ctypes.c_void_p] | type[ctypes.c_int] | type[ctypes.c_float], ...]] = {
    "coefficients": (_PLANE, _PLANE, _PLANE, _PLANE, _SIZE, _SIZE, _PLANE, _SIZE, _NUMBER),
    "filter_soft": (
        *(_PLANE, _PLANE, _SIZE, _SIZE),
        *(_PLANE, _SIZE, _SIZE, _PLANE),
        *(_PLANE, _PLANE, _SIZE, _SIZE),
        *(_PLANE, _NUMBER),
    ),
    "unknown_halves": (_PLANE, _PLANE, _SIZE, _SIZE),
    "near_colours": (_PLANE, _PLANE, _PLANE, _SIZE, _SIZE, _SIZE, _SIZE, _NUMBER),
    "soft_area": (_PLANE, _PLANE, _SIZE, _SIZE),
    "fuse_colours": (_PLANE, _PLANE, _PLANE, _SIZE, _SIZE, _PLANE, _SIZE, _SIZE, _SIZE, _SIZE, _SIZE, _SIZE),
    "fused_over": (_PLANE, _SIZE, _PLANE, _PLANE, _SIZE, _SIZE, _PLANE, _SIZE, _SIZE, _PLANE, _SIZE),
    "normalised": (_PLANE, _SIZE, _SIZE, _PLANE, _SIZE, _SIZE, _SIZE, _PLANE, _PLANE, _SIZE),
    "padded": (_PLANE, _SIZE, _SIZE, _PLANE, _SIZE, _SIZE, _SIZE, _SIZE),
    "shares": (_PLANE, _PLANE, _PLANE, _SIZE),
    "over": (_PLANE, _PLANE, _PLANE, _PLANE, _SIZE, _SIZE),
}


def library_name() -> str:
    """The compiled file's name on this system, beside this one."""
    return "_kernels" + {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


def describe() -> str:
    """For people: for which instructions the kernels in use were compiled.

    Raises:
        MattingError: they are not there.
    """
    level = _library().processor_level()
    kind = f"x86-64-v{level}" if platform.machine().lower() in ("x86_64", "amd64") else platform.machine()
    return f"compiled for {kind}"


def coefficients(
    guide: Rgb, alpha: Alpha, unknown: NDArray[np.uint8], weights: Floats, *, radius: int, smoothness: float
) -> Floats:
    """What Y and C are multiplied by, and the offset, that give alpha in the windows around a pixel; their means.

    Args:
        guide: uint8 (3, h, w), red, green and blue.
        alpha: float32 (h, w) in [0, 1].
        unknown: uint8 (h, w), not 0 where the coefficients are needed.
        weights: float32 (2, 4), what makes Y and C of red, green, blue and 1.
        radius: of the windows, in pixels, 16 at most.
        smoothness: ε, as variance of Y in levels; a fourth of it for C.

    Returns:
        float32 (3, h, w), 0 far from where they are needed.
    """
    guide, alpha, unknown, weights = _bytes(guide), _floats(alpha), _bytes(unknown), _floats(weights)
    _require(guide.shape == (3, *alpha.shape) and unknown.shape == alpha.shape)
    _require(weights.shape == (2, 4) and 0 <= radius <= 16)
    out = np.zeros((3, *alpha.shape), np.float32)
    _call("coefficients", out, guide, alpha, unknown, *alpha.shape, weights, radius, smoothness)
    return out


def filter_soft(
    small: Alpha,
    picture: Rgb,
    coefficients: Floats,
    unknown: NDArray[np.uint8],
    ceiling: Alpha,
    weights: Floats,
    margin: float = 0.0,
) -> Alpha:
    """An alpha as large as its picture by linear interpolation; where it is soft then, a_Y·Y + a_C·C + b instead.

    Args:
        small: float32 (h', w') in [0, 1], h' ≤ H, w' ≤ W; of the picture's size it is taken as it is.
        picture: uint8 (H, W, 3).
        coefficients: float32 (3, h, w) of `coefficients`, h = ⌈h'/2⌉, w = ⌈w'/2⌉, enlarged by linear interpolation.
        unknown: uint8 (h, w), not 0 where `unknown_halves` of the small alpha has it so, or anywhere else.
        ceiling: float32 (h', w') in [0, 1], enlarged in the same way: nothing gets more than that, or less than 0.
        weights: as there.
        margin: what was filtered is stretched so that values so close to 0 or 1, or closer, become 0 and 1; below 0.5.

    Returns:
        float32 (H, W) in [0, 1].
    """
    _require(0 <= margin < 0.5)
    picture, coefficients, unknown = _bytes(picture), _floats(coefficients), _bytes(unknown)
    small, ceiling, weights = _floats(small), _floats(ceiling), _floats(weights)
    _require(picture.ndim == 3 and picture.shape[2] == 3 and small.ndim == 2 and ceiling.shape == small.shape)
    halved = (small.shape[0] + 1) // 2, (small.shape[1] + 1) // 2
    _require(coefficients.shape == (3, *halved) and unknown.shape == halved and weights.shape == (2, 4))
    out = np.empty(picture.shape[:2], np.float32)
    _call(
        "filter_soft",
        out,
        picture,
        *out.shape,
        coefficients,
        *halved,
        unknown,
        small,
        ceiling,
        *small.shape,
        weights,
        margin,
    )
    return out


def unknown_halves(alpha: Alpha) -> NDArray[np.uint8]:
    """Where coefficients are needed: uint8 (⌈h/2⌉, ⌈w/2⌉), 255 there and 0 elsewhere.

    Needed they are where alpha, float32 (h, w), or one of a pixel's neighbours is between 0 and 1, or where 0 meets 1,
    and one pixel further, to interpolate.
    """
    alpha = _floats(alpha)
    _require(alpha.ndim == 2)
    out = np.empty(((alpha.shape[0] + 1) // 2, (alpha.shape[1] + 1) // 2), np.uint8)
    _call("unknown_halves", out, alpha, *alpha.shape)
    return out


def near_colours(picture: Rgb, alpha: Alpha, *, wide: int, narrow: int, faint: float) -> Floats:
    """The colours of foreground and background near each pixel, F_b and B_b of blur fusion's second pass.

    Args:
        picture: uint8 (h, w, 3).
        alpha: float32 (h, w) in [0, 1].
        wide: radius of the first pass' windows, in pixels of a picture of half the size; ``narrow``: of the second's.
        faint: where a window holds less than this share of foreground, F_b tends to the mean of the picture.

    Returns:
        float32 (2, 3, h, w) in [0, 255].
    """
    picture, alpha = _bytes(picture), _floats(alpha)
    _require(picture.shape == (*alpha.shape, 3) and wide >= 0 and narrow >= 0)
    out = np.empty((2, 3, *alpha.shape), np.float32)
    _call("near_colours", out, picture, alpha, *alpha.shape, wide, narrow, faint)
    return out


def soft_area(alpha: Alpha) -> Rectangle:
    """The least area that holds all pixels of alpha, float32 (H, W), between 0 and 1; an empty one without any."""
    alpha = _floats(alpha)
    _require(alpha.ndim == 2)
    area = np.empty(4, np.int32)
    _call("soft_area", area, alpha, *alpha.shape)
    return Rectangle(*area.tolist())


def fuse_colours(picture: Rgb, alpha: Alpha, near: Floats, area: Rectangle) -> Rgb:
    """F = αI + (1 − α)(F_b + α(F_b − B_b)) where 0 < α < 1 and within two pixels of that; else the picture.

    Args:
        picture: uint8 (H, W, 3).
        alpha: float32 (H, W) in [0, 1].
        near: float32 (2, 3, h, w), h ≤ H, w ≤ W: F_b and B_b in [0, 255], enlarged by linear interpolation.
        area: in which all soft pixels lie, see `soft_area`.

    Returns:
        uint8 (H, W, 3), new, rounded to the nearest.
    """
    picture, alpha, near = _bytes(picture), _floats(alpha), _floats(near)
    _require(picture.shape == (*alpha.shape, 3) and near.ndim == 4 and near.shape[:2] == (2, 3))
    _require(0 <= area.top <= area.bottom <= alpha.shape[0] and 0 <= area.left <= area.right <= alpha.shape[1])
    out = np.empty_like(picture)
    _call("fuse_colours", out, picture, alpha, *alpha.shape, near, *near.shape[2:], *area)
    return out


def over(foreground: Rgb, alpha: Alpha, background: Rgb, out: Rgb) -> None:
    """B + α(F − B), rounded to the nearest; all uint8 (H, W, 3), ``alpha`` float32 (H, W) in [0, 1].

    ``out`` is contiguous; it may be the background.
    """
    foreground, background, alpha = _bytes(foreground), _bytes(background), _floats(alpha)
    _require(out.flags.c_contiguous and out.dtype == np.uint8)
    _require(foreground.shape == background.shape == out.shape == (*alpha.shape, 3))
    _call("over", out, foreground, alpha, background, *alpha.shape)


def fused_over(picture: Rgb, alpha: Alpha, near: Floats, background: Rgb, out: Rgb) -> None:
    """B + α(F − B), rounded to the nearest, F as of `fuse_colours` and rounded too, without a picture of it.

    Args:
        picture: uint8 (H, W, 3).
        alpha: float32 (H, W) in [0, 1].
        near: as there.
        background: uint8 (H, W, 3), or a part of one.
        out: uint8 (H, W, 3), or a part of one; it may be the background.
    """
    picture, alpha, near = _bytes(picture), _floats(alpha), _floats(near)
    if not _has_whole_rows(background):
        background = _bytes(background)
    _require(picture.shape == background.shape == out.shape == (*alpha.shape, 3))
    _require(near.ndim == 4 and near.shape[:2] == (2, 3) and _has_whole_rows(out))
    _require(background.dtype == out.dtype == np.uint8)
    small = near.shape[2:]
    _call(
        "fused_over", out, out.strides[0], picture, alpha, *alpha.shape, near, *small, background, background.strides[0]
    )


def normalised(picture: Rgb, scale: Floats, offset: Floats, out: Floats, *, mirrored: bool) -> None:
    """scale · colour + offset into planes; beyond its right and bottom edge the picture goes on, see ``mirrored``.

    Args:
        picture: uint8 (h, w, 3), or some of the columns of one.
        scale, offset: float32 (3,).
        out: float32 (3, H, W), contiguous, H ≥ h, W ≥ w.
        mirrored: beyond the edges, mirror the picture; else repeat its last column and row.
    """
    if not _has_whole_rows(picture):
        picture = _bytes(picture)
    _require(picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3 and picture.size > 0)
    _require(_is_room(out, picture.shape[:2]) and out.ndim == len(out) == 3)
    _require(scale.shape == offset.shape == (3,))
    size, numbers = picture.shape[:2], (_floats(scale), _floats(offset))
    _call("normalised", out, *out.shape[1:], picture, picture.strides[0], *size, *numbers, mirrored)


def padded(plane: Floats, out: Floats, *, mirrored: bool) -> None:
    """A copy in a larger plane, in which it goes on beyond its right and bottom edge as in `normalised`.

    Args:
        plane: float32 (h, w), or some of the columns of one.
        out: float32 (H, W), contiguous, H ≥ h, W ≥ w.
    """
    if plane.strides[1] != 4 or plane.strides[0] < 0 or plane.strides[0] % 4:
        plane = _floats(plane)
    _require(plane.dtype == np.float32 and plane.ndim == out.ndim == 2 and plane.size > 0)
    _require(_is_room(out, plane.shape))
    _call("padded", out, *out.shape, plane, plane.strides[0] // 4, *plane.shape, mirrored)


def shares(unknown: NDArray[np.uint8], foreground: NDArray[np.uint8]) -> Floats:
    """Background, unknown and foreground, float32 (3, h, w) in [0, 1].

    Args:
        unknown, foreground: uint8 (h, w), 255 is all.
    """
    _require(unknown.shape == foreground.shape and unknown.ndim == 2)
    out = np.empty((3, *unknown.shape), np.float32)
    _call("shares", out, _bytes(unknown), _bytes(foreground), unknown.size)
    return out


def _has_whole_rows(picture: Rgb) -> bool:
    """Whether the bytes of each row follow one another, and the rows do, however far apart."""
    return picture.strides[1:] == (3, 1) and picture.strides[0] >= 0


def _is_room(out: Floats, shape: tuple[int, ...]) -> bool:
    fits = all(large >= small for large, small in zip(out.shape[-2:], shape, strict=True))
    return fits and out.flags.c_contiguous and out.dtype == np.float32


def _bytes(array: Rgb) -> Rgb:
    return np.ascontiguousarray(array, np.uint8)


def _floats(array: Floats) -> Floats:
    return np.ascontiguousarray(array, np.float32)


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError("an array of another size or type than is described")


def _call(name: str, *arguments: Rgb | Floats | NDArray[np.int32] | int | float) -> None:
    values = [each.ctypes.data if isinstance(each, np.ndarray) else each for each in arguments]
    if not _kernel(name)(*values):
        raise MemoryError(name)


@functools.cache
def _kernel(name: str) -> "ctypes._NamedFuncPointer":
    library = _library()
    level = library.processor_level()
    kernel: ctypes._NamedFuncPointer = getattr(library, f"{name}_v{level}")
    kernel.argtypes = _ARGUMENTS[name]
    return kernel


@functools.cache
def _library() -> ctypes.CDLL:
    path = Path(__file__).with_name(library_name())
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise MattingError(
            f"{path.name}, the compiled part of rtmatte, is not there or does not fit this system; it is made by "
            "installing: pip install . (or pip install -e .) in a copy of the repository"
        ) from error
