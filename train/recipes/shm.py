"""Semantic Human Matting in three phases: T-Net alone, M-Net alone, both together.

    python -m train shm --phase t_net      --config configs/train/shm_mobile.yaml
    python -m train shm --phase m_net      --config configs/train/shm_mobile.yaml
    python -m train shm --phase end_to_end --config configs/train/shm_mobile.yaml

Checkpoints go to ``OUT/PHASE/{last,best}``; ``end_to_end`` starts from the other two phases' best.
Chen et al. 2018, arXiv 1809.01354, section 4.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realtime_matting.errors import InputError
from train.checkpoints import load_weights
from train.config import TrainConfig
from train.data.trimaps import IGNORE
from train.loop import Batch, Losses, train_phase
from train.losses import laplacian_loss, prediction_loss, trimap_loss
from train.networks.shm import NETWORKS, SHM, fuse, normalize
from train.phases import Phase
from train.pretrained import start_from_imagenet


class TrimapPhase(nn.Module):
    """T-Net on pictures that already have its size."""

    def __init__(self, shm: SHM) -> None:
        super().__init__()
        self.t_net = shm.t_net

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.t_net(normalize(image, self.t_net.mean, self.t_net.std))  # type: ignore[arg-type]
        return logits


class MattingPhase(nn.Module):
    """M-Net and fusion, with the trimap that was made from the true alpha."""

    def __init__(self, shm: SHM) -> None:
        super().__init__()
        self.m_net = shm.m_net

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        return fuse(trimap, self.m_net(normalize(image, self.m_net.mean, self.m_net.std), trimap))


def one_hot(classes: Tensor) -> Tensor:
    """Class numbers (N, H, W) → float (N, 3, H, W)."""
    return F.one_hot(classes, 3).permute(0, 3, 1, 2).float()


def train_shm(
    config: TrainConfig, phase_name: Phase, out: Path, *, resume: bool, steps: int | None, device: str
) -> dict[str, float]:
    """Run one phase; returns the figures of its best checkpoint.

    Raises:
        InputError: ``end_to_end`` without the checkpoints of the other two.
    """
    torch.manual_seed(config.seed)
    shm = NETWORKS[config.network]()
    phase = config.phase(phase_name)
    loss = phase.loss

    def matting_losses(alpha: Tensor, batch: Batch) -> Losses:
        terms = {"prediction": prediction_loss(alpha, batch["alpha"], batch["foreground"], batch["background"])}
        total = loss.prediction * terms["prediction"]
        if loss.laplacian:
            terms["laplacian"] = laplacian_loss(alpha, batch["alpha"])
            total = total + loss.laplacian * terms["laplacian"]
        return {"total": total, **terms}

    def mad(alpha: Tensor, batch: Batch) -> float:
        return 1e3 * (alpha.float() - batch["alpha"]).abs().mean().item()

    if phase_name == "t_net":
        network: nn.Module = TrimapPhase(shm)
        pretrained = []
        if config.start == "imagenet":
            start_from_imagenet(shm.t_net.encoder)  # type: ignore[arg-type]
            pretrained = list(shm.t_net.encoder.parameters())  # type: ignore[union-attr]

        def step_loss(model: nn.Module, batch: Batch) -> Losses:
            return {"total": trimap_loss(model(batch["image"]), batch["trimap"], loss.unknown_weight)}

        def validate(model: nn.Module, batch: Batch) -> dict[str, float]:
            logits = model(batch["image"]).float()
            return trimap_figures(logits, batch["trimap"], loss.unknown_weight)

    elif phase_name == "m_net":
        network, pretrained = MattingPhase(shm), []

        def step_loss(model: nn.Module, batch: Batch) -> Losses:
            return matting_losses(model(batch["image"], one_hot(batch["trimap"])), batch)

        def validate(model: nn.Module, batch: Batch) -> dict[str, float]:
            error = mad(model(batch["image"], one_hot(batch["trimap"])), batch)
            return {"score": error, "mad": error}

    else:
        for name in ("t_net", "m_net"):
            if not resume and not (out / name / "best").is_dir():
                raise InputError(f"{out / name / 'best'} is missing: train phase {name} before end_to_end")
        if not resume:
            load_weights(shm.t_net, out / "t_net" / "best", "t_net.")
            load_weights(shm.m_net, out / "m_net" / "best", "m_net.")
        network, pretrained = shm, list(shm.t_net.parameters())

        def step_loss(model: nn.Module, batch: Batch) -> Losses:
            prediction = model(batch["image"])
            losses = matting_losses(prediction.alpha, batch)
            losses["trimap"] = trimap_loss(prediction.trimap_logits, batch["trimap"], loss.unknown_weight)
            losses["total"] = losses["total"] + loss.trimap * losses["trimap"]
            return losses

        def validate(model: nn.Module, batch: Batch) -> dict[str, float]:
            prediction = model(batch["image"])
            error = mad(prediction.alpha, batch)
            figures = trimap_figures(prediction.trimap_logits.float(), batch["trimap"], loss.unknown_weight)
            return {**figures, "score": error, "mad": error}

    known = {id(p) for p in pretrained}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in network.parameters() if id(p) not in known], "rate": 1.0},
        {"params": pretrained, "rate": phase.encoder_rate},
    ]
    return train_phase(
        config, phase_name, network, [g for g in groups if g["params"]], step_loss, validate, out / phase_name,
        resume=resume, steps=steps, device=device,
    )  # fmt: skip


def trimap_figures(logits: Tensor, classes: Tensor, unknown_weight: float) -> dict[str, float]:
    """Cross entropy (the score), and the share of pixels called known that are of the other known class, in 1e-3."""
    if logits.shape[-2:] != classes.shape[-2:]:
        classes = F.interpolate(classes[:, None].float(), size=logits.shape[-2:], mode="nearest")[:, 0].long()
    called = logits.argmax(dim=1)
    wrong = ((called == 0) & (classes == 2)) | ((called == 2) & (classes == 0))
    entropy = trimap_loss(logits, classes, unknown_weight).item()
    return {
        "score": entropy,
        "cross_entropy": entropy,
        "swapped": 1e3 * wrong.float().mean().item(),
        "unknown_share": 1e3 * (called == 1).float().mean().item(),
        "true_unknown_share": 1e3 * (classes == 1).float().sum().item() / max(1, int((classes != IGNORE).sum())),
    }
