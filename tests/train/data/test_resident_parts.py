"""What resident samples are made with: each part against OpenCV's, as the loader uses it."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from train.data import augment
from train.data.compose import cover, place
from train.data.placement import CutSides, draw_placement
from train.data.resident import filters
from train.data.resident.atlas import Atlas, Level, choose_level, resample
from train.data.resident.draws import draw_cover, draw_dye, draw_look, ellipse_reach, placement_map
from train.data.resident.plan import dye_numbers
from train.data.resident.store import Stored
from train.data.trimaps import classes, trimap_from_alpha

CPU = torch.device("cpu")


def natural(height: int, width: int, channels: int = 4) -> np.ndarray:
    """Smooth shapes and some texture."""
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, channels), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)


def shown(picture: np.ndarray, map_: tuple[float, ...], width: int, height: int) -> torch.Tensor:
    atlas = Atlas([natural(30, 20), picture], CPU)
    view = choose_level(atlas.levels[1], map_)  # type: ignore[arg-type]
    numbers = torch.tensor([[*view.map, view.level.width, view.level.height, view.spread]])
    offsets = torch.tensor([view.level.offset])
    return 255 * resample(atlas.pixels, offsets, numbers, width, height, shrunk=view.spread > 0)[0]


@pytest.mark.parametrize("size", [(200, 150), (150, 112), (100, 75), (61, 47), (49, 37), (33, 25), (320, 240)])
def test_resampling_is_as_sharp_as_an_area_filter(size: tuple[int, int]) -> None:
    picture = cv2.resize(natural(40, 56), (200, 150), interpolation=cv2.INTER_CUBIC)
    sx, sy = 200 / size[0], 150 / size[1]
    made = shown(picture, (sx, 0, 0.5 * sx - 0.5, 0, sy, 0.5 * sy - 0.5), *size)[:4]
    filter_ = cv2.INTER_AREA if sx > 1 else cv2.INTER_LINEAR
    expected = torch.from_numpy(cv2.resize(picture, size, interpolation=filter_)).permute(2, 0, 1).float()
    assert (made - expected).abs().mean() < 2.5
    assert made.std().item() == pytest.approx(expected.std().item(), rel=0.06)


def test_outside_a_picture_its_edge_goes_on_and_is_marked() -> None:
    made = shown(natural(40, 40), (1, 0, -10, 0, 1, -10), 60, 60)
    assert (made[4, :9] == 0).all()
    assert (made[4, 10:50, 10:50] == 255).all()
    assert torch.allclose(made[:4, 20, 5], made[:4, 20, 10], atol=1e-3)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6), width=st.integers(60, 200), height=st.integers(60, 200), tight=st.booleans(),
    cut=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
)  # fmt: skip
def test_a_person_lands_where_the_loader_puts_them(
    seed: int, width: int, height: int, tight: bool, cut: tuple[bool, bool, bool, bool]
) -> None:
    left, top, right, bottom = cut
    rgba = np.zeros((90, 70, 4), np.uint8)
    rgba[..., :3] = natural(90, 70, 3)[:90, :70]
    box = (slice(0 if top else 20, 90 if bottom else 75), slice(0 if left else 15, 70 if right else 60))
    rgba[(*box, 3)] = 255
    expected, where = place(np.random.default_rng(seed), rgba, width, height, tight=tight)
    person = np.ascontiguousarray(rgba[box])
    size = (person.shape[1], person.shape[0])
    rng = np.random.default_rng(seed)
    placement = draw_placement(rng, size, CutSides(left, top, right, bottom), width, height, tight=tight)
    assert placement is not None
    assert placement == where
    made = shown(person, placement_map(placement, *size), width, height)
    alpha = (made[3] * made[4] / 255).numpy()
    # A pixel of the edge may differ by the filter; the edge is at most a few hundred pixels long.
    assert np.abs(alpha - expected[..., 3]).mean() < 255 * 1.0 * (width + height) / (width * height)
    inside = (expected[..., 3] == 255) & (alpha > 254)
    if inside.sum() > 100:
        assert np.abs(made[:3].permute(1, 2, 0).numpy() - expected[..., :3])[inside].mean() < 12


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), width=st.integers(20, 200), height=st.integers(20, 200))
def test_a_background_is_cropped_as_by_the_loader(seed: int, width: int, height: int) -> None:
    picture = cv2.resize(natural(32, 40), (160, 120), interpolation=cv2.INTER_CUBIC)
    expected = cover(picture, width, height, np.random.default_rng(seed)).astype(np.float32)
    made = shown(picture, draw_cover(np.random.default_rng(seed), 160, 120, width, height), width, height)
    assert np.abs(made[:4].permute(1, 2, 0).numpy() - expected).mean() < 4


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    radii=st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=3),
)  # fmt: skip
def test_trimaps_are_exactly_those_of_opencv(seed: int, radii: list[tuple[float, float]]) -> None:
    rng = np.random.default_rng(seed)
    alphas = np.stack([cv2.resize(rng.normal(0.5, 0.7, (4, 5)).astype(np.float32), (41, 33)) for _ in radii]).clip(0, 1)
    longest = max(round(max(pair)) for pair in radii)
    reach = np.stack([[ellipse_reach(r, longest) for r in side] for side in zip(*radii, strict=True)])
    made = filters.trimap_classes(torch.from_numpy(alphas)[:, None], torch.from_numpy(reach))
    for alpha, trimap, (erosion, dilation) in zip(alphas, made, radii, strict=True):
        assert np.array_equal(trimap.numpy(), classes(trimap_from_alpha(alpha, erosion, dilation)))


def test_blurs_of_each_width_equal_opencvs() -> None:
    picture = natural(48, 64, 3).astype(np.float32) / 255
    sigmas = (0.4, 1.3, 5.0)
    tensor = torch.from_numpy(picture).permute(2, 0, 1).expand(3, -1, -1, -1)
    made = filters.gaussian_blur(tensor, torch.tensor(sigmas))
    for sigma, blurred in zip(sigmas, made, strict=True):
        margin = int(4 * sigma) + 1
        inside = slice(margin, 48 - margin), slice(margin, 64 - margin)  # edges are treated differently
        expected = cv2.GaussianBlur(picture, (0, 0), sigma)[inside]
        assert np.abs(blurred.permute(1, 2, 0).numpy()[inside] - expected).max() < 0.005


def test_a_low_resolution_camera_equals_opencvs_two_resizes() -> None:
    picture = natural(48, 64, 3).astype(np.float32) / 255
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None]
    made = filters.lower_resolution(tensor, torch.tensor([[29.0, 22.0]]))
    small = cv2.resize(picture, (29, 22), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(small, (64, 48), interpolation=cv2.INTER_LINEAR)
    assert np.abs(made[0].permute(1, 2, 0).numpy() - expected).max() < 0.002


@pytest.mark.parametrize("quality", [25, 50, 75, 95])
def test_compression_leaves_what_a_jpeg_encoder_leaves(quality: int) -> None:
    picture = natural(44, 60, 3)  # no multiple of 16
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    made = filters.jpeg(tensor, torch.tensor([float(quality)]), filters.Constants(CPU))[0].permute(1, 2, 0) * 255
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    expected = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.float32)
    lost = np.abs(expected - picture).mean()
    assert np.abs(made.numpy() - expected).mean() < 0.25 * lost + 0.6


@pytest.mark.parametrize("quantiser", [24, 30, 36, 41])
def test_a_video_calls_compression_loses_about_what_the_codec_loses(quantiser: int) -> None:
    picture = natural(64, 80, 3)

    class Fixed(np.random.Generator):
        def uniform(self, *_: object) -> float:  # type: ignore[override]
            return quantiser

    expected = augment.h264(Fixed(np.random.PCG64(0)), picture).astype(np.float32)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    made = filters.h264(tensor, torch.tensor([float(quantiser)]), filters.Constants(CPU))[0].permute(1, 2, 0) * 255
    lost, lost_here = np.abs(expected - picture).mean(), np.abs(made.numpy() - picture).mean()
    assert 0.4 < lost_here / lost < 2.5


def test_pictures_of_odd_sides_go_through_the_codec() -> None:
    picture = natural(33, 47, 3)
    decoded = augment.h264(np.random.default_rng(0), picture)
    assert decoded.shape == picture.shape
    assert 0 < np.abs(decoded.astype(np.float32) - picture).mean() < 40


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), strength=st.sampled_from([0.0, 0.5, 1.0]))
def test_clothes_of_the_walls_colour_are_the_loaders(seed: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    color, background = (rng.uniform(0.1, 0.9, 3) * natural(24, 32, 3).astype(np.float32) / 255 for _ in range(2))
    color, background = color.astype(np.float32), background.astype(np.float32)
    alpha = rng.uniform(0, 1, (24, 32)).astype(np.float32)
    expected = augment.toward_background(color, alpha, background, strength)
    tensors = [torch.from_numpy(x).permute(2, 0, 1)[None] for x in (color, alpha[..., None], background)]
    made = filters.toward_background(*tensors, torch.tensor([strength]))[0].permute(1, 2, 0).numpy()
    assert np.abs(made - expected).max() < 1e-4
    means = [(alpha[..., None] * x).sum((0, 1)) for x in (expected, color, background)]
    if strength == 0:
        assert np.allclose(means[0], means[1], rtol=1e-3)
    elif strength == 1:  # no further away than before in any channel; clipping may keep it from arriving
        assert (np.abs(means[0] - means[2]) <= np.abs(means[1] - means[2]) + 0.05 * means[2]).all()


def test_dim_pictures_are_darker_and_noisier_and_light_behind_darkens_people() -> None:
    rng = np.random.default_rng(0)
    drawn = [augment.draw_light(rng, 0.5, 0.5) for _ in range(100)]
    assert {light.people < 1 for light in drawn} == {True, False}
    assert all(light.room > 1 for light in drawn if light.people < 1)
    assert all(light.noise > 1.2 for light in drawn if light.camera < 1)
    assert augment.draw_light(rng, 0, 0) == augment.Light()
    grey = np.full((8, 8, 3), 128, np.uint8)
    shown = [augment.apply_tone(grey, *augment.tone_curve(np.random.default_rng(1), light=x)).mean() for x in (0.4, 1)]
    assert shown[0] < 0.7 * shown[1]


def test_a_smear_mixes_no_black_into_the_edge() -> None:
    alpha = torch.zeros(1, 1, 32, 32)
    alpha[..., 8:24, 8:24] = 1
    color = torch.full((1, 3, 32, 32), 0.7) * alpha  # black outside, which must not bleed in
    kernel = torch.from_numpy(augment.motion_kernel(np.random.default_rng(0), 7))[None]
    smeared, soft = filters.smear(color, alpha, kernel, torch.tensor([[0.5, 0.5, 100.0]]))
    assert ((soft > 0.05) & (soft < 0.95)).any()
    assert torch.allclose(smeared[(soft > 0.05).expand_as(smeared)], torch.tensor(0.7), atol=1e-4)
    expected = cv2.filter2D(alpha[0, 0].numpy(), -1, kernel[0].numpy(), borderType=cv2.BORDER_REPLICATE)
    assert np.abs(soft[0, 0].numpy() - expected).max() < 1e-5


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_a_moving_part_is_smeared_as_in_the_loader_and_the_rest_stays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    color, alpha = natural(40, 48, 3).astype(np.float32) / 255, rng.uniform(0.1, 1, (40, 48)).astype(np.float32)
    kernel, area = augment.motion_kernel(rng, 9), augment.motion_area(rng)
    premultiplied, soft = augment.smear(color * alpha[..., None], alpha, kernel, area)
    tensors = [torch.from_numpy(x).permute(2, 0, 1)[None] for x in (color, alpha[..., None])]
    made = filters.smear(*tensors, torch.from_numpy(kernel)[None], torch.tensor([area], dtype=torch.float32))
    assert np.abs(made[1][0, 0].numpy() - soft).max() < 1e-4
    assert np.abs((made[0] * made[1])[0].permute(1, 2, 0).numpy() - premultiplied).max() < 1e-4
    x, y, radius = area
    assert radius == 100 or soft[0, 0] == alpha[0, 0] or np.hypot(x, y) < radius


def test_noise_has_the_loaders_strength() -> None:
    picture = np.full((96, 96, 3), 0.5, np.float32)

    class Strong(np.random.Generator):
        def exponential(self, *_: object) -> float:  # type: ignore[override]
            return 0.05

    expected = augment.sensor_noise(Strong(np.random.PCG64(0)), picture)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None]
    made = filters.sensor_noise(tensor, torch.tensor([0.05]), torch.Generator().manual_seed(0))
    assert made.std() == pytest.approx(expected.std(), rel=0.05)
    pooled = F.avg_pool2d(made, 4).std().item()  # blotches outlive averaging
    assert pooled == pytest.approx(float(cv2.blur(expected, (4, 4))[::4, ::4].std()), rel=0.15)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), strength=st.sampled_from([0.6, 1.0]))
def test_a_look_is_the_loaders(seed: int, strength: float) -> None:
    picture = natural(24, 32, 3)
    expected = augment.apply_tone(picture, *augment.tone_curve(np.random.default_rng(seed), strength))
    look = torch.tensor([draw_look(np.random.default_rng(seed), strength)], dtype=torch.float32)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    made = filters.apply_look(tensor, look, filters.Constants(CPU))[0].permute(1, 2, 0).numpy()
    assert np.abs(made - expected).max() < 2.5 / 255


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_dyed_cloth_is_the_loaders(seed: int) -> None:
    rgba = np.full((80, 60, 4), 255, np.uint8)
    rgba[..., :3] = 225
    rgba[:, :20, :3] = (180, 40, 30)  # no pale cloth
    expected = augment.recolor_white_clothes(np.random.default_rng(seed), rgba)[..., :3] / 255
    dye = draw_dye(np.random.default_rng(seed), 80)
    stored = Stored((Level(0, 60, 80),), full_height=80)
    numbers = torch.tensor([dye_numbers(dye, stored, (1, 0, 0, 0, 1, 0))], dtype=torch.float32)
    tensor = torch.from_numpy(rgba[..., :3]).permute(2, 0, 1)[None].float() / 255
    made = filters.dye_pale_cloth(tensor, numbers)[0].permute(1, 2, 0).numpy()
    # A stripe's edge may fall on the other side of a pixel's middle.
    assert np.abs(made - expected).mean() < 0.01
    assert np.abs(made - expected)[:, :18].max() < 0.01
