"""U²-Net for human matting, in two stages.

    python -m train u2net --stage 1 --config configs/train/u2netp.yaml     (coarse: also pictures with coarse masks)
    python -m train u2net --stage 2 --config configs/train/u2netp.yaml     (fine: composites, from easy to hard)

Checkpoints go to ``OUT/{coarse,fine}/{last,best}``; ``fine`` starts from ``coarse``'s best. The network and its deep
supervision: Qin et al. 2020, arXiv 2005.09007, section 3.3. Easy to hard: backgrounds are one solid colour at first,
and the real one is faded in until nothing else is left.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realtime_matting.errors import InputError
from train.checkpoints import load_weights
from train.config import TrainConfig
from train.data.trimaps import IGNORE
from train.loop import Job, train_phase
from train.losses import smooth_l1
from train.meter import Batch, Losses
from train.networks import build_network
from train.networks.shm import normalize
from train.networks.u2net import NestedU

PHASE_OF_STAGE = {1: "coarse", 2: "fine"}


def deep_supervision(logits: Sequence[Tensor], alpha: Tensor, sure: Tensor, side_l1: float) -> Tensor:
    """Sum over all outputs of the cross entropy with a soft target, plus ``side_l1`` times L1; (N,), one a sample.

    Args:
        logits: seven of float (N, 1, H, W), before the sigmoid.
        alpha: float (N, 1, H, W) in [0, 1].
        sure: float (N, 1, H, W); 0 where the truth is not known.
    """
    area = sure.sum(dim=(1, 2, 3)).clamp(min=1)
    total = alpha.new_zeros(len(alpha))
    for output in logits:
        output = output.float()
        each = F.binary_cross_entropy_with_logits(output, alpha, reduction="none")
        if side_l1:
            each = each + side_l1 * smooth_l1(torch.sigmoid(output) - alpha)
        total = total + (each * sure).sum(dim=(1, 2, 3)) / area
    return total


def train_u2net(
    config: TrainConfig, stage: int, out: Path, *, resume: bool, steps: int | None, device: str
) -> dict[str, float]:
    """Run stage 1 (``coarse``) or 2 (``fine``).

    Raises:
        InputError: stage 2 without the checkpoint of stage 1.
    """
    name = PHASE_OF_STAGE[stage]
    torch.manual_seed(config.seed)
    phase = config.phase(name)
    network = build_network(config.network, config.network_options)
    assert isinstance(network, NestedU)
    mean, std = network.mean, network.std
    if stage == 2 and not resume:
        before = out / "coarse" / "best"
        if not before.is_dir():
            raise InputError(f"{before} is missing: train stage 1 before stage 2")
        load_weights(network, before)

    def predict(model: nn.Module, batch: Batch) -> Sequence[Tensor]:
        logits: Sequence[Tensor] = model(normalize(batch["image"], mean, std))
        return logits

    def step_loss(model: nn.Module, batch: Batch) -> Losses:
        sure = (batch["trimap"] != IGNORE).float()[:, None]
        logits = predict(model, batch)
        each = deep_supervision(logits, batch["alpha"], sure, phase.loss.side_l1)
        with torch.no_grad():
            l1 = ((torch.sigmoid(logits[0].float()) - batch["alpha"]).abs() * sure).sum() / sure.sum().clamp(min=1)
        return {"total": each.mean(), "l1": l1, "per_sample": each}

    def validate(model: nn.Module, batch: Batch) -> dict[str, float]:
        sure = (batch["trimap"] != IGNORE).float()[:, None]
        error = (torch.sigmoid(predict(model, batch)[0].float()) - batch["alpha"]).abs() * sure
        mad = 1e3 * (error.sum() / sure.sum().clamp(min=1)).item()
        return {"score": mad, "mad": mad}

    def pictures(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        alpha = torch.sigmoid(predict(model, batch)[0].float())
        return {"input": batch["image"], "prediction": alpha, "truth": batch["alpha"]}

    job = Job(name, network, [{"params": list(network.parameters()), "rate": 1.0}], step_loss, validate, pictures)
    return train_phase(config, job, out / name, resume=resume, steps=steps, device=device)
