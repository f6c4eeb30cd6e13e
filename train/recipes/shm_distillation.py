"""The T-Net taught by a better view of the same picture: larger, and mirrored as often as not.

What a T-Net makes of a picture and of its mirror image differs where it is unsure, and so does what it makes of the
picture at another size. The mean of such views is the better trimap, but costs as many times as much. A student learns
to give it from one view (Hinton et al. 2015, arXiv 1503.02531): the teacher may be any T-Net, also the student's own
weights as they were, and no labels are needed.

The gradient of cross entropy is linear in the target, so one view of the teacher, another one for each sample, leads
where the mean of all its views would (nearly, if unknown pixels count more). Batch norms keep their statistics, see
`Run.train`: the student begins as a network that works.

A student that is a smaller network is to say the same of the same view. It comes there sooner if its encoder is also to
give the same features (Romero et al. 2015, arXiv 1412.6550).
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from realtime_matting.errors import InputError
from train.checkpoints import load_network, load_weights
from train.config import PhaseConfig, TeacherConfig
from train.loop import Job
from train.losses import soft_trimap_losses
from train.meter import Batch, Losses
from train.networks.shm import SHM, probabilities_at, shrunk_logits
from train.recipes.shm_common import grey_trimap, learning_groups, trimap_figures


class StudentPhase(nn.Module):
    """T-Net on pictures (N, 3, H, W) in [0, 1] that it shrinks to one of its sizes; gives its logits there."""

    def __init__(self, shm: SHM) -> None:
        super().__init__()
        self.t_net = shm.t_net

    def forward(self, image: Tensor, long_side: int) -> Tensor:
        return shrunk_logits(self.t_net, image, long_side)


class Features:
    """What an encoder gave when it was last used: (N, C, h, w) at each stride."""

    def __init__(self, t_net: nn.Module) -> None:
        self.last: list[Tensor] = []
        encoder = t_net.encoder
        assert isinstance(encoder, nn.Module)
        encoder.register_forward_hook(self._keep)

    def _keep(self, encoder: nn.Module, inputs: tuple[Tensor, ...], given: list[Tensor]) -> None:
        self.last = given

    def apart(self, target: "Features") -> Tensor:
        """Squared difference from ``target`` as a share of its own square, the mean over strides: (N,)."""
        each = [
            (mine.float() - theirs.float()).square().mean(dim=(1, 2, 3)) / theirs.float().square().mean(dim=(1, 2, 3))
            for mine, theirs in zip(self.last, target.last, strict=True)
        ]
        return torch.stack(each).mean(dim=0)


class Teacher:
    """The T-Net of a checkpoint, and its views of a picture."""

    def __init__(self, config: TeacherConfig) -> None:
        network, _ = load_network(config.checkpoint)
        if not isinstance(network, SHM):
            raise InputError(f"{config.checkpoint}: has no T-Net to learn from; name a checkpoint of shm or shm-mobile")
        _fold_batch_norms(network.t_net)  # a teacher sees as many pictures as the student, and they cost half
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.sides = config.sides or (network.trimap_long_side,)
        self.same_view = config.same_view

    def view(self, image: Tensor, step: int, side: int, index: Tensor) -> Tensor:
        """What a student that sees ``image`` at ``side`` is to say in this step, of samples with these numbers."""
        if self.same_view:
            return self.best(image, side)
        return self.probabilities(image, self.sides[step % len(self.sides)], index % 2 == 1)

    def best(self, image: Tensor, side: int) -> Tensor:
        """What a student that sees ``image`` at ``side`` is to learn in the end."""
        if self.same_view:
            return self.probabilities(image, side, torch.zeros(len(image), dtype=torch.bool, device=image.device))
        return self.mean(image)

    @torch.no_grad()
    def probabilities(self, image: Tensor, side: int, mirrored: Tensor) -> Tensor:
        """Class probabilities (N, 3, H, W) of pictures (N, 3, H, W), some of them seen in a mirror: bool (N,)."""
        self.network.to(image.device)
        seen = torch.where(mirrored[:, None, None, None], image.flip(-1), image)
        logits = self.network.trimap_logits(seen, side)
        given = probabilities_at(logits, image.shape[-2:])
        return torch.where(mirrored[:, None, None, None], given.flip(-1), given)

    def mean(self, image: Tensor) -> Tensor:
        """Mean over all views."""
        sides = [torch.full((len(image),), which, device=image.device) for which in (False, True)]
        views = [self.probabilities(image, side, mirrored) for side in self.sides for mirrored in sides]
        return torch.stack(views).mean(dim=0)


def distillation_job(shm: SHM, phase: PhaseConfig, config: TeacherConfig) -> Job:
    """Phase ``t_net`` with a teacher, ``score`` being the divergence from the mean of the teacher's views.

    With ``same_view``, from its one view.

    Raises:
        InputError: it does not start from a checkpoint, the teacher has no T-Net, or there are no features to compare.
    """
    if phase.start != "checkpoint":
        raise InputError(
            "phase t_net with a teacher goes on from trained weights; set start: checkpoint and start_file"
        )
    load_weights(shm.t_net, phase.start_file or Path(), "t_net.")
    network, teacher, weight = StudentPhase(shm), Teacher(config), phase.loss.unknown_weight
    sides = phase.trimap_sides or (shm.trimap_long_side,)
    features = _both_features(shm, teacher.network) if config.features else None

    def step_loss(model: nn.Module, batch: Batch) -> Losses:
        # By their numbers, so that a run that is resumed goes on alike.
        step = int(batch["index"][0]) // phase.batch_size
        side = sides[step % len(sides)]
        target = teacher.view(batch["image"], step, side, batch["index"])
        each = soft_trimap_losses(model(batch["image"], side), target, weight)
        if features is None:
            return {"total": each.mean(), "per_sample": each}
        apart = features[0].apart(features[1]).mean()
        return {"total": each.mean() + config.features * apart, "features": apart, "per_sample": each}

    def validate(model: nn.Module, batch: Batch) -> dict[str, float]:
        logits = model(batch["image"], sides[0]).float()
        divergence = soft_trimap_losses(logits, teacher.best(batch["image"], sides[0]), weight).mean().item()
        return {"score": divergence, "divergence": divergence, **trimap_figures(logits, batch["trimap"], weight)}

    def pictures(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {
            "input": batch["image"],
            "trimap": grey_trimap(model(batch["image"], sides[0]).argmax(dim=1)),
            "teacher's trimap": grey_trimap(teacher.best(batch["image"], sides[0]).argmax(dim=1)),
            "truth": batch["alpha"],
        }

    encoder = getattr(shm.t_net, "encoder", None)
    pretrained = [] if encoder is None else list(encoder.parameters())
    groups = learning_groups(network, pretrained, phase)
    return Job("t_net", network, groups, step_loss, validate, pictures)


def _fold_batch_norms(module: nn.Module) -> None:
    """Put batch norms into the convolutions before them, in place; the module is in evaluation mode."""
    for layers in [layers for layers in module.modules() if isinstance(layers, nn.Sequential)]:
        for number, (layer, follower) in enumerate(zip(layers, list(layers)[1:], strict=False)):
            if isinstance(layer, nn.Conv2d) and isinstance(follower, nn.BatchNorm2d):
                layers[number], layers[number + 1] = fuse_conv_bn_eval(layer, follower), nn.Identity()


def _both_features(shm: SHM, teacher: SHM) -> tuple[Features, Features]:
    """The student's and the teacher's."""
    widths = [getattr(getattr(each.t_net, "encoder", None), "widths", None) for each in (shm, teacher)]
    if widths[0] is None or widths[0] != widths[1]:
        raise InputError(
            "the encoders of student and teacher give features of different widths; set features: 0 for the teacher"
        )
    return Features(shm.t_net), Features(teacher.t_net)
