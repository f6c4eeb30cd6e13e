"""Samples made on the fly."""

import dataclasses
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from realtime_matting.errors import InputError
from train.config import TrainConfig
from train.data.compose import place
from train.data.dataset import IGNORE, MattingSamples
from train.data.placement import CutSides, cut_sides, draw_placement


def samples(config: TrainConfig, phase: str, **changes: object) -> MattingSamples:
    data = config.data.model_copy(update=changes)
    return MattingSamples(data, config.sample_spec(phase), seed=3, batch_size=2, length=40)  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", ["t_net", "m_net", "end_to_end"])
def test_a_sample_depends_on_its_number_and_the_seed_alone(toy_config: TrainConfig, phase: str) -> None:
    first, second = samples(toy_config, phase), samples(toy_config, phase)
    list(first[i] for i in range(3))  # having been asked for others before must not matter
    for key, value in first[5].items():
        same = second[5][key]
        assert torch.equal(value, same) if isinstance(value, torch.Tensor) else value == same, key
    assert not torch.equal(first[5]["image"][:, :32, :32], first[6]["image"][:, :32, :32])


@pytest.mark.parametrize("phase", ["t_net", "m_net", "end_to_end"])
def test_a_batch_has_one_size_and_consistent_truth(toy_config: TrainConfig, phase: str) -> None:
    made = samples(toy_config, phase)
    for i in range(0, 12, 2):
        a, b = made[i], made[i + 1]
        assert a["image"].shape == b["image"].shape
        for sample in (a, b):
            alpha, trimap = sample["alpha"][0], sample["trimap"]
            assert alpha.shape == trimap.shape == sample["image"].shape[1:]
            assert 0 <= alpha.min() <= alpha.max() <= 1
            if sample["has_alpha"]:
                assert (alpha[trimap == 0] < 0.02).all()
                assert (alpha[trimap == 2] > 0.98).all()


def test_crops_of_the_m_net_hold_soft_pixels(toy_config: TrainConfig) -> None:
    made = samples(toy_config, "m_net")
    soft = [bool(((s["alpha"] > 0.02) & (s["alpha"] < 0.98)).any()) for s in (made[i] for i in range(12))]
    assert sum(soft) >= 11


def test_uncertain_mask_pixels_are_ignored(toy_config: TrainConfig) -> None:
    made = samples(toy_config, "t_net", masks_share=1.0)
    seen = [made[i] for i in range(6)]
    assert not any(s["has_alpha"] for s in seen)
    assert any((s["trimap"] == IGNORE).any() for s in seen)


def test_masks_never_reach_the_m_net(toy_config: TrainConfig) -> None:
    made = samples(toy_config, "m_net", masks_share=1.0)
    assert all(made[i]["has_alpha"] for i in range(6))


def test_nobody_in_the_picture_means_an_empty_alpha(toy_config: TrainConfig) -> None:
    made = samples(toy_config, "t_net", masks_share=0.0, empty_share=1.0)
    assert made[0]["alpha"].max() == 0
    assert (made[0]["trimap"] == 0).all()


def test_a_person_cut_at_the_bottom_reaches_the_bottom_of_the_frame() -> None:
    rgba = np.zeros((100, 80, 4), np.uint8)
    cv2.rectangle(rgba, (20, 30), (60, 99), (90, 90, 90, 255), -1)
    assert cut_sides(rgba[..., 3]).bottom
    for seed in range(30):
        placed = place(np.random.default_rng(seed), rgba, 160, 120, tight=False)[0][..., 3]
        columns = np.flatnonzero(placed.max(axis=0) > 127)
        if len(columns):
            assert placed[-1].max() > 127


def test_of_a_whole_person_too_tall_for_the_frame_the_head_is_shown() -> None:
    uncut = CutSides(False, False, False, False)
    drawn = [draw_placement(np.random.default_rng(i), (60, 90), uncut, 160, 120, tight=True) for i in range(300)]
    tall = [p for p in drawn if p is not None and p.height > 130]
    assert len(tall) > 50
    assert sum(p.top < -0.1 * p.height for p in tall) < 0.1 * len(tall)


def test_held_out_people_and_backgrounds_are_not_trained_on(toy_config: TrainConfig) -> None:
    def people(split: str) -> set[str]:
        made = MattingSamples(
            toy_config.data, toy_config.sample_spec("t_net"), seed=1, batch_size=2, length=4, split=split, holdout=0.5,
        )  # type: ignore[arg-type]  # fmt: skip
        return {record.group for source in made.people[0] for group in source for record in group}

    assert people("train")
    assert people("held_out")
    assert people("train").isdisjoint(people("held_out"))


def test_a_broken_file_stops_the_run_or_is_skipped_and_counted(toy_config: TrainConfig, tmp_path: Path) -> None:
    for source in toy_config.data.foregrounds[0].path.glob("P000*.png"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    (tmp_path / "broken.png").write_bytes(b"nothing")
    sources = (toy_config.data.foregrounds[0].model_copy(update={"path": tmp_path}),)

    stopping = samples(toy_config, "m_net", foregrounds=sources, on_error="stop")
    with pytest.raises(InputError, match=r"broken\.png"):
        list(stopping[i] for i in range(20))

    skipping = samples(toy_config, "m_net", foregrounds=sources, on_error="skip")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(skipping[i] for i in range(20))
    assert len(skipping.store.skipped) == 1
    assert any("broken.png" in str(w.message) for w in caught)


def test_end_to_end_pictures_come_in_several_shapes_of_equal_area(toy_config: TrainConfig) -> None:
    made = samples(toy_config, "end_to_end")
    shapes = {tuple(made[i]["image"].shape[1:]) for i in range(0, 40, 2)}
    assert len(shapes) >= 3
    assert all(0.7 < h * w / (64 * 64) < 1.3 for h, w in shapes)


def test_a_sample_tells_the_files_it_was_made_of(toy_config: TrainConfig) -> None:
    name = samples(toy_config, "m_net")[4]["name"]
    assert ".png + " in name
    assert "room_" in name


def test_crops_of_several_sides_are_brought_to_one_size(toy_config: TrainConfig) -> None:
    spec = dataclasses.replace(toy_config.sample_spec("m_net"), crops=(64, 96, 700), crop=64)
    made = MattingSamples(toy_config.data, spec, seed=3, batch_size=2)
    for i in range(12):
        assert made[i]["image"].shape == (3, 64, 64)
        assert made[i]["trimap"].shape == (64, 64)


def test_the_people_of_a_hard_sample_return_in_another_picture(toy_config: TrainConfig) -> None:
    made = samples(toy_config, "m_net", second_person_share=0.0)
    person = made[3]["name"].split(" + ")[0]
    for i in range(10, 20):
        again = made[i, 3]
        assert again["name"].split(" + ")[0] == person
        assert not torch.equal(again["image"], made[3]["image"])


def test_backgrounds_go_from_one_colour_to_real_ones(toy_config: TrainConfig) -> None:
    """The spread of the background's colours grows with the step, from none at all."""
    data = toy_config.data.model_copy(update={"plain_background_share": 0.0})
    spec = dataclasses.replace(toy_config.sample_spec("end_to_end"), easy_to_hard_steps=20)
    made = MattingSamples(data, spec, seed=3, batch_size=2)
    plain = MattingSamples(data, toy_config.sample_spec("end_to_end"), seed=3, batch_size=2)
    spread = [
        [source[i]["background"].float().std(dim=(1, 2)).mean().item() for i in numbers]
        for source, numbers in ((made, range(2)), (made, range(20, 22)), (made, range(40, 46)), (plain, range(40, 46)))
    ]
    assert max(spread[0]) < 1
    assert max(spread[0]) < min(spread[1])
    assert spread[2] == spread[3]


def test_end_to_end_windows_lie_around_unknown_pixels(toy_config: TrainConfig) -> None:
    spec = dataclasses.replace(toy_config.sample_spec("end_to_end"), sizes=((96, 80),), crops=(32, 48))
    made = MattingSamples(toy_config.data.model_copy(update={"empty_share": 0.0}), spec, seed=3, batch_size=2)
    found = 0
    for i in range(12):
        top, left, side = made[i]["window"].tolist()
        part = made[i]["trimap"][top : top + side, left : left + side]
        assert part.shape == (side, side)
        found += bool((part == 1).any())
    assert found >= 11
