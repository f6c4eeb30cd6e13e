"""Telling versions of one picture from different pictures."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from train.data.faults import is_damaged
from train.data.twins import Fingerprint, alike, clusters, fingerprint

Draw = Callable[..., np.ndarray]


def marks(pictures: list[np.ndarray]) -> list[Fingerprint]:
    return [fingerprint(str(number), picture) for number, picture in enumerate(pictures)]


def recompressed(picture: np.ndarray, quality: int) -> np.ndarray:
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def test_scaled_and_compressed_versions_are_found_and_others_are_not(scene: Draw) -> None:
    originals = [scene(seed, 240, 320) for seed in range(30)]
    versions = [recompressed(cv2.resize(p, (200, 150), interpolation=cv2.INTER_AREA), 60) for p in originals]
    assert alike(marks(originals), marks(versions)) == [(i, i) for i in range(30)]


def test_plain_pictures_of_different_colours_are_not_alike() -> None:
    plain = [np.full((50, 50, 3), level, np.uint8) for level in (0, 80, 160, 240)]
    assert clusters(marks(plain)) == []
    assert clusters(marks([*plain, plain[2] + 1])) == [[2, 4]]


def test_a_foreground_is_compared_without_what_is_behind_it(scene: Draw, disc_alpha: Draw) -> None:
    alpha, color = disc_alpha(), scene(1, 120, 100)
    other = np.where(alpha[..., None] > 0, color, scene(2, 120, 100))
    assert alike([fingerprint("a", color, alpha)], [fingerprint("b", other, alpha)])
    assert not alike([fingerprint("a", color)], [fingerprint("b", other)])


def test_chains_of_versions_are_one_cluster(scene: Draw) -> None:
    pictures = [scene(1), scene(2), recompressed(scene(1), 50), scene(3), recompressed(scene(1), 80)]
    assert clusters(marks(pictures)) == [[0, 2, 4]]


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_files_that_end_early_are_damaged_and_whole_ones_are_not(scene: Draw, extension: str) -> None:
    data = cv2.imencode(extension, scene(1))[1].tobytes()
    assert not is_damaged(data)
    assert not is_damaged(data + b"appended by a camera")
    for length in (len(data) - 1, len(data) // 2, 30):
        assert is_damaged(data[:length]), length


def test_a_changed_byte_inside_a_png_is_noticed(scene: Draw) -> None:
    data = bytearray(cv2.imencode(".png", scene(1))[1].tobytes())
    data[len(data) // 2] ^= 1
    assert is_damaged(bytes(data))
