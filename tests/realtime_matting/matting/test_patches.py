import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_matting.defaults import DEFAULT_MODEL
from realtime_matting.errors import MattingError
from realtime_matting.matting.fusion import fuse
from realtime_matting.matting.networks import Networks
from realtime_matting.matting.patches import Tiling
from realtime_matting.models.registry import find_bundle
from realtime_matting.tiles import Rectangle

SIZES = st.tuples(st.integers(1, 24), st.integers(1, 40))


@settings(max_examples=60)
@given(SIZES, st.integers(0, 999))
def test_tiles_are_of_one_size_inside_the_picture_at_multiples_of_the_stride(cells: tuple[int, int], seed: int) -> None:
    tiling = Tiling(cells[0] * 16, cells[1] * 16, 16)
    gain = np.random.default_rng(seed).random(cells, np.float32)
    tiles, _ = tiling.choose(gain, 0.5, 100)
    for tile in tiles:
        outer = tile.outer
        assert (outer.bottom - outer.top, outer.right - outer.left) == tiling.tile_size
        assert min(outer.top, outer.left) >= 0
        assert outer.bottom <= tiling.height
        assert outer.right <= tiling.width
        assert all(side % 16 == 0 for side in outer)
        assert outer.top <= tile.core.top < tile.core.bottom <= outer.bottom
        assert outer.left <= tile.core.left < tile.core.right <= outer.right


@settings(max_examples=60)
@given(SIZES, st.integers(0, 999))
def test_what_there_is_to_gain_is_gained_or_left(cells: tuple[int, int], seed: int) -> None:
    tiling = Tiling(cells[0] * 16, cells[1] * 16, 16)
    gain = np.random.default_rng(seed).random(cells, np.float32)
    tiles, left = tiling.choose(gain, 1e-3, 10_000)
    covered = np.zeros(cells, bool)
    for tile in tiles:
        covered[tile.core.top // 16 : tile.core.bottom // 16, tile.core.left // 16 : tile.core.right // 16] = True
    np.testing.assert_array_equal(left, np.where(covered, 0, gain))
    assert left.sum() < 1e-3 * len(gain.ravel()) + 1e-3


def test_the_best_place_is_taken_first_and_little_is_left_alone() -> None:
    tiling = Tiling(288, 512, 16)
    gain = np.zeros(tiling.cells, np.float32)
    gain[2:4, 20:24], gain[15, 3] = 10, 30
    tiles, left = tiling.choose(gain, 50, 9)
    assert len(tiles) == 1
    assert tiles[0].core.left <= 20 * 16
    assert tiles[0].core.right >= 24 * 16
    assert left.sum() == 30
    assert tiling.choose(gain, 20, 1)[1].sum() == 30


def test_tiles_of_a_known_answer_make_that_answer_without_a_seam() -> None:
    tiling = Tiling(160, 256, 16)
    answer = np.random.default_rng(0).random((150, 250), np.float32)
    picture = np.full((150, 250), 128, np.uint8)
    tiles, _ = tiling.choose(np.ones(tiling.cells, np.float32), 1e-3, 100)
    for tile in tiles:
        tiling.place(tile, answer[tile.outer.slices()], picture)
    np.testing.assert_allclose(picture / 255, answer, atol=0.006)


def test_a_single_tile_fades_into_what_is_there() -> None:
    tiling = Tiling(288, 512, 16)
    gain = np.zeros(tiling.cells, np.float32)
    gain[9, 16] = 1
    (tile,), _ = tiling.choose(gain, 0.5, 1)
    placed = np.zeros((288, 512), np.uint8)
    tiling.place(tile, np.ones(tiling.tile_size, np.float32), placed)
    assert (placed[tile.core.slices()] == 255).all()
    assert np.abs(np.diff(placed.astype(int), axis=1)).max() < 0.15 * 255
    assert placed[: tile.outer.top].max() == 0


@pytest.fixture(scope="module")
def networks() -> Networks:
    try:
        opened = Networks(find_bundle(DEFAULT_MODEL), engine="openvino", threads=1, precision="f32")
    except MattingError as error:
        pytest.skip(str(error))
    yield opened
    opened.close()


def test_a_real_network_in_tiles_gives_what_it_gives_for_the_whole_frame(networks: Networks) -> None:
    spec = networks.roles["matting"]
    assert spec.long_side is not None
    height, width = 368, spec.long_side
    generator = np.random.default_rng(1)
    y, x = np.indices((height, width), np.float32)
    distance = np.hypot(y - 150, x - 250) - 90
    probabilities = np.empty((3, height, width), np.float32)
    probabilities[2] = np.clip(-distance / 24, 0, 1)
    probabilities[0] = np.clip(distance / 24, 0, 1)
    probabilities[1] = 1 - probabilities[0] - probabilities[2]
    rgb = np.where(distance[..., None] < 0, (180, 140, 120), (60, 90, 110)) + generator.normal(0, 6, (height, width, 3))
    rgb = np.clip(rgb, 0, 255).astype(np.uint8)
    whole = fuse(probabilities, networks.matting(rgb, probabilities)[0])

    tiling = Tiling(height, width, networks.roles["matting"].stride)
    band = probabilities[1].reshape(tiling.cells[0], 16, tiling.cells[1], 16).sum((1, 3))
    tiles, _ = tiling.choose(band, 1e-3, 100)
    answers = networks.matting_tiles(rgb, probabilities, [tile.outer for tile in tiles])
    picture = np.rint(255 * fuse(probabilities, np.zeros((height, width), np.float32))).astype(np.uint8)
    for tile, raw in zip(tiles, answers, strict=True):
        tiling.place(tile, fuse(probabilities[(slice(None), *tile.outer.slices())], raw), picture)
    tiled = picture * np.float32(1 / 255)

    soft = probabilities[1] > 0.05
    assert np.abs(tiled - whole)[soft].mean() < 0.01
    # A seam would be a step between neighbours that the whole frame does not have.
    for axis in (0, 1):
        steps = np.abs(np.diff(tiled, axis=axis) - np.diff(whole, axis=axis))
        assert np.quantile(steps, 0.999) < 0.05


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_a_batch_gives_what_its_tiles_give_one_by_one(networks: Networks, count: int) -> None:
    generator = np.random.default_rng(2)
    rgb = generator.integers(0, 256, (160, 256, 3), dtype=np.uint8)
    probabilities = generator.dirichlet((1, 1, 1), (160, 256)).astype(np.float32).transpose(2, 0, 1)
    areas = [Rectangle(16 * (n % 3), 16 * (n % 3) + 128, 16 * n, 16 * n + 128) for n in range(count)]
    together = networks.matting_tiles(rgb, probabilities, areas)
    assert len(together) == count
    for area, answer in zip(areas, together, strict=True):
        (alone,) = networks.matting_tiles(rgb, probabilities, [area])
        np.testing.assert_allclose(answer, alone, atol=1e-4)
