"""Both networks, or the M-Net behind a T-Net that stays as it is."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realtime_matting.errors import InputError
from train.config import PhaseConfig
from train.guided_filter import guided_filter
from train.loop import Job
from train.losses import trimap_loss
from train.meter import Batch, Losses
from train.networks.shm import SHM, Prediction, probabilities_at
from train.recipes.shm_common import grey_trimap, mad, matting_losses, trimap_figures


class Shared(SHM):
    """The networks of another SHM, not copies of them."""

    def __init__(self, shm: SHM) -> None:
        sides = {"trimap_long_side": shm.trimap_long_side, "matting_long_side": shm.matting_long_side}
        super().__init__(shm.t_net, shm.m_net, **sides)


class EndToEndPhase(Shared):
    """Both networks as in the paper (section 4.4): T-Net on whole patches at its own size, M-Net on windows of them."""

    def __init__(self, shm: SHM, side: int) -> None:
        super().__init__(shm)
        self.side = side

    def forward(  # type: ignore[override]
        self, patch: Tensor, crop: Tensor, windows: Tensor, trimap_long_side: int | None = None
    ) -> Prediction:
        logits = self.trimap_logits(patch, trimap_long_side)
        probabilities = probabilities_at(logits, patch.shape[-2:])
        return Prediction(self.matte(crop, cut_windows(probabilities, windows, self.side)), logits)


class BakedPhase(Shared):
    """M-Net and fusion, with trimaps that the T-Net, which is only kept, made before."""

    def forward(self, image: Tensor, probabilities: Tensor) -> Tensor:  # type: ignore[override]
        return self.matte(image, probabilities)


def end_to_end_job(shm: SHM, phase: PhaseConfig) -> Job:
    """Phase ``end_to_end``, ``score`` being MAD, behind the filters where the loss is.

    Raises:
        InputError: it is told what to start from.
    """
    loss = phase.loss
    if phase.start != "random":
        raise InputError("phase end_to_end starts from the other two phases; remove its start")
    if phase.baked:
        return _baked_job(shm, phase)
    network = EndToEndPhase(shm, phase.crop) if phase.crops else shm
    frozen = (shm.t_net,) if phase.freeze_t_net else ()

    def predict(model: nn.Module, batch: Batch, side: int | None = None) -> tuple[Prediction, Batch]:
        """Prediction and the batch it is compared with: cut to the windows where there are any."""
        if not phase.crops:
            return model(batch["image"], side), batch
        cut = {
            k: cut_windows(batch[k], batch["window"], phase.crop)
            for k in ("image", "alpha", "foreground", "background")
        }
        return model(batch["image"], cut["image"], batch["window"], side), {**batch, **cut}

    def step_loss(model: nn.Module, batch: Batch) -> Losses:
        # All samples of a step have the same side, by their numbers, so that a run that is resumed goes on alike.
        sides = phase.trimap_sides
        side = sides[int(batch["index"][0]) // phase.batch_size % len(sides)] if sides else None
        prediction, target = predict(model, batch, side)
        losses = matting_losses(prediction.alpha, target, phase)
        losses["trimap"] = trimap_loss(prediction.trimap_logits, batch["trimap"], loss.unknown_weight)
        if not phase.freeze_t_net:
            losses["total"] = losses["total"] + loss.trimap * losses["trimap"]
        return losses

    def validate(model: nn.Module, batch: Batch) -> dict[str, float]:
        prediction, target = predict(model, batch)
        alpha = guided_filter(prediction.alpha, target["image"]) if loss.filtered else prediction.alpha
        error = mad(alpha, target["alpha"])
        figures = trimap_figures(prediction.trimap_logits.float(), batch["trimap"], loss.unknown_weight)
        return {**figures, "score": error, "mad": error}

    def pictures(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        prediction, target = predict(model, batch)
        return {
            "input": target["image"],
            "trimap": grey_trimap(prediction.trimap_logits.argmax(dim=1)),
            "prediction": prediction.alpha,
            "truth": target["alpha"],
        }

    kept = [] if phase.freeze_t_net else list(shm.t_net.parameters())
    groups = [{"params": list(shm.m_net.parameters()), "rate": 1.0}, {"params": kept, "rate": phase.encoder_rate}]
    return Job("end_to_end", network, [g for g in groups if g["params"]], step_loss, validate, pictures, None, frozen)


def _baked_job(shm: SHM, phase: PhaseConfig) -> Job:
    """The M-Net behind a T-Net that stays as it is, on crops that hold its trimaps (:mod:`train.data.baked`)."""
    network = BakedPhase(shm)

    def predict(model: nn.Module, batch: Batch) -> Tensor:
        alpha: Tensor = model(batch["image"], batch["probabilities"])
        return alpha

    def step_loss(model: nn.Module, batch: Batch) -> Losses:
        return matting_losses(predict(model, batch), batch, phase)

    def validate(model: nn.Module, batch: Batch) -> dict[str, float]:
        alpha = predict(model, batch)
        error = mad(guided_filter(alpha, batch["image"]) if phase.loss.filtered else alpha, batch["alpha"])
        return {"score": error, "mad": error}

    def pictures(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {
            "input": batch["image"],
            "trimap": grey_trimap(batch["probabilities"].argmax(dim=1)),
            "prediction": predict(model, batch),
            "truth": batch["alpha"],
        }

    groups = [{"params": list(shm.m_net.parameters()), "rate": 1.0}]
    return Job("end_to_end", network, groups, step_loss, validate, pictures, None, (shm.t_net,))


def cut_windows(pictures: Tensor, windows: Tensor, side: int) -> Tensor:
    """Squares (top, left, side), int64 (N, 3), cut from float (N, C, H, W) and resized to (N, C, side, side)."""
    cut = []
    for picture, (top, left, extent) in zip(pictures, windows.tolist(), strict=True):
        part = picture[None, :, top : top + extent, left : left + extent]
        if extent != side:
            # The antialiased filter has no bfloat16 kernel on a CPU.
            with torch.autocast(part.device.type, enabled=False):
                part = F.interpolate(
                    part.float(), size=(side, side), mode="bilinear", align_corners=False, antialias=extent > side
                )
        cut.append(part)
    return torch.cat(cut)
