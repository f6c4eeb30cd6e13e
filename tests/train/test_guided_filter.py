"""The filter that training goes through is the one that the runtime applies."""

import cv2
import numpy as np
import pytest
import torch

from realtime_matting.matting.refine import at_picture_size, fast_guided_filter
from train.config import PhaseConfig
from train.guided_filter import guided_filter
from train.recipes.shm_common import matting_losses

MARGIN = 0.03  # what the runtime cuts off behind its filters


def scene(side: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A picture of two colours that meet in a curve, with noise, and an alpha that is too soft and a little off."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:side, :side]
    inside = (x - 50) ** 2 + (y - 40) ** 2 < 30**2
    picture = np.where(inside[..., None], (200, 120, 90), (40, 60, 110)) + rng.normal(0, 6, (side, side, 3))
    soft = cv2.GaussianBlur(np.roll(inside, 1, axis=1).astype(np.float32), (0, 0), 3)
    alpha = np.clip(1.1 * soft - 0.05 + rng.normal(0, 0.02, soft.shape) * (soft * (1 - soft) > 0.01), 0, 1)
    return np.clip(picture, 0, 255).astype(np.uint8), alpha.astype(np.float32)


def as_tensors(picture: np.ndarray, alpha: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(alpha)[None, None], torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("radii", [(1,), (3,), None])
def test_they_are_the_filters_of_the_runtime(radii: tuple[int, ...] | None) -> None:
    picture, alpha = scene()
    if radii:
        trained = guided_filter(*as_tensors(picture, alpha), radii)
        applied = fast_guided_filter(picture, alpha, radius=radii[0])
    else:
        filtered, applied = guided_filter(*as_tensors(picture, alpha)), at_picture_size(alpha, picture)
        trained = ((filtered - MARGIN) / (1 - 2 * MARGIN)).clamp(0, 1)
    assert np.abs(applied - alpha).max() > 0.2, "the filters do something here"
    difference = np.abs(trained[0, 0].numpy() - applied)
    assert difference.max() < 0.06, "the runtime halves pictures of whole levels"
    assert difference.mean() < 5e-4


def test_gradients_pass_to_the_alpha_around_and_none_to_what_is_known() -> None:
    picture, alpha = scene()
    small, guide = as_tensors(picture, alpha)
    small.requires_grad_()
    filtered = guided_filter(small, guide)
    filtered[0, 0, 40:44, 76:84].sum().backward()
    assert small.grad is not None
    changed = small.grad[0, 0] != 0
    assert changed[40:44, 76:84].any()
    assert changed.sum() > 100, "windows reach beyond the pixels themselves"
    changed[6:78, 42:] = False
    assert not changed.any()


def test_zero_and_one_stay_as_they_are() -> None:
    picture, alpha = scene()
    filtered = guided_filter(*as_tensors(picture, alpha))[0, 0].numpy()
    known = (alpha == 0) | (alpha == 1)
    assert 0 < known.mean() < 1
    np.testing.assert_array_equal(filtered[known], alpha[known])


def test_bfloat16_is_filtered_in_float32() -> None:
    picture, alpha = scene()
    small, guide = as_tensors(picture, alpha)
    assert guided_filter(small.bfloat16(), guide).dtype == torch.float32


def test_a_share_of_the_loss_is_of_the_filtered_alpha_and_the_rest_of_alpha_as_it_is() -> None:
    picture, alpha = scene()
    small, guide = as_tensors(picture, alpha)
    batch = {"image": guide, "alpha": small.roll(2, dims=-1), "foreground": guide, "background": 1 - guide}

    def total(seen: torch.Tensor, share: float) -> float:
        loss = {"laplacian": 1.0, "gradient": 0.5, "filtered": share}
        phase = PhaseConfig.model_validate({"steps": 1, "batch_size": 1, "learning_rate": 1e-3, "loss": loss})
        return matting_losses(seen, batch, phase)["total"].item()

    raw, filtered = total(small, 0), total(guided_filter(small, guide), 0)
    assert abs(raw - filtered) > 0.1 * raw
    assert total(small, 1) == pytest.approx(filtered)
    assert total(small, 0.25) == pytest.approx(0.75 * raw + 0.25 * filtered)
