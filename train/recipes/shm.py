"""Semantic Human Matting in three phases: T-Net alone, M-Net alone, both together.

    python -m train shm --phase t_net      --config configs/train/shm_mobile.yaml
    python -m train shm --phase m_net      --config configs/train/shm_mobile.yaml
    python -m train shm --phase end_to_end --config configs/train/shm_mobile.yaml

``configs/train/shm.yaml`` has the paper's networks, sizes and schedule, ``shm_mobile.yaml`` those of a CPU. Checkpoints
go to ``OUT/PHASE/{last,best}``; ``end_to_end`` starts from the other two phases' best.
Chen et al. 2018, arXiv 1809.01354, section 4.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from realtime_matting.errors import InputError
from train.checkpoints import load_weights
from train.config import PhaseConfig, TrainConfig
from train.data.alphamatting import alphamatting_check
from train.data.trimaps import IGNORE, classes
from train.guided_filter import guided_filter
from train.loop import Job, train_phase
from train.losses import gradient_loss, laplacian_loss, prediction_loss, smooth_l1, trimap_loss, trimap_losses
from train.meter import Batch, Losses
from train.networks import build_network
from train.networks.pspnet import PSPNet
from train.networks.shm import SHM, Prediction, fuse, normalize, probabilities_at
from train.networks.tnet_mobile import MobileTNet
from train.networks.vgg import start_from_vgg16
from train.pretrained import start_from_imagenet, start_from_resnet50


class EndToEndPhase(SHM):
    """Both networks as in the paper (section 4.4): T-Net on whole patches at its own size, M-Net on windows of them."""

    def __init__(self, shm: SHM, side: int) -> None:
        sides = {"trimap_long_side": shm.trimap_long_side, "matting_long_side": shm.matting_long_side}
        super().__init__(shm.t_net, shm.m_net, **sides)
        self.side = side

    def forward(  # type: ignore[override]
        self, patch: Tensor, crop: Tensor, windows: Tensor, trimap_long_side: int | None = None
    ) -> Prediction:
        logits = self.trimap_logits(patch, trimap_long_side)
        probabilities = probabilities_at(logits, patch.shape[-2:])
        return Prediction(self.matte(crop, cut_windows(probabilities, windows, self.side)), logits)


class BakedPhase(SHM):
    """M-Net and fusion, with trimaps that the T-Net, which is only kept, made before."""

    def __init__(self, shm: SHM) -> None:
        sides = {"trimap_long_side": shm.trimap_long_side, "matting_long_side": shm.matting_long_side}
        super().__init__(shm.t_net, shm.m_net, **sides)

    def forward(self, image: Tensor, probabilities: Tensor) -> Tensor:  # type: ignore[override]
        return self.matte(image, probabilities)


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
    config: TrainConfig,
    phase_name: str,
    out: Path,
    *,
    resume: bool,
    steps: int | None,
    device: str,
    t_net: Path | None = None,
    m_net: Path | None = None,
) -> dict[str, float]:
    """Run one phase; returns its figures (see :func:`train.loop.train_phase`).

    Args:
        t_net, m_net: checkpoints from which ``end_to_end`` takes that network, in place of the best ones in ``out``;
            they may be of that phase or of an earlier end-to-end run.

    Raises:
        InputError: ``end_to_end`` without the checkpoints of the other two, or others with ``t_net`` or ``m_net``.
    """
    torch.manual_seed(config.seed)
    shm = build_network(config.network, config.network_options)
    assert isinstance(shm, SHM)
    phase = config.phase(phase_name)
    jobs = {"t_net": _trimap_job, "m_net": _matting_job, "end_to_end": _end_to_end_job}
    if phase_name != "end_to_end" and (t_net or m_net):
        raise InputError(f"phase {phase_name} trains one network; --t-net and --m-net are for end_to_end")
    goes_on = resume and (out / phase_name / "last" / "checkpoint.json").is_file()
    if phase_name == "end_to_end" and not goes_on:
        for name, given, part in (("t_net", t_net, shm.t_net), ("m_net", m_net, shm.m_net)):
            start = given or out / name / "best"
            if not start.is_dir():
                raise InputError(f"{start} is missing: train phase {name} before end_to_end, or name a checkpoint")
            load_weights(part, start, f"{name}.")
    job = jobs[phase_name](shm, phase)
    if job.check is None and phase.validate_on:
        raise InputError(f"phase {phase_name}: validate_on needs a network that takes a trimap; that is phase m_net")
    return train_phase(config, job, out / phase_name, resume=resume, steps=steps, device=device)


def _trimap_job(shm: SHM, phase: PhaseConfig) -> Job:
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

    return Job("t_net", network, _groups(network, pretrained, phase), step_loss, validate, pictures)


def _matting_job(shm: SHM, phase: PhaseConfig) -> Job:
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

    return Job("m_net", network, _groups(network, pretrained, phase), step_loss, validate, pictures, check)


def _end_to_end_job(shm: SHM, phase: PhaseConfig) -> Job:
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


def _groups(network: nn.Module, pretrained: list[nn.Parameter], phase: PhaseConfig) -> list[dict[str, Any]]:
    """Optimiser groups: pretrained layers learn at their own rate."""
    known = {id(p) for p in pretrained}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in network.parameters() if id(p) not in known], "rate": 1.0},
        {"params": pretrained, "rate": phase.encoder_rate},
    ]
    return [g for g in groups if g["params"]]


def matting_losses(alpha: Tensor, batch: Batch, phase: PhaseConfig) -> Losses:
    """L_p over the whole image, and the Laplacian term where the phase wants it; of raw or filtered alpha, or both."""
    share = phase.loss.filtered
    if share == 0:
        losses = _matting_losses(alpha, batch, phase)
    else:
        seen = guided_filter(alpha, batch["image"])
        losses = _matting_losses(seen, batch, phase)
        if share < 1:
            raw = _matting_losses(alpha, batch, phase)
            losses = {name: share * value + (1 - share) * raw[name] for name, value in losses.items()}
        alpha = seen
    each = smooth_l1(alpha.detach().float() - batch["alpha"]).mean(dim=(1, 2, 3))
    return {**losses, "per_sample": each}


def _matting_losses(alpha: Tensor, batch: Batch, phase: PhaseConfig) -> Losses:
    loss = phase.loss
    terms = {"prediction": prediction_loss(alpha, batch["alpha"], batch["foreground"], batch["background"])}
    total = loss.prediction * terms["prediction"]
    if loss.laplacian:
        terms["laplacian"] = laplacian_loss(alpha, batch["alpha"])
        total = total + loss.laplacian * terms["laplacian"]
    if loss.gradient:
        terms["gradient"] = gradient_loss(alpha, batch["alpha"])
        total = total + loss.gradient * terms["gradient"]
    return {"total": total, **terms}


def mad(alpha: Tensor, truth: Tensor) -> float:
    """Mean absolute difference over the whole image, in 1e-3."""
    return 1e3 * (alpha.float() - truth).abs().mean().item()


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


def grey_trimap(numbers: Tensor) -> Tensor:
    """Class numbers (N, H, W) → (N, 1, H, W): 0 background, 0.5 unknown, 1 foreground; ignored pixels 0.25."""
    return torch.where(numbers == IGNORE, 0.25, numbers.clamp(max=2) / 2)[:, None]


def trimap_figures(logits: Tensor, classes: Tensor, unknown_weight: float) -> dict[str, float]:
    """Cross entropy, and the share of pixels called known that are of the other known class, in 1e-3."""
    if logits.shape[-2:] != classes.shape[-2:]:
        classes = F.interpolate(classes[:, None].float(), size=logits.shape[-2:], mode="nearest")[:, 0].long()
    called = logits.argmax(dim=1)
    wrong = ((called == 0) & (classes == 2)) | ((called == 2) & (classes == 0))
    return {
        "cross_entropy": trimap_loss(logits, classes, unknown_weight).item(),
        "swapped": 1e3 * wrong.float().mean().item(),
        "unknown_share": 1e3 * (called == 1).float().mean().item(),
        "true_unknown_share": 1e3 * (classes == 1).float().sum().item() / max(1, int((classes != IGNORE).sum())),
    }
