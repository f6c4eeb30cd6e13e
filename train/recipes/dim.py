"""Deep Image Matting in four stages.

    python -m train dim --stage 0 --config configs/train/dim.yaml     (encoder-decoder, alpha loss; may be left out)
    python -m train dim --stage 1 --config configs/train/dim.yaml     (encoder-decoder, alpha and compositional loss)
    python -m train dim --stage 2 --config configs/train/dim.yaml     (the refinement alone, alpha loss)
    python -m train dim --stage 3 --config configs/train/dim.yaml     (everything, alpha loss on the refined alpha)

Checkpoints go to ``OUT/stageN/{last,best}``; each stage starts from the best of the one before it. All losses look at
the unknown region only. Xu et al. 2017, arXiv 1703.03872, sections 3.2 to 4.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from realtime_matting.errors import InputError
from train.checkpoints import load_weights
from train.config import PhaseConfig, TrainConfig
from train.data.alphamatting import alphamatting_check
from train.data.trimaps import classes
from train.loop import Job, train_phase
from train.losses import unknown_alpha_losses, unknown_composition_losses, unknown_mean
from train.meter import Batch, Losses
from train.networks import build_network
from train.networks.dim import DIM, Prediction
from train.networks.shm import normalize
from train.networks.vgg import start_from_vgg16

UNKNOWN_CLASS = 1
STARTS_FROM = {0: (), 1: ("stage0",), 2: ("stage1", "stage0"), 3: ("stage2",)}
"""Stage → the phases whose best checkpoint it may start from, the first that is there."""


def train_dim(
    config: TrainConfig, stage: int, out: Path, *, resume: bool, steps: int | None, device: str
) -> dict[str, float]:
    """Run stage 0, 1, 2 or 3; returns the figures of its validation.

    Raises:
        InputError: stage 2 or 3 without the checkpoint of a stage before it, or a start that does not fit.
    """
    name = f"stage{stage}"
    torch.manual_seed(config.seed)
    phase = config.phase(name)
    network = build_network(config.network, config.network_options)
    assert isinstance(network, DIM)
    if not (resume and (out / name / "last" / "checkpoint.json").is_file()):
        told = start(network, stage, phase, out)
        if os.environ.get("RANK", "0") == "0":  # torchrun numbers its processes; one of them speaks
            print(f"{name} starts from {told}", flush=True)
    refined = int(stage >= 2)

    def predict(model: nn.Module, batch: Batch) -> Tensor:
        alpha: Tensor = matte(model, network, batch["image"], batch["trimap"])[refined]
        return alpha

    def step_loss(model: nn.Module, batch: Batch) -> Losses:
        return stage_losses(predict(model, batch), batch, phase.loss.alpha_share if stage == 1 else 1.0)

    def validate(model: nn.Module, batch: Batch) -> dict[str, float]:
        figures = unknown_figures(predict(model, batch), batch)
        return {"score": figures["sad"], **figures}

    def pictures(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {
            "input": batch["image"],
            "trimap": trimap_channel(batch["trimap"]),
            "prediction": predict(model, batch),
            "truth": batch["alpha"],
        }

    groups: list[dict[str, Any]] = []
    if stage != 2:
        encoder = list(network.encoder_decoder.encoder.parameters())
        known = {id(p) for p in encoder}
        rest = [p for p in network.encoder_decoder.parameters() if id(p) not in known]
        groups += [{"params": rest, "rate": 1.0}, {"params": encoder, "rate": phase.encoder_rate}]
    if stage >= 2:
        groups.append({"params": list(network.refinement.parameters()), "rate": 1.0})
    # Batch norm must not go on learning statistics in a part that is fixed.
    frozen = (network.encoder_decoder,) if stage == 2 else ()
    check = file_check(network, phase.validate_on, refined) if phase.validate_on else None
    job = Job(name, network, groups, step_loss, validate, pictures, check, frozen)
    return train_phase(config, job, out / name, resume=resume, steps=steps, device=device)


def start(network: DIM, stage: int, phase: PhaseConfig, out: Path) -> str:
    """Give ``network`` the weights that ``stage`` starts from, in place; says which.

    Raises:
        InputError: a stage before it is missing, or ``phase.start`` is none for this network and stage.
    """
    if stage >= 2 and phase.start != "random":
        raise InputError(f"phase stage{stage} starts from the stage before it; remove its start")
    for before in STARTS_FROM[stage]:
        if (out / before / "best").is_dir():
            load_weights(network, out / before / "best")
            return str(out / before / "best")
    if stage >= 2:
        needed = STARTS_FROM[stage][0]
        raise InputError(f"{out / needed / 'best'} is missing: train stage {needed[-1]} before stage {stage}")
    if phase.start == "random":
        return "random weights"
    if phase.start != "vgg16" or phase.start_file is None:
        raise InputError(f"start {phase.start}: Deep Image Matting starts from vgg16 (with start_file) or random")
    model = network.encoder_decoder
    fits = model.conv6[0].kernel_size == (7, 7)  # VGG16's last pooling leaves a map of 7 × 7
    connected = start_from_vgg16(model.encoder, phase.start_file, model.conv6 if fits else None)
    return f"{phase.start_file} (conv6 from {'its fc6' if connected else 'random weights'})"


def trimap_channel(trimap: Tensor) -> Tensor:
    """Class numbers (N, H, W) → the network's channel, float (N, 1, H, W): 0, 0.5, 1."""
    return trimap[:, None].float() / 2


def matte(model: nn.Module, network: DIM, image: Tensor, trimap: Tensor) -> Prediction:
    """Pictures (N, 3, H, W) in [0, 1] and class numbers (N, H, W) → alphas.

    ``model`` is ``network`` as the loop runs it, wrapped or compiled.
    """
    prediction: Prediction = model(normalize(image, network.mean, network.std), trimap_channel(trimap))
    return prediction


def stage_losses(alpha: Tensor, batch: Batch, alpha_share: float) -> Losses:
    """w_l·L_α + (1 − w_l)·L_c (equation 4) with w_l = ``alpha_share``, in the unknown region."""
    unknown = batch["trimap"] == UNKNOWN_CLASS
    each = unknown_alpha_losses(alpha, batch["alpha"], unknown)
    terms = {"alpha": each.mean()}
    if alpha_share < 1:
        composition = unknown_composition_losses(
            alpha, batch["alpha"], batch["foreground"], batch["background"], unknown
        )
        terms["composition"] = composition.mean()
        each = alpha_share * each + (1 - alpha_share) * composition
    return {"total": each.mean(), **terms, "per_sample": each}


def unknown_figures(alpha: Tensor, batch: Batch) -> dict[str, float]:
    """Means over samples of SAD (Σ|d|/1000) and MSE (mean d²). Region: unknown; scale: DIM's."""
    unknown = batch["trimap"] == UNKNOWN_CLASS
    difference = alpha.float() - batch["alpha"]
    return {
        "sad": ((difference.abs() * unknown[:, None]).sum() / (1e3 * len(alpha))).item(),
        "mse": unknown_mean(difference.square(), unknown).mean().item(),
    }


def file_check(network: DIM, folder: Path, refined: int) -> Callable[[nn.Module], dict[str, float]]:
    """SAD and MSE on a folder in alphamatting.com's layout, whole pictures at their own size."""
    measure = alphamatting_check(folder)

    def check(model: nn.Module) -> dict[str, float]:
        device = next(model.parameters()).device

        def predict(rgb: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
            image = torch.from_numpy(rgb).to(device).permute(2, 0, 1)[None].float() / 255
            known = torch.from_numpy(classes(trimap).astype(np.int64))[None].to(device)
            return matte(model, network, image, known)[refined][0, 0].cpu().numpy()

        return {f"alphamatting_{name}": value for name, value in measure(predict).items()}

    return check
