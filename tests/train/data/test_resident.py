"""Samples made on the training device (here: the CPU, in the same tensor operations)."""

from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.data import default_collate

from realtime_matting.errors import InputError, MattingError
from train.config import TrainConfig
from train.data.dataset import MattingSamples, SampleSpec
from train.data.resident import ResidentSamples
from train.data.resident.atlas import require_room
from train.data.trimaps import IGNORE

CPU = torch.device("cpu")
SPECS = {
    "trimap": SampleSpec(kind="trimap", sizes=((96, 64), (64, 64)), masks=True),
    "crop": SampleSpec(kind="crop", crop=48, crops=(32, 48, 96), erosion=(1, 4), dilation=(1, 4)),
    "whole": SampleSpec(kind="whole", size=(96, 64)),
    "whole with windows": SampleSpec(kind="whole", size=(96, 64), crops=(32,)),
}
BATCH = 4


def both(config: TrainConfig, kind: str, **changes: object) -> tuple[ResidentSamples, MattingSamples]:
    data = config.data.model_copy(update=changes)
    options = {"seed": 3, "batch_size": BATCH, "length": 400}
    return (
        ResidentSamples(data, SPECS[kind], device=CPU, **options),  # type: ignore[arg-type]
        MattingSamples(data, SPECS[kind], **options),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("kind", SPECS)
def test_keys_shapes_and_kinds_are_those_of_the_loader(toy_config: TrainConfig, kind: str) -> None:
    resident, loader = both(toy_config, kind)
    for first in range(0, 3 * BATCH, BATCH):
        made = resident.batch(range(first, first + BATCH))
        expected = default_collate([loader[i] for i in range(first, first + BATCH)])
        assert made.keys() == expected.keys()
        assert made["name"] == expected["name"]
        for key in made.keys() - {"name"}:
            assert made[key].shape == expected[key].shape, key
            floats = expected[key].dtype in (torch.uint8, torch.float32)
            assert made[key].dtype == (torch.float32 if floats else expected[key].dtype), key
            if floats:
                assert 0 <= made[key].min() <= made[key].max() <= 1
        assert torch.equal(made["index"], expected["index"])
        assert torch.equal(made["has_alpha"], expected["has_alpha"])


@pytest.mark.parametrize(
    "changes", [{}, {"in_front_share": 1.0, "second_person_share": 1.0, "lower_clothes_share": 1.0}]
)
@pytest.mark.parametrize("kind", ["trimap", "whole"])
def test_sample_i_shows_the_scene_of_the_loaders_sample_i(
    toy_config: TrainConfig, kind: str, changes: dict[str, float]
) -> None:
    resident, loader = both(toy_config, kind, **changes)
    for first in range(0, 40, BATCH):
        made = resident.batch(range(first, first + BATCH))
        for row in range(BATCH):
            expected = loader[first + row]
            assert (made["alpha"][row] - expected["alpha"]).abs().mean() < 0.01
            if expected["has_alpha"]:  # the colours of a mask pair hold the noise as well
                for key, seen in (("foreground", expected["alpha"]), ("background", 1 - expected["alpha"])):
                    assert (seen * (made[key][row] - expected[key] / 255)).abs().mean() < 0.02, (first + row, key)
            assert (made["trimap"][row] != expected["trimap"]).float().mean() < 0.06


def test_statistics_of_crops_are_those_of_the_loader(toy_config: TrainConfig) -> None:
    resident, loader = both(toy_config, "crop")
    rows: dict[str, list[torch.Tensor]] = {"resident": [], "loader": []}
    for first in range(0, 100, BATCH):
        numbers = range(first, first + BATCH)
        loaded = default_collate([loader[i] for i in numbers])
        loaded["image"] = loaded["image"] / 255
        for name, batch in (("resident", resident.batch(numbers)), ("loader", loaded)):
            for row in range(BATCH):
                trimap, image = batch["trimap"][row], batch["image"][row]
                sharpness = (image[:, 1:] - image[:, :-1]).abs().mean()
                shares = [(trimap == k).float().mean() for k in (0, 1, 2)]
                rows[name].append(torch.stack([*shares, image.mean(), image.std(), sharpness]))
    made, expected = (torch.stack(rows[name]) for name in ("resident", "loader"))
    error = (made.mean(dim=0) - expected.mean(dim=0)).abs()
    assert (error < 4 * expected.std(dim=0) / len(expected) ** 0.5).all(), (made.mean(dim=0), expected.mean(dim=0))


@pytest.mark.parametrize("kind", SPECS)
def test_a_batch_depends_on_its_numbers_and_the_seed_alone(toy_config: TrainConfig, kind: str) -> None:
    first, second = both(toy_config, kind)[0], both(toy_config, kind)[0]
    first.batch(range(BATCH))  # having been asked for others before must not matter
    made, again = (samples.batch(range(8, 12)) for samples in (first, second))
    assert made.keys() == again.keys()
    for key in made.keys() - {"name"}:
        assert torch.equal(made[key], again[key]), key
    shown = first.batch(range(12, 16))["image"]
    assert shown.shape != made["image"].shape or not torch.equal(shown, made["image"])


def test_batches_come_in_the_order_of_the_steps_and_equal_single_ones(toy_config: TrainConfig) -> None:
    resident, _ = both(toy_config, "crop")
    steps = [range(4), range(4, 8), range(8, 12)]
    made = list(resident.batches(steps))
    assert [batch["index"].tolist() for batch in made] == [list(step) for step in steps]
    assert torch.equal(made[1]["image"], resident.batch(steps[1])["image"])
    assert list(resident.batches([])) == []


def test_nothing_is_read_back_from_the_device(toy_config: TrainConfig) -> None:
    resident, _ = both(toy_config, "trimap")
    plan = resident.plan(range(200))
    assert {"mask", "person 1", "smear 0", "wall colour 0", "lower", "sharpen", "jpeg", "h264"} <= plan.effects.keys()
    # Fake tensors have no values: whatever depends on one (item, boolean indexing) raises.
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert resident.render(plan)["image"].shape == (200, 3, plan.height, plan.width)


def test_a_picture_is_its_composite_where_no_camera_spoils_it(toy_config: TrainConfig) -> None:
    resident, _ = both(toy_config, "whole")
    spoiling = ("lens", "lower", "noise", "sharpen", "jpeg", "h264")
    checked = 0
    for first in range(0, 200, BATCH):
        plan = resident.plan(range(first, first + BATCH))
        spoiled = {row for name in spoiling if name in plan.effects for row in plan.effects[name].rows}
        untouched = [row for row in range(BATCH) if row not in spoiled]
        if untouched:
            made = resident.render(plan)
            alpha, front, back = (made[key][untouched] for key in ("alpha", "foreground", "background"))
            error = (made["image"][untouched] - (alpha * front + (1 - alpha) * back)).abs().max()
            assert error <= 1.01 / 255  # each of the four is rounded to 8 bits
            checked += len(untouched)
    assert checked >= 3


@pytest.mark.parametrize("kind", SPECS)
def test_trimaps_agree_with_alpha(toy_config: TrainConfig, kind: str) -> None:
    resident, _ = both(toy_config, kind)
    unknown = 0
    for first in range(0, 20, BATCH):
        made = resident.batch(range(first, first + BATCH))
        alpha, trimap = made["alpha"][:, 0][made["has_alpha"]], made["trimap"][made["has_alpha"]]
        assert (alpha[trimap == 0] < 0.02).all()
        assert (alpha[trimap == 2] > 0.98).all()
        assert not (trimap == IGNORE).any()
        unknown += int((trimap == 1).sum())
    assert unknown > 0


def test_pairs_of_numbers_keep_the_people_of_the_second(toy_config: TrainConfig) -> None:
    resident, _ = both(toy_config, "crop", second_person_share=0.0)
    plain = resident.batch([20, 21, 22, 23])
    swapped = resident.batch([(20, 7), (21, 7), (22, 22), 23])
    people = [name.split(" + ")[0] for name in swapped["name"]]
    assert people[0] == people[1] == resident.batch([4, 5, 6, 7])["name"][3].split(" + ")[0]
    assert [n.split(" + ")[1] for n in swapped["name"]] == [n.split(" + ")[1] for n in plain["name"]]
    assert swapped["name"][2:] == plain["name"][2:]
    assert swapped["index"].tolist() == [20, 21, 22, 23]


def test_crops_hold_soft_pixels(toy_config: TrainConfig) -> None:
    resident, _ = both(toy_config, "crop")
    made = resident.batch(range(40))
    soft = ((made["alpha"] > 0.02) & (made["alpha"] < 0.98)).flatten(1).any(dim=1)
    assert soft.float().mean() > 0.9


def test_windows_lie_inside_whole_pictures_and_hold_soft_pixels(toy_config: TrainConfig) -> None:
    resident, _ = both(toy_config, "whole with windows", empty_share=0.0)
    made = resident.batch(range(20))
    height, width = made["alpha"].shape[2:]
    soft = []
    for alpha, (top, left, side) in zip(made["alpha"], made["window"].tolist(), strict=True):
        assert side == 32
        assert 0 <= top <= height - side
        assert 0 <= left <= width - side
        cut = alpha[:, top : top + side, left : left + side]
        soft.append(bool(((cut > 0.02) & (cut < 0.98)).any()))
    assert sum(soft) >= 18


def test_uncertain_mask_pixels_are_ignored_and_masks_never_reach_crops(toy_config: TrainConfig) -> None:
    made = both(toy_config, "trimap", masks_share=1.0)[0].batch(range(8))
    assert not made["has_alpha"].any()
    assert (made["trimap"] == IGNORE).flatten(1).any(dim=1).float().mean() > 0.5
    assert torch.equal(made["image"], made["foreground"])
    assert both(toy_config, "crop", masks_share=1.0)[0].batch(range(8))["has_alpha"].all()


def test_nobody_in_the_picture_means_an_empty_alpha(toy_config: TrainConfig) -> None:
    made = both(toy_config, "whole", empty_share=1.0)[0].batch(range(4))
    assert made["alpha"].max() == 0
    assert (made["trimap"] == 0).all()
    assert torch.equal(made["foreground"], made["background"])


def test_backgrounds_go_from_one_colour_to_real_ones(toy_config: TrainConfig) -> None:
    spec = SampleSpec(kind="whole", size=(96, 64), easy_to_hard_steps=4)
    data = toy_config.data.model_copy(update={"plain_background_share": 0.0, "blurred_background_share": 0.0})
    resident = ResidentSamples(data, spec, seed=1, batch_size=8, length=64, device=CPU)
    spread = [resident.batch(range(s * 8, s * 8 + 8))["background"].flatten(2).std(dim=2).mean() for s in (0, 2, 5)]
    assert spread[0] < 0.002
    assert spread[0] < spread[1] < spread[2]


def test_a_number_beyond_the_last_sample_is_an_error(toy_config: TrainConfig) -> None:
    with pytest.raises(IndexError):
        both(toy_config, "crop")[0].batch([399, 400])


def test_a_broken_file_stops_the_start_or_is_skipped_and_counted(toy_config: TrainConfig, tmp_path: Path) -> None:
    for source in toy_config.data.foregrounds[0].path.glob("P000*.png"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    (tmp_path / "broken.png").write_bytes(b"nothing")
    sources = (toy_config.data.foregrounds[0].model_copy(update={"path": tmp_path}),)
    with pytest.raises(InputError, match=r"broken\.png"):
        both(toy_config, "crop", foregrounds=sources)
    with pytest.warns(UserWarning, match=r"broken\.png"):
        resident, _ = both(toy_config, "crop", foregrounds=sources, on_error="skip")
    assert len(resident.store.skipped) == 1
    assert all("broken" not in name for name in resident.batch(range(16))["name"])


def test_a_set_that_does_not_fit_is_one_line_with_sizes() -> None:
    require_room(needed=8 * 2**30, free=10 * 2**30, device=CPU, pictures=7)
    with pytest.raises(
        MattingError, match=r"7 pictures need 9\.00 GiB on cpu, which has 10\.00 GiB free.*max_side"
    ) as e:
        require_room(needed=9 * 2**30, free=10 * 2**30, device=CPU, pictures=7)
    assert "\n" not in str(e.value)
    require_room(needed=9 * 2**30, free=None, device=CPU, pictures=7)  # a device that does not tell
