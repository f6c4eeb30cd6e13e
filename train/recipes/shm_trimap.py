"""The T-Net alone, on pictures that already have its size."""

from pathlib import Path

from torch import Tensor, nn

from realtime_matting.errors import InputError
from train.checkpoints import load_weights
from train.config import PhaseConfig
from train.loop import Job
from train.losses import trimap_losses
from train.meter import Batch, Losses
from train.networks.pspnet import PSPNet
from train.networks.shm import SHM, normalize
from train.networks.tnet_mobile import MobileTNet
from train.pretrained import start_from_imagenet, start_from_resnet50
from train.recipes.shm_common import grey_trimap, learning_groups, trimap_figures


class TrimapPhase(nn.Module):
    """T-Net on pictures that already have its size."""

    def __init__(self, shm: SHM) -> None:
        super().__init__()
        self.t_net = shm.t_net

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.t_net(normalize(image, self.t_net.mean, self.t_net.std))  # type: ignore[arg-type]
        return logits


def trimap_job(shm: SHM, phase: PhaseConfig) -> Job:
    """Phase ``t_net``, ``score`` being the cross entropy.

    Raises:
        InputError: it cannot start so.
    """
    loss = phase.loss
    network = TrimapPhase(shm)
    pretrained: list[nn.Parameter] = []
    if phase.start == "imagenet":
        if not isinstance(shm.t_net, MobileTNet):
            raise InputError("start imagenet is for shm-mobile; shm's T-Net takes start: resnet50")
        start_from_imagenet(shm.t_net.encoder)
        pretrained = list(shm.t_net.encoder.parameters())
    elif phase.start == "resnet50":
        if not isinstance(shm.t_net, PSPNet):
            raise InputError("start resnet50 is for shm; shm-mobile's T-Net takes start: imagenet")
        pretrained = start_from_resnet50(shm.t_net, phase.start_file or Path())
    elif phase.start == "checkpoint":
        load_weights(shm.t_net, phase.start_file or Path(), "t_net.")
        pretrained = list(shm.t_net.encoder.parameters()) if isinstance(shm.t_net, MobileTNet) else []
    elif phase.start != "random":
        raise InputError(f"phase t_net cannot start from {phase.start}")

    def step_loss(model: nn.Module, batch: Batch) -> Losses:
        logits = model(batch["image"])
        each = trimap_losses(logits, batch["trimap"], loss.unknown_weight)
        return {"total": each.mean(), "per_sample": each}

    def validate(model: nn.Module, batch: Batch) -> dict[str, float]:
        logits = model(batch["image"]).float()
        figures = trimap_figures(logits, batch["trimap"], loss.unknown_weight)
        return {"score": figures["cross_entropy"], **figures}

    def pictures(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {
            "input": batch["image"],
            "trimap": grey_trimap(model(batch["image"]).argmax(dim=1)),
            "true trimap": grey_trimap(batch["trimap"]),
            "truth": batch["alpha"],
        }

    return Job("t_net", network, learning_groups(network, pretrained, phase), step_loss, validate, pictures)
