"""The person's colours towards those of the new background: mean and spread, in luminance and chroma.

Reinhard, Ashikhmin, Gooch, Shirley: Color Transfer between Images, 2001, section 3, with two changes. The space is
YCbCr (BT.601, of the pictures' own gamma-encoded values) instead of lαβ: all of the change is then one matrix and one
offset, an affine map of RGB. And the change is limited, for a person is not to take on the colours of a meadow.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Affine = NDArray[np.float32]

# RGB to luminance Y and chroma Cb, Cr.
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
_TO_RGB = np.asarray(np.linalg.inv(_TO_YCC), np.float32)
_IDENTITY = np.eye(3, 4, dtype=np.float32)

# What full strength does at most to Y, Cb and Cr: factors of the spread, and levels of the mean. With twice as much an
# orange shirt before a blue sky makes a green face.
_LEAST_SPREAD, _MOST_SPREAD = np.array([0.8, 0.85, 0.85], np.float32), np.array([1.2, 1.15, 1.15], np.float32)
_MOST_SHIFT = np.array([20, 8, 8], np.float32)
_LEAST_PERSON = 0.002
"""A share of the picture below this says nothing of a person's colours."""
_SECONDS = 1.5
"""After this time a change of the statistics has had 63 % of its effect, so that a wave of the hand does not show."""
_BREAK = 2.0
"""After this time without frames the statistics begin anew."""


class ColourMatch:
    """Follows the statistics of one stream."""

    def __init__(self, strength: float) -> None:
        """Strength 0 to 1: the share of the (limited) way to the background's statistics."""
        self._strength = strength
        self._map: Affine | None = None
        self._latest = 0.0

    def reset(self) -> None:
        """The next frame is the first of a new stream."""
        self._map = None

    def follow(
        self,
        time: float,
        person: Rgb,
        alpha: NDArray[np.float32],
        background: Rgb,
    ) -> Affine:
        """The change of colours for a frame.

        Args:
            time: of the frame, in seconds.
            person: uint8 (h, w, 3), the person's colours at a grid of pixels.
            alpha: float32 (h, w) in [0, 1], at the same.
            background: uint8 (h, w, 3).

        Returns:
            float32 (3, 4): RGB' = A·RGB + t with A the first three columns; the identity as long as no person is seen.
        """
        if self._map is not None and not 0 <= time - self._latest < _BREAK:
            self._map = None
        wanted = _affine(person, alpha, background, self._strength)
        if wanted is not None and self._map is not None:
            share = np.float32(1 - math.exp(-(time - self._latest) / _SECONDS))
            wanted = self._map + share * (wanted - self._map)
        self._map = self._map if wanted is None else wanted
        self._latest = time
        return _IDENTITY if self._map is None else self._map


def recoloured(foreground: Rgb, change: Affine, out: Rgb) -> None:
    """Write the foreground's colours, changed, to ``out``; both uint8 (H, W, 3), rounded and kept within range."""
    cv2.transform(foreground, change, dst=out)


def _affine(person: Rgb, alpha: NDArray[np.float32], background: Rgb, strength: float) -> Affine | None:
    """The whole change for one frame alone; None where there is no person."""
    # Soft pixels are mixtures: what is next to opaque tells the person's colours.
    weight = np.clip(4 * alpha - 3, 0, 1).reshape(-1, 1)
    if weight.mean() < _LEAST_PERSON:
        return None
    mean, spread = _statistics(person, weight)
    wanted_mean, wanted_spread = _statistics(background, np.ones_like(weight))
    gain = np.clip(wanted_spread / np.maximum(spread, 1), _LEAST_SPREAD, _MOST_SPREAD)
    shift = np.clip(wanted_mean - mean, -_MOST_SHIFT, _MOST_SHIFT)
    gain = 1 + np.float32(strength) * (gain - 1)
    shift = np.float32(strength) * shift
    # y' = m + g(y − m) + d in YCbCr
    matrix = _TO_RGB @ (gain[:, None] * _TO_YCC)
    offset = _TO_RGB @ (mean - gain * mean + shift)
    return np.concatenate((matrix, offset[:, None]), axis=1)


def _statistics(picture: Rgb, weight: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weighted mean and standard deviation of Y, Cb and Cr, float32 (3,) each; weight (h·w, 1)."""
    ycc = picture.reshape(-1, 3).astype(np.float32) @ _TO_YCC.T
    total = weight.sum()
    mean = (weight * ycc).sum(axis=0) / total
    variance = (weight * np.square(ycc - mean)).sum(axis=0) / total
    return mean, np.sqrt(variance)
