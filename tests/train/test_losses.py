"""Losses against values computed by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.losses import (
    IGNORE,
    alpha_loss,
    composition_loss,
    gradient_loss,
    laplacian_loss,
    laplacian_losses,
    prediction_loss,
    prediction_losses,
    trimap_loss,
    trimap_losses,
    unknown_alpha_losses,
    unknown_composition_losses,
)


def picture(value: float, channels: int = 1) -> torch.Tensor:
    return torch.full((1, channels, 8, 8), value)


def test_prediction_loss_is_half_the_alpha_error_and_half_the_colour_error() -> None:
    alpha, truth = picture(0.75), picture(0.25)
    foreground, background = picture(1.0, 3), picture(0.2, 3)
    assert alpha_loss(alpha, truth).item() == pytest.approx(0.5)
    assert composition_loss(alpha, truth, foreground, background).item() == pytest.approx(0.4)
    assert prediction_loss(alpha, truth, foreground, background).item() == pytest.approx(0.45)


def test_the_loss_of_a_perfect_alpha_is_its_epsilon() -> None:
    assert alpha_loss(picture(0.5), picture(0.5)).item() == pytest.approx(1e-6)
    assert laplacian_loss(picture(0.5), picture(0.5)).item() == 0


def test_laplacian_loss_does_not_see_a_constant_offset_but_sees_an_edge() -> None:
    flat = torch.full((1, 1, 64, 64), 0.5)
    assert laplacian_loss(flat, flat - 0.25).item() == pytest.approx(0, abs=1e-6)
    edge = flat.clone()
    edge[..., 32:] = 1.0
    assert laplacian_loss(edge, flat).item() > 0.01


def test_gradient_loss_is_the_mean_difference_of_neighbouring_differences() -> None:
    flat = torch.full((1, 1, 64, 64), 0.5)
    assert gradient_loss(flat, flat - 0.25).item() == pytest.approx(0, abs=1e-6)
    edge = flat.clone()
    edge[..., 32:] = 1.0  # one step of 0.5 in each row's 63 differences
    assert gradient_loss(edge, flat).item() == pytest.approx(0.5 / 63)
    assert gradient_loss(edge.transpose(2, 3), flat).item() == pytest.approx(0.5 / 63)


def test_trimap_loss_is_low_for_the_right_order_of_channels_only() -> None:
    classes = torch.tensor([[[0, 1], [2, IGNORE]]])
    logits = torch.zeros(1, 3, 2, 2)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 2)):
        logits[0, channel, row, column] = 20.0
    assert trimap_loss(logits, classes).item() < 1e-6
    assert trimap_loss(logits.flip(1), classes).item() > 5


def test_ignored_pixels_have_no_gradient() -> None:
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    trimap_loss(logits, torch.tensor([[[0, 1], [2, IGNORE]]])).backward()
    assert logits.grad is not None
    assert logits.grad[0, :, 1, 1].abs().sum() == 0
    assert logits.grad[0, :, 0, 0].abs().sum() > 0


def random_sample(seed: int, pictures: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def rand(channels: int) -> torch.Tensor:
        return torch.rand(pictures, channels, 6, 5, generator=generator)

    return {"alpha": rand(1), "truth": rand(1), "foreground": rand(3), "background": rand(3)}


def unknown_at(*pixels: tuple[int, int]) -> torch.Tensor:
    mask = torch.zeros(1, 6, 5, dtype=torch.bool)
    for row, column in pixels:
        mask[0, row, column] = True
    return mask


def test_losses_of_the_unknown_region_do_not_see_the_rest() -> None:
    sample, unknown = random_sample(0), unknown_at((1, 2), (4, 0))
    changed = sample | {"alpha": torch.where(unknown[:, None], sample["alpha"], 0.123)}
    for losses in (unknown_alpha_losses, unknown_composition_losses):
        arguments, others = (
            list(s.values()) if losses is unknown_composition_losses else [s["alpha"], s["truth"]]
            for s in (sample, changed)
        )  # fmt: skip
        assert torch.equal(losses(*arguments, unknown), losses(*others, unknown))


def test_the_unknown_regions_losses_by_hand() -> None:
    alpha, truth = torch.zeros(1, 1, 2, 2), torch.tensor([[[[0.4, 0.2], [1.0, 1.0]]]])
    foreground = torch.tensor([1.0, 0.5, 0.0])[None, :, None, None].expand(1, 3, 2, 2)
    background = torch.zeros(1, 3, 2, 2)
    unknown = torch.tensor([[[True, True], [False, False]]])
    assert unknown_alpha_losses(alpha, truth, unknown).item() == pytest.approx(0.3, rel=1e-5)
    composition = unknown_composition_losses(alpha, truth, foreground, background, unknown)
    assert composition.item() == pytest.approx(0.3 * (1.0 + 0.5 + 0.0) / 3, rel=1e-4)


def test_signed_differences_of_channels_do_not_cancel() -> None:
    """Red too high and blue too low by the same amount are two errors, not none."""
    alpha, truth = picture(0.75), picture(0.25)
    foreground = torch.tensor([0.9, 0.5, 0.1])[None, :, None, None].expand(1, 3, 8, 8)
    background = torch.full((1, 3, 8, 8), 0.5)
    unknown = torch.ones(1, 8, 8, dtype=torch.bool)
    expected = 0.5 * (0.4 + 0.0 + 0.4) / 3
    assert unknown_composition_losses(alpha, truth, foreground, background, unknown).item() == pytest.approx(
        expected, rel=1e-4
    )
    assert composition_loss(alpha, truth, foreground, background).item() == pytest.approx(expected, rel=1e-4)


def test_signed_differences_of_pixels_do_not_cancel() -> None:
    alpha, truth = picture(0.5), picture(0.2)
    truth[..., 4:] = 0.8
    assert unknown_alpha_losses(alpha, truth, torch.ones(1, 8, 8, dtype=torch.bool)).item() == pytest.approx(0.3)


@given(seed=st.integers(0, 10_000), pictures=st.integers(1, 4))
def test_every_loss_of_a_batch_is_the_mean_of_the_losses_of_its_samples(seed: int, pictures: int) -> None:
    sample = random_sample(seed, pictures)
    generator = torch.Generator().manual_seed(seed)
    unknown = torch.rand(pictures, 6, 5, generator=generator) < 0.3
    unknown[0] = False
    logits = torch.randn(pictures, 3, 6, 5, generator=generator)
    classes = torch.randint(0, 3, (pictures, 6, 5), generator=generator).masked_fill(unknown, IGNORE)
    colours = list(sample.values())
    alphas = colours[:2]
    for losses, arguments in (
        (unknown_alpha_losses, [*alphas, unknown]),
        (unknown_composition_losses, [*colours, unknown]),
        (prediction_losses, colours),
        (laplacian_losses, alphas),
        (trimap_losses, [logits, classes, 1.5]),
    ):
        alone = [
            losses(*(a[i : i + 1] if isinstance(a, torch.Tensor) else a for a in arguments)) for i in range(pictures)
        ]
        torch.testing.assert_close(losses(*arguments), torch.cat(alone))
    assert prediction_loss(*colours).item() == pytest.approx(prediction_losses(*colours).mean().item())
    assert trimap_loss(logits, classes, 1.5).item() == pytest.approx(trimap_losses(logits, classes, 1.5).mean().item())


@given(pixels=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1), error=st.floats(0.01, 1))
def test_the_size_of_the_unknown_region_does_not_matter(pixels: set[tuple[int, int]], error: float) -> None:
    alpha, truth = torch.full((1, 1, 6, 5), error), torch.zeros(1, 1, 6, 5)
    assert unknown_alpha_losses(alpha, truth, unknown_at(*pixels)).item() == pytest.approx(error, rel=1e-4)


def test_a_sample_without_unknown_pixels_gives_zero_and_no_gradient() -> None:
    sample, unknown = random_sample(1), unknown_at()
    sample["alpha"].requires_grad_()
    losses = unknown_alpha_losses(sample["alpha"], sample["truth"], unknown) + unknown_composition_losses(
        *sample.values(), unknown
    )
    losses.sum().backward()
    assert losses.tolist() == [0.0]
    assert sample["alpha"].grad is not None
    assert sample["alpha"].grad.abs().sum() == 0


def test_a_trimap_of_nothing_but_ignored_pixels_gives_zero() -> None:
    logits = torch.randn(1, 3, 2, 2)
    assert trimap_losses(logits, torch.full((1, 2, 2), IGNORE)).tolist() == [0.0]


def test_the_trimap_loss_of_one_sample_is_pytorchs_weighted_cross_entropy() -> None:
    logits, classes = torch.randn(1, 3, 4, 4), torch.randint(0, 3, (1, 4, 4))
    expected = torch.nn.functional.cross_entropy(logits, classes, weight=torch.tensor([1.0, 1.7, 1.0]))
    assert trimap_losses(logits, classes, 1.7).item() == pytest.approx(expected.item(), rel=1e-5)
