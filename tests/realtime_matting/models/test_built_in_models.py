"""The default model on the sample that ships with it."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import realtime_matting
from realtime_matting import Matter, open_source
from realtime_matting.defaults import DEFAULT_MODEL
from realtime_matting.models.registry import find_bundle, list_bundles

SAMPLE = Path(realtime_matting.__file__).parent / "sample"


@pytest.fixture(scope="module")
def matter() -> Iterator[Matter]:
    with Matter() as opened:
        yield opened


def frame(name: str, index: int = 5) -> np.ndarray:
    with open_source(str(SAMPLE / name)) as source:
        return next(islice(source, index, None)).rgb


@pytest.mark.parametrize(
    ("clip", "person", "room"),
    [
        ("talk.mp4", (0.6, 0.53), (0.1, 0.1)),
        ("turn.mp4", (0.6, 0.6), (0.15, 0.1)),
        ("gesture.mp4", (0.6, 0.5), (0.5, 0.9)),
    ],
)
def test_the_person_is_kept_and_the_room_is_not(
    matter: Matter, clip: str, person: tuple[float, float], room: tuple[float, float]
) -> None:
    rgb = frame(clip)
    matte = matter(rgb)
    height, width = rgb.shape[:2]

    def mean_around(spot: tuple[float, float]) -> float:
        y, x = int(spot[0] * height), int(spot[1] * width)
        return float(matte.alpha[max(0, y - 8) : y + 8, max(0, x - 8) : x + 8].mean())

    assert mean_around(person) > 0.95
    assert mean_around(room) < 0.05
    assert 0.05 < matte.alpha.mean() < 0.7


def test_a_beach_without_people_stays_empty(matter: Matter) -> None:
    alpha = matter(frame("beach.jpg", 0)).alpha
    assert alpha.mean() < 0.02
    assert (alpha > 0.5).mean() < 0.01


def test_both_engines_agree(matter: Matter) -> None:
    rgb = frame("turn.mp4")
    with Matter(engine="onnxruntime") as other:
        assert np.abs(matter(rgb).alpha - other(rgb).alpha).mean() < 0.01


def test_every_built_in_bundle_tells_its_data_licences_and_figures() -> None:
    assert DEFAULT_MODEL in list_bundles()
    for name in list_bundles():
        manifest = find_bundle(name).manifest
        assert manifest.licence == "Apache-2.0"
        assert all(source.licence and source.attribution for source in manifest.training_data)
        assert manifest.metrics
        assert (find_bundle(name).folder / "README.md").is_file()
