"""Samples made on the fly."""

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from realtime_matting.errors import InputError
from train.config import TrainConfig
from train.data.compose import cut_sides, place
from train.data.dataset import IGNORE, MattingSamples


def samples(config: TrainConfig, phase: str, **changes: object) -> MattingSamples:
    data = config.data.model_copy(update=changes)
    return MattingSamples(data, config.sample_spec(phase), seed=3, batch_size=2, length=40)  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", ["t_net", "m_net", "end_to_end"])
def test_a_sample_depends_on_its_number_and_the_seed_alone(toy_config: TrainConfig, phase: str) -> None:
    first, second = samples(toy_config, phase), samples(toy_config, phase)
    list(first[i] for i in range(3))  # having been asked for others before must not matter
    for key, value in first[5].items():
        assert torch.equal(value, second[5][key]), key
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
        placed = place(np.random.default_rng(seed), rgba, 160, 120, tight=False)[..., 3]
        columns = np.flatnonzero(placed.max(axis=0) > 127)
        if len(columns):
            assert placed[-1].max() > 127


def test_held_out_people_and_backgrounds_are_not_trained_on(toy_config: TrainConfig) -> None:
    def people(split: str) -> set[str]:
        made = MattingSamples(
            toy_config.data, toy_config.sample_spec("t_net"), seed=1, batch_size=2, length=4, split=split, holdout=0.5,
        )  # type: ignore[arg-type]  # fmt: skip
        return {record.group for source in made._people[0] for group in source for record in group}

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
