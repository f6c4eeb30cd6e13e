"""The M-Net alone, with the trimap that was made from the true alpha."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from realtime_matting.errors import InputError
from train.checkpoints import load_weights
from train.config import PhaseConfig
from train.data.alphamatting import alphamatting_check
from train.data.trimaps import classes
from train.loop import Job
from train.meter import Batch, Losses
from train.networks.shm import SHM, fuse, normalize
from train.networks.vgg import start_from_vgg16
from train.recipes.shm_common import grey_trimap, learning_groups, mad, matting_losses


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


def matting_job(shm: SHM, phase: PhaseConfig) -> Job:
    """Phase ``m_net``, ``score`` being MAD; with ``validate_on`` it is measured on alphamatting.com's pictures too.

    Raises:
        InputError: it cannot start so, or there are no such pictures.
    """
    network = MattingPhase(shm)
    pretrained: list[nn.Parameter] = []
    if phase.start == "vgg16":
        start_from_vgg16(shm.m_net.encoder, phase.start_file or Path())
        pretrained = list(shm.m_net.encoder.parameters())
    elif phase.start == "checkpoint":
        load_weights(shm.m_net, phase.start_file or Path(), "m_net.")
    elif phase.start != "random":
        raise InputError(f"phase m_net cannot start from {phase.start}")

    def predict(model: nn.Module, batch: Batch) -> Tensor:
        alpha: Tensor = model(batch["image"], one_hot(batch["trimap"]))
        return alpha

    def validate(model: nn.Module, batch: Batch) -> dict[str, float]:
        error = mad(predict(model, batch), batch["alpha"])
        return {"score": error, "mad": error}

    def pictures(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {
            "input": batch["image"],
            "trimap": grey_trimap(batch["trimap"]),
            "prediction": predict(model, batch),
            "truth": batch["alpha"],
        }

    check = None
    if phase.validate_on:
        measure = alphamatting_check(phase.validate_on)

        def check(model: nn.Module) -> dict[str, float]:
            device = next(model.parameters()).device

            def matte(rgb: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
                picture = torch.from_numpy(rgb).to(device).permute(2, 0, 1)[None].float() / 255
                known = one_hot(torch.from_numpy(classes(trimap).astype(np.int64))[None].to(device))
                return model(picture, known)[0, 0].float().cpu().numpy()  # type: ignore[no-any-return]

            return measure(matte)

    def step_loss(model: nn.Module, batch: Batch) -> Losses:
        return matting_losses(predict(model, batch), batch, phase)

    return Job("m_net", network, learning_groups(network, pretrained, phase), step_loss, validate, pictures, check)
