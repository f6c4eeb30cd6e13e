"""Finding the same picture twice: the same bytes, or the same look after scaling, compression or a change of format.

Two pictures look alike when the signs of the differences between neighbours of a 9×8 grey miniature agree but for a
few (the "difference hash"), and small colour miniatures agree as well; the second test is needed because pictures with
large plain areas have hashes alike.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from train.data.records import Picture

MINIATURE = 16
MAX_BITS = 6
"""Bits of 64 in which the hashes of two versions of a picture may differ."""
MAX_DIFFERENCE = 4.0
"""Mean difference of their miniatures, in levels of 255."""
_SMALL = (72, 64)
_BLOCK = 2048


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """``digest``: of the file's bytes. ``signs``: 64 of ±1, float32. ``miniature``: uint8 (16, 16, 3)."""

    digest: str
    signs: NDArray[np.float32]
    miniature: Picture


def fingerprint(digest: str, picture: Picture, alpha: Picture | None = None) -> Fingerprint:
    """Of uint8 (H, W, 3); of a foreground (alpha (H, W)) the person alone, on grey: the rest of it is arbitrary."""
    if alpha is not None and alpha.any():
        rows, columns = np.flatnonzero(alpha.max(axis=1)), np.flatnonzero(alpha.max(axis=0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        picture, alpha = np.ascontiguousarray(picture[box]), np.ascontiguousarray(alpha[box])
    small = np.asarray(cv2.resize(picture, _SMALL, interpolation=cv2.INTER_AREA), np.uint8)
    if alpha is not None:
        cover = cv2.resize(alpha, _SMALL, interpolation=cv2.INTER_AREA)[..., None].astype(np.float32) / 255
        small = np.clip(small * cover + 128 * (1 - cover) + 0.5, 0, 255).astype(np.uint8)
    grey = cv2.resize(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA).astype(np.float32)
    # A small dead zone, so that noise in plain areas does not decide on bits.
    signs = np.where(grey[:, 1:] > grey[:, :-1] + 1, np.float32(1), np.float32(-1)).ravel()
    miniature = cv2.resize(small, (MINIATURE, MINIATURE), interpolation=cv2.INTER_AREA)
    return Fingerprint(digest, signs, np.asarray(miniature, np.uint8))


def alike(left: Sequence[Fingerprint], right: Sequence[Fingerprint]) -> list[tuple[int, int]]:
    """All (i, j) for which left[i] and right[j] look alike; by blocks, so that memory stays bounded."""
    found = []
    for top in range(0, len(left), _BLOCK):
        rows = np.stack([f.signs for f in left[top : top + _BLOCK]])
        for start in range(0, len(right), _BLOCK):
            columns = np.stack([f.signs for f in right[start : start + _BLOCK]])
            bits = (64 - rows @ columns.T) / 2
            for i, j in zip(*np.nonzero(bits <= MAX_BITS), strict=True):
                one, other = left[top + i], right[start + j]
                difference = np.abs(one.miniature.astype(np.int16) - other.miniature).mean()
                if difference <= MAX_DIFFERENCE:
                    found.append((top + int(i), start + int(j)))
    return found


def clusters(prints: Sequence[Fingerprint]) -> list[list[int]]:
    """Numbers of pictures that look alike, each set in order; pictures on their own are left out."""
    leader = list(range(len(prints)))

    def find(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    for i, j in alike(prints, prints):
        if i < j:
            a, b = sorted((find(i), find(j)))
            leader[b] = a
    sets = defaultdict(list)
    for i in range(len(prints)):
        sets[find(i)].append(i)
    return [members for members in sets.values() if len(members) > 1]
