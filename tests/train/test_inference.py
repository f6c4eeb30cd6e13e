"""Checkpoints made on the fly with random weights, and networks whose answers can be computed by hand."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_matting.errors import EngineError, InputError
from train.checkpoints import Checkpoint, save_checkpoint
from train.config import LossConfig
from train.data.trimaps import BACKGROUND, FOREGROUND, UNKNOWN
from train.inference import Predictor, open_checkpoint, resize_trimap
from train.networks import build_network
from train.parts import Parts
from train.recipes.dim import train_dim
from train.recipes.shm import train_shm
from train.recipes.u2net import train_u2net
from train.tiling import blend_tiles, starts

DIM = {"widths": [4, 4, 4, 4, 4]}
ABOUT = Checkpoint("by-hand", "only", 0, {})
CPU = torch.device("cpu")


def write(folder: Path, network: str, phase: str, prefix: str = "", **options) -> Path:
    torch.manual_seed(3)
    weights = build_network(network, options).state_dict()
    kept = {name: tensor for name, tensor in weights.items() if name.startswith(prefix)}
    save_checkpoint(folder, Checkpoint(network, phase, 7, {}, options=options), kept, None, None)
    return folder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("checkpoints")
    write(root / "t_net", "shm-mobile", "t_net", "t_net.")
    write(root / "m_net", "shm-mobile", "m_net", "m_net.")
    write(root / "end_to_end", "shm-mobile", "end_to_end")
    for stage in range(4):
        write(root / f"stage{stage}", "dim", f"stage{stage}", **DIM)
    write(root / "coarse", "u2netp", "coarse")
    return root


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (50, 90, 3), np.uint8)


@pytest.fixture(scope="module")
def trimap():
    drawn = np.full((50, 90), BACKGROUND, np.uint8)
    drawn[10:40, 20:70] = UNKNOWN
    drawn[20:30, 35:55] = FOREGROUND
    return drawn


def by_hand(method="whole", *, max_side=None, size=64, overlap=16, **parts) -> Predictor:
    return Predictor(Parts(320, **parts), ABOUT, CPU, method=method, max_side=max_side, size=size, overlap=overlap)


def red(rgb, trimap):
    """A matting network for which the redder a pixel, the more opaque it is."""
    return rgb[:, :1]


@pytest.mark.parametrize(
    ("name", "needs", "takes", "alpha", "own_trimap"),
    [
        ("t_net", False, False, False, True),
        ("m_net", True, True, True, False),
        ("end_to_end", False, True, True, True),
        ("stage0", True, True, True, False),
        ("stage1", True, True, True, False),
        ("stage2", True, True, True, False),
        ("stage3", True, True, True, False),
        ("coarse", False, False, True, False),
    ],
)
def test_every_phase_gives_what_it_has_learnt(checkpoints, picture, trimap, name, needs, takes, alpha, own_trimap):
    predictor = open_checkpoint(checkpoints / name, device="cpu")
    assert (predictor.needs_trimap, predictor.takes_trimap, predictor.gives_alpha) == (needs, takes, alpha)
    assert "(step 7) on cpu" in predictor.describe()
    given = trimap if takes else None
    result = predictor.predict(picture, given)
    if alpha:
        assert result.alpha.shape == (50, 90)
        assert result.alpha.dtype == np.float32
        assert 0 <= result.alpha.min() <= result.alpha.max() <= 1
    else:
        assert result.alpha is None
    if takes:
        assert np.array_equal(result.trimap, trimap)
        assert (result.alpha[trimap == BACKGROUND] == 0).all()
        assert (result.alpha[trimap == FOREGROUND] == 1).all()
    if own_trimap:
        alone = predictor.predict(picture)
        assert alone.trimap.dtype == np.uint8
        assert alone.trimap.shape == (50, 90)
        assert set(np.unique(alone.trimap)) <= {BACKGROUND, UNKNOWN, FOREGROUND}


@pytest.mark.parametrize("method", ["whole", "crop", "resize"])
@pytest.mark.parametrize("name", ["m_net", "stage1"])
def test_known_regions_are_exact_by_every_method(checkpoints, picture, trimap, name, method):
    predictor = open_checkpoint(checkpoints / name, device="cpu", method=method, max_side=64, size=64, overlap=8)
    alpha = predictor.predict(picture, trimap).alpha
    known = trimap != UNKNOWN
    assert np.array_equal(alpha[known], (trimap[known] == FOREGROUND).astype(np.float32))
    assert 0 < alpha[~known].mean() < 1


@pytest.mark.parametrize(("stage", "refined"), [(0, False), (1, False), (2, True), (3, True)])
def test_the_stage_of_a_dim_checkpoint_tells_which_alpha_counts(tmp_path, picture, trimap, stage, refined):
    torch.manual_seed(0)
    network = build_network("dim", DIM).eval()
    with torch.no_grad():
        network.refinement.predict.bias.fill_(0.25)
        rgb = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in (network.mean, network.std))
        levels = torch.from_numpy(trimap.astype(np.float32) / 255).round(decimals=1)[None, None]
        both = network((rgb - mean) / std, levels)
    save_checkpoint(
        tmp_path / "c", Checkpoint("dim", f"stage{stage}", 0, {}, options=DIM), network.state_dict(), None, None
    )
    alpha = open_checkpoint(tmp_path / "c", device="cpu").predict(picture, trimap).alpha
    expected = both[int(refined)][0, 0].numpy()
    unknown = trimap == UNKNOWN
    assert (both.raw - both.refined).abs().max() > 0.2
    np.testing.assert_allclose(alpha[unknown], expected[unknown], atol=1e-5)


def test_what_the_recipes_have_just_saved_can_be_opened(toy_config, toy_u2net, tmp_path, picture, trimap):
    phase = toy_config.phase("m_net").model_copy(update={"loss": LossConfig(), "crop": 64})
    toy_dim = toy_config.model_copy(update={"network": "dim", "network_options": DIM, "phases": {"stage1": phase}})
    common = {"resume": False, "steps": 1, "device": "cpu"}
    train_shm(toy_config, "t_net", tmp_path, **common)
    train_shm(toy_config, "m_net", tmp_path, **common)
    train_dim(toy_dim, 1, tmp_path, **common)
    train_u2net(toy_u2net, 1, tmp_path, **common)
    for name in ("t_net", "m_net", "stage1", "coarse"):
        predictor = open_checkpoint(tmp_path / name / "last", device="cpu")
        assert (predictor.about.phase, predictor.about.step) == (name, 1)
        result = predictor.predict(picture, trimap if predictor.needs_trimap else None)
        assert (result.trimap if name == "t_net" else result.alpha).shape == (50, 90)


def test_an_m_net_alone_gives_what_it_gives_within_the_whole_network(checkpoints, picture, trimap):
    # Both were made from one seed, so the M-Net's weights are the same.
    alone, within = (open_checkpoint(checkpoints / name, device="cpu") for name in ("m_net", "end_to_end"))
    assert np.array_equal(alone.predict(picture, trimap).alpha, within.predict(picture, trimap).alpha)


@pytest.mark.parametrize("overlap", [0, 1, 16, 32])
def test_tiles_of_a_network_that_looks_at_single_pixels_give_the_picture(overlap):
    rgb = np.random.default_rng(1).integers(0, 256, (150, 201, 3), np.uint8)
    unknown = np.full((150, 201), UNKNOWN, np.uint8)
    alpha = by_hand("crop", overlap=overlap, matting=red).predict(rgb, unknown).alpha
    np.testing.assert_allclose(alpha, rgb[..., 0] / 255, atol=1e-6)


def test_tiles_are_run_only_where_something_is_unknown():
    seen = []

    def matting(rgb, trimap):
        seen.append(tuple(rgb.shape[-2:]))
        return rgb[:, :1]

    trimap = np.zeros((200, 200), np.uint8)
    trimap[:10, :10] = UNKNOWN
    rgb = np.full((200, 200, 3), 51, np.uint8)
    alpha = by_hand("crop", matting=matting).predict(rgb, trimap).alpha
    assert seen == [(64, 64)]
    np.testing.assert_allclose(alpha[:10, :10], 0.2, atol=1e-6)
    assert not alpha[10:].any()


def test_without_anything_unknown_no_network_runs(trimap):
    def matting(rgb, trimap):
        raise AssertionError("ran")

    known = np.where(trimap == UNKNOWN, BACKGROUND, trimap).astype(np.uint8)
    rgb = np.zeros((50, 90, 3), np.uint8)
    assert np.array_equal(by_hand(matting=matting).predict(rgb, known).alpha, known / np.float32(255))


@pytest.mark.parametrize(
    ("options", "given", "seen"),
    [
        ({}, False, (180, 320)),
        ({}, True, (900, 1600)),
        ({"max_side": 640}, False, (360, 640)),
        ({"max_side": 640}, True, (360, 640)),
        ({"max_side": 4000}, True, (1125, 2000)),
        ({"method": "resize", "size": 96}, True, (96, 96)),
        ({"method": "crop", "size": 1024, "overlap": 0}, True, (1024, 1024)),
    ],
)
def test_the_network_sees_the_picture_at_the_size_of_the_method(options, given, seen):
    sizes = set()

    def trimap_of(rgb):
        sizes.add(tuple(rgb.shape[-2:]))
        return torch.full((1, 3, 4, 4), 1 / 3)

    def matting(rgb, trimap):
        sizes.add(tuple(rgb.shape[-2:]))
        assert rgb.shape[-2:] == trimap.shape[-2:]
        return rgb[:, :1]

    rgb = np.full((1125, 2000, 3), 128, np.uint8)
    unknown = np.full((1125, 2000), UNKNOWN, np.uint8)
    result = by_hand(**{"method": "whole", **options}, trimap=trimap_of, matting=matting).predict(
        rgb, unknown if given else None
    )
    assert sizes == {seen}
    assert result.alpha.shape == (1125, 2000)
    assert result.alpha.dtype == np.float32


@pytest.mark.parametrize("method", ["whole", "crop", "resize"])
def test_a_network_of_its_own_trimap_fuses_it_with_its_alpha(method):
    """Semantic Human Matting, equation 1; where the trimap is certain the alpha is exact."""

    def trimap_of(rgb):
        classes = torch.zeros(1, 3, *rgb.shape[-2:])
        third = rgb.shape[-1] // 3
        classes[:, 0, :, :third] = 1
        classes[:, 1, :, third:-third] = 1
        classes[:, 2, :, -third:] = 1
        return classes

    rgb = np.full((96, 288, 3), 102, np.uint8)
    result = by_hand(method, max_side=288, size=288, overlap=0, trimap=trimap_of, matting=red).predict(rgb)
    assert (result.alpha[:, :96] == 0).all()
    assert (result.alpha[:, 192:] == 1).all()
    # What is within 0.006 of 0 and 1, and within 0.03 behind the filters, is stretched to them, as the runtime does;
    # and its filters look 32 pixels around.
    fused = (0.4 - 0.006) / 0.988
    np.testing.assert_allclose(result.alpha[:, 132:156], (fused - 0.03) / 0.94, atol=1e-4)
    assert [result.trimap[0, column] for column in (0, 144, 287)] == [BACKGROUND, UNKNOWN, FOREGROUND]


@given(length=st.integers(1, 500), tile=st.integers(2, 120), data=st.data())
def test_tiles_reach_from_end_to_end_and_share_what_was_asked_for(length, tile, data):
    overlap = data.draw(st.integers(0, tile // 2))
    found = starts(length, tile, overlap)
    assert found[0] == 0
    assert found[-1] + tile >= length
    if length > tile:
        assert found[-1] + tile == length
        assert len(found) == math.ceil((length - overlap) / (tile - overlap))
        assert all(first + tile - second >= overlap for first, second in pairwise(found))


@settings(max_examples=30)
@given(height=st.integers(1, 60), width=st.integers(1, 60), tile=st.integers(4, 40), seed=st.integers(0, 9))
def test_tiles_that_agree_blend_to_what_they_say(height, width, tile, seed):
    expected = np.random.default_rng(seed).random((height, width), np.float32)
    blended = blend_tiles((height, width), tile, tile // 2, lambda window: expected[window])
    np.testing.assert_allclose(blended, expected, atol=1e-6)


def test_tiles_that_disagree_leave_no_seam():
    values = iter(np.linspace(0, 1, 9, dtype=np.float32))
    blended = blend_tiles((160, 160), 64, 16, lambda window: np.full((64, 64), next(values), np.float32))
    steps = max(np.abs(np.diff(blended, axis=axis)).max() for axis in (0, 1))
    assert blended.min() == pytest.approx(0, abs=1e-6)
    assert blended.max() == pytest.approx(1, abs=1e-6)
    assert steps < 0.375 / 16 * 2.5  # tiles differ by 0.375 at most, over 16 pixels or more


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    at=st.tuples(st.integers(0, 47), st.integers(0, 63)),
    inside=st.sampled_from([BACKGROUND, FOREGROUND]),
)
def test_a_single_unknown_pixel_survives_when_a_trimap_shrinks(size, at, inside):
    trimap = np.full((48, 64), inside, np.uint8)
    trimap[at] = UNKNOWN
    small = resize_trimap(trimap, *size)
    assert small.shape == size
    assert set(np.unique(small)) <= {inside, UNKNOWN}
    assert (small == UNKNOWN).any()
    assert small[at[0] * size[0] // 48, at[1] * size[1] // 64] == UNKNOWN


def test_where_foreground_meets_background_a_smaller_trimap_is_unknown():
    trimap = np.repeat(np.array([[0] * 5 + [255] * 5], np.uint8), 10, axis=0)
    assert resize_trimap(trimap, 5, 5)[0].tolist() == [0, 0, UNKNOWN, 255, 255]


@pytest.mark.parametrize(
    ("name", "given", "complaint"),
    [
        ("m_net", None, r"shm-mobile \(m_net\) needs a trimap"),
        ("stage0", None, r"dim \(stage0\) needs a trimap"),
        ("coarse", np.zeros((50, 90), np.uint8), r"u2netp \(coarse\) takes no trimap"),
        ("t_net", np.zeros((50, 90), np.uint8), r"shm-mobile \(t_net\) takes no trimap"),
        ("end_to_end", np.zeros((90, 50), np.uint8), r"of the picture's size \(50, 90\), not uint8 \(90, 50\)"),
        ("end_to_end", np.zeros((50, 90), np.float32), "not float32"),
        ("end_to_end", np.full((50, 90), 127, np.uint8), "the trimap holds 127"),
    ],
)
def test_a_trimap_that_is_missing_unwanted_or_wrong_is_one_line(checkpoints, picture, name, given, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        open_checkpoint(checkpoints / name, device="cpu").predict(picture, given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(wrong):
    with pytest.raises(InputError, match="a picture is uint8"):
        by_hand(matting=red).predict(wrong)


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("stage1", {"method": "tiles"}, "tiles: no such method"),
        ("stage1", {"size": 32}, "must be 64 pixels or more"),
        ("stage1", {"max_side": 5}, "must be 64 pixels or more"),
        ("stage1", {"overlap": 200}, "must be from 0 to half the tile, 160"),
        ("coarse", {"method": "crop"}, "judges by the whole picture"),
        ("t_net", {"method": "crop"}, "judges by the whole picture"),
        ("stage1", {"device": "tpu"}, "tpu: no such device"),
        ("stage1", {"device": "meta"}, "meta: no such device"),
        ("nothing", {}, "no checkpoint here"),
    ],
)
def test_settings_that_make_no_sense_are_refused(checkpoints, name, options, complaint):
    with pytest.raises(InputError, match=complaint):
        open_checkpoint(checkpoints / name, **{"device": "cpu", **options})


def test_tiles_share_a_fifth_unless_something_else_is_asked_for(checkpoints):
    for size, overlap, expected in ((320, None, 64), (100, None, 20), (100, 0, 0)):
        predictor = open_checkpoint(checkpoints / "stage1", device="cpu", method="crop", size=size, overlap=overlap)
        assert (predictor.size, predictor.overlap) == (size, expected)


def test_a_gpu_that_is_not_there_is_an_error_and_auto_takes_what_is(checkpoints):
    with pytest.raises(EngineError, match="cuda:99: there is no such GPU here"):
        open_checkpoint(checkpoints / "stage1", device="cuda:99")
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert open_checkpoint(checkpoints / "stage1").device.type == expected


@pytest.mark.parametrize(("network", "options"), [("shm-mobile", {}), ("dim", DIM)])
def test_an_unknown_phase_is_named(tmp_path, network, options):
    write(tmp_path / "c", network, "stage9", **options)
    with pytest.raises(InputError, match="has no phase stage9; it has "):
        open_checkpoint(tmp_path / "c", device="cpu")


@pytest.mark.parametrize(
    "failure",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_too_little_memory_says_what_to_do(failure):
    def matte(rgb):
        raise failure

    with pytest.raises(EngineError, match=r"not enough for 4x4 pixels.*method crop"):
        by_hand(matte=matte).predict(np.zeros((4, 4, 3), np.uint8))


def test_other_failures_are_not_taken_for_too_little_memory():
    def matte(rgb):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        by_hand(matte=matte).predict(np.zeros((4, 4, 3), np.uint8))
