"""The training loop of one phase: same code on a CPU, a GPU, or several under ``torchrun`` (Lightning Fabric)."""

import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler
from torch.utils.tensorboard import SummaryWriter

from realtime_matting.errors import MattingError
from train.checkpoints import Checkpoint, load_optimizer, load_weights, read_checkpoint, save_checkpoint
from train.config import PhaseConfig, TrainConfig
from train.data.dataset import MattingSamples
from train.phases import Phase

Batch = dict[str, Tensor]
Losses = dict[str, Tensor]


class StepSampler(Sampler[int]):
    """Sample numbers of steps ``start`` to ``stop``, in order (samples are random by number): this process's share.

    Every process takes its part of each step's batch, so that a step sees the same samples however many share it.
    """

    def __init__(self, start: int, stop: int, batch_size: int, rank: int = 0, world: int = 1) -> None:
        self.steps = range(start, stop)
        self.batch_size, self.rank, self.share = batch_size, rank, batch_size // world

    def __iter__(self) -> Iterator[int]:
        for step in self.steps:
            first = step * self.batch_size + self.rank * self.share
            yield from range(first, first + self.share)

    def __len__(self) -> int:
        return len(self.steps) * self.share


class RunningMean:
    """Exponential moving average of weights and buffers, in float32."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Early steps count more, so that the mean forgets the start soon."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)


def learning_rate_factor(step: int, phase: PhaseConfig) -> float:
    """Linear warm-up, then half a cosine down to 2 % of the rate."""
    if step < phase.warmup_steps:
        return (step + 1) / phase.warmup_steps
    progress = (step - phase.warmup_steps) / max(1, phase.steps - phase.warmup_steps)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1)))


def to_float(batch: Batch) -> Batch:
    """uint8 pictures → float32 in [0, 1], on the device they are on; the rest unchanged."""
    return {k: v.float() / 255 if v.dtype == torch.uint8 else v for k, v in batch.items()}


def train_phase(
    config: TrainConfig,
    phase_name: Phase,
    network: nn.Module,
    parameters: list[dict[str, Any]],
    step_loss: Callable[[nn.Module, Batch], Losses],
    validate: Callable[[nn.Module, Batch], dict[str, float]],
    out: Path,
    *,
    resume: bool = False,
    steps: int | None = None,
    device: str = "auto",
) -> dict[str, float]:
    """Train ``network`` for one phase and keep its last and best checkpoints in ``out``.

    Args:
        parameters: optimiser groups; each has ``params`` and a ``rate`` factor.
        step_loss: batch → losses by name; ``"total"`` is what is minimised.
        validate: batch → figures by name, ``"score"`` decides (lower is better).
        steps: stop after this many steps instead of the phase's (its schedule stays).

    Returns:
        The figures of the best checkpoint.

    Raises:
        MattingError: the loss is not finite; the line names the step.
    """
    phase = config.phase(phase_name)
    # torchrun says how many processes this machine runs; otherwise one process, or one for each GPU.
    devices = int(os.environ.get("LOCAL_WORLD_SIZE", "0")) or (1 if device == "cpu" else "auto")
    fabric = Fabric(accelerator=device, devices=devices, precision=config.precision)
    fabric.launch()
    torch.manual_seed(config.seed)
    world = fabric.world_size
    stop = min(steps or phase.steps, phase.steps)

    groups = [{"params": g["params"], "lr": phase.learning_rate * g["rate"], "rate": g["rate"]} for g in parameters]
    optimizer = torch.optim.AdamW(groups, weight_decay=phase.weight_decay)
    mean = RunningMean(network, phase.ema) if phase.ema else None
    first, best = 0, math.inf
    if resume and (out / "last" / "checkpoint.json").is_file():
        about = read_checkpoint(out / "last")
        load_weights(network, out / "last", file="raw.safetensors" if mean else "model.safetensors")
        if mean:
            holder = _copy_of(network)
            load_weights(holder, out / "last")
            mean.values = {k: v.detach().clone() for k, v in holder.state_dict().items()}
        load_optimizer(optimizer, out / "last")
        first, best = about.step, about.metrics.get("best_score", math.inf)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model, optimizer = fabric.setup(network, optimizer)
    if mean:
        mean.values = {k: v.to(fabric.device) for k, v in mean.values.items()}

    per_process = phase.batch_size // world
    if per_process * world != phase.batch_size:
        raise MattingError(f"batch_size {phase.batch_size} cannot be shared by {world} processes; choose a multiple")
    spec = config.sample_spec(phase_name)
    samples = MattingSamples(
        config.data, spec, seed=config.seed, batch_size=phase.batch_size, length=phase.steps * phase.batch_size,
        split="train" if config.holdout else "all", holdout=config.holdout,
    )  # fmt: skip
    loader = fabric.setup_dataloaders(
        DataLoader(
            samples, batch_size=per_process,
            sampler=StepSampler(first, stop, phase.batch_size, fabric.global_rank, world),
            num_workers=config.workers, worker_init_fn=_quiet_worker, drop_last=True,
            prefetch_factor=3 if config.workers else None,
            # OpenCV's threads do not survive a fork: forked workers may hang.
            multiprocessing_context="spawn" if config.workers else None,
        ),
        use_distributed_sampler=False,
    )  # fmt: skip
    checks = _validation_batches(config, phase_name, per_process)
    writer = SummaryWriter(str(out / "tensorboard")) if fabric.is_global_zero else None

    def weights_in_use() -> dict[str, Tensor]:
        return mean.values if mean else network.state_dict()

    def keep(name: str, step: int, figures: dict[str, float]) -> None:
        if fabric.is_global_zero:
            about = Checkpoint(config.network, phase_name, step, config.model_dump(mode="json"), figures)
            raw = network.state_dict() if mean and name == "last" else None
            save_checkpoint(out / name, about, weights_in_use(), raw, optimizer if name == "last" else None)  # type: ignore[arg-type]
        fabric.barrier()

    figures: dict[str, float] = {"best_score": best}
    started, seen, waited = time.perf_counter(), 0, 0.0
    iterator = iter(loader)
    for step in range(first, stop):
        for group in optimizer.param_groups:
            group["lr"] = phase.learning_rate * group["rate"] * learning_rate_factor(step, phase)
        wait_from = time.perf_counter()
        batch = to_float(next(iterator))
        waited += time.perf_counter() - wait_from
        model.train()
        losses = step_loss(model, batch)
        if not torch.isfinite(losses["total"]):
            raise MattingError(
                f"loss is {losses['total'].item()} at step {step} (samples {step * phase.batch_size} to "
                f"{(step + 1) * phase.batch_size - 1}); lower the learning rate and --resume from the last checkpoint"
            )
        optimizer.zero_grad(set_to_none=True)
        fabric.backward(losses["total"])
        fabric.clip_gradients(model, optimizer, max_norm=phase.gradient_clip)
        optimizer.step()
        if mean:
            mean.update(network, step)
        seen += phase.batch_size
        done = step + 1
        if done % phase.log_every == 0 or done == stop:
            spent = time.perf_counter() - started
            rate = seen / spent
            left = (stop - done) * phase.batch_size / rate / 60
            text = "  ".join(f"{k} {v.item():.5f}" for k, v in losses.items())
            fabric.print(
                f"{phase_name} {done}/{stop}  {text}  {rate:.1f} samples/s  waiting {100 * waited / spent:.0f} %  "
                f"{left:.0f} min left", flush=True,
            )  # fmt: skip
            if writer:
                for name, value in losses.items():
                    writer.add_scalar(f"train/{name}", value.item(), done)
                writer.add_scalar("learning_rate", optimizer.param_groups[0]["lr"], done)
                writer.add_scalar("samples_per_second", rate, done)
        if done % phase.validate_every == 0 or done == stop:
            measured = _score(network, weights_in_use(), checks, validate, fabric)
            text = "  ".join(f"{k} {v:.4f}" for k, v in measured.items())
            fabric.print(f"{phase_name} {done}/{stop}  validation: {text}", flush=True)
            if writer:
                for name, number in measured.items():
                    writer.add_scalar(f"validation/{name}", number, done)
            best = figures["best_score"]
            figures = {**measured, "best_score": min(best, measured["score"])}
            if measured["score"] < best:
                keep("best", done, figures)
        if done % phase.save_every == 0 or done == stop:
            keep("last", done, figures)
    if writer:
        writer.close()
    return figures


def _quiet_worker(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _copy_of(network: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(network)


def _validation_batches(config: TrainConfig, phase_name: Phase, batch_size: int) -> list[Batch]:
    """The same held-out samples every time; made once."""
    phase = config.phase(phase_name)
    samples = MattingSamples(
        config.data, config.sample_spec(phase_name), seed=config.seed + 1000, batch_size=batch_size,
        length=phase.validate_samples, split="held_out" if config.holdout else "all", holdout=config.holdout,
    )  # fmt: skip
    return list(DataLoader(samples, batch_size=batch_size))


@torch.no_grad()
def _score(
    network: nn.Module,
    weights: dict[str, Tensor],
    batches: list[Batch],
    validate: Callable[[nn.Module, Batch], dict[str, float]],
    fabric: Fabric,
) -> dict[str, float]:
    """Mean figures over the held-out batches with ``weights``; the network's own come back afterwards."""
    own = {k: v.detach().clone() for k, v in network.state_dict().items()}
    network.load_state_dict(weights)
    network.eval()
    totals: dict[str, float] = {}
    for batch in batches:
        moved = to_float({k: v.to(fabric.device) for k, v in batch.items()})
        with fabric.autocast():
            for name, value in validate(network, moved).items():
                totals[name] = totals.get(name, 0.0) + value / len(batches)
    network.load_state_dict(own)
    return totals
