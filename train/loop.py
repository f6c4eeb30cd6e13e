"""The training loop of one phase: same code on a CPU, a GPU, or several under ``torchrun`` (Lightning Fabric)."""

import copy
import dataclasses
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.data import DataLoader

from realtime_matting.allocator import keep_freed_memory
from realtime_matting.errors import InputError, OutputError
from train.board import Board
from train.checkpoints import Checkpoint, load_optimizer, load_weights, read_checkpoint, save_checkpoint
from train.config import TrainConfig
from train.data.baked import BakedCrops
from train.data.dataset import MattingSamples, Split
from train.hard import BLOCK, HardPeople
from train.meter import Batch, Losses, Meter
from train.record import record_run
from train.shared_norm import share_batch_norm
from train.steps import RunningMean, StepSampler, learning_rate_factor

PREFETCH = 3
"""Batches that each loader process makes ahead."""


@dataclass
class Job:
    """What a recipe trains in one phase.

    Attributes:
        parameters: optimiser groups; each has ``params`` and a ``rate`` factor. What is in no group does not learn.
        step_loss: (model, batch) → losses by name: ``total`` is minimised; ``per_sample`` (N,) serves hard mode. Means
            over samples of means over each sample, so that several processes give the number that one would.
        validate: (network, held-out batch) → figures by name; ``score`` decides, lower is better.
        pictures: (network, batch) → name → (N, 1 or 3, H, W) in [0, 1], to look at.
        check: a further validation of the network, on files.
        frozen: modules that stay in evaluation mode.
    """

    phase: str
    network: nn.Module
    parameters: list[dict[str, Any]]
    step_loss: Callable[[nn.Module, Batch], Losses]
    validate: Callable[[nn.Module, Batch], dict[str, float]]
    pictures: Callable[[nn.Module, Batch], dict[str, Tensor]]
    check: Callable[[nn.Module], dict[str, float]] | None = None
    frozen: tuple[nn.Module, ...] = ()


def train_phase(
    config: TrainConfig, job: Job, out: Path, *, resume: bool = False, steps: int | None = None, device: str = "auto"
) -> dict[str, float]:
    """Train ``job.network`` for one phase and keep its last and best checkpoints in ``out``.

    Args:
        steps: stop after this many steps instead of the phase's (its schedule stays).

    Returns:
        The figures of the last validation, and the best score.

    Raises:
        MattingError: the loss is not finite; the line names step and samples.
        OutputError: a checkpoint could not be written; the last good one is still there.
    """
    return Run(config, job, out, device).train(resume=resume, steps=steps)


class Run:
    """State of one run, so that its parts can be told apart."""

    def __init__(self, config: TrainConfig, job: Job, out: Path, device: str) -> None:
        self.config, self.job, self.out = config, job, out
        self.phase = config.phase(job.phase)
        # torchrun says how many processes this machine runs; otherwise one process, or one for each GPU.
        devices = int(os.environ.get("LOCAL_WORLD_SIZE", "0")) or (1 if device == "cpu" else "auto")
        if config.precision == "16-mixed" and device == "cpu":
            raise InputError("precision 16-mixed needs a GPU; take bf16-mixed or 32-true on a CPU")
        try:
            self.fabric = Fabric(accelerator=device, devices=devices, precision=config.precision)
        except (RuntimeError, ValueError) as error:
            raise InputError(f"--device {device}: {' '.join(str(error).split())}") from error
        self.fabric.launch()
        if self.fabric.device.type == "cpu":
            # Activations are mapped and cleared anew with every step otherwise: a fifth of the processor's time.
            keep_freed_memory(without_limit=True)
        torch.manual_seed(config.seed)
        if self.fabric.device.type == "cuda":
            torch.backends.cudnn.benchmark = not config.deterministic
            torch.backends.cudnn.deterministic = config.deterministic
        self.parts = self.fabric.world_size * self.phase.accumulate
        if self.phase.batch_size % self.parts:
            raise InputError(
                f"batch_size {self.phase.batch_size} cannot be shared by {self.fabric.world_size} processes in "
                f"{self.phase.accumulate} parts each; choose a multiple of {self.parts}"
            )
        self.samples = self._samples("train" if config.holdout else "all", config.seed)
        self.people = self.samples.people_count
        self.total = self.phase.total_steps(self.people)
        fade = round(self.phase.easy_to_hard * self.total)
        self.samples.spec = dataclasses.replace(self.samples.spec, easy_to_hard_steps=fade)
        self.hard = HardPeople(self.phase.hard, config.seed, self.phase.batch_size) if self.phase.hard else None
        if self.hard and config.workers * PREFETCH > BLOCK * self.phase.accumulate:
            raise InputError(f"hard mode allows {BLOCK * self.phase.accumulate // PREFETCH} workers at most")

    def _samples(self, split: Split, seed: int) -> MattingSamples:
        kind = partial(BakedCrops, self.phase.baked) if self.phase.baked else MattingSamples
        return kind(
            self.config.data, self.config.sample_spec(self.job.phase), seed=seed, batch_size=self.phase.batch_size,
            split=split, holdout=self.config.holdout,
        )  # fmt: skip

    def train(self, *, resume: bool, steps: int | None) -> dict[str, float]:
        config, phase, job, fabric = self.config, self.phase, self.job, self.fabric
        network = job.network
        stop = min(steps or self.total, self.total)
        learning = {id(p) for group in job.parameters for p in group["params"]}
        for parameter in network.parameters():
            parameter.requires_grad_(id(parameter) in learning)
        still = list(job.frozen)
        if phase.keep_statistics or phase.teacher:
            still += [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        groups = [{**g, "lr": phase.learning_rate * g["rate"]} for g in job.parameters]
        kind = torch.optim.AdamW if phase.optimizer == "adamw" else torch.optim.Adam
        optimizer: Any = kind(groups, weight_decay=phase.weight_decay)
        mean = RunningMean(network, phase.ema) if phase.ema else None
        first, best = 0, math.inf
        if resume and (self.out / "last" / "checkpoint.json").is_file():
            about = read_checkpoint(self.out / "last")
            load_weights(network, self.out / "last", file="raw.safetensors" if mean else "model.safetensors")
            if mean:
                holder = copy.deepcopy(network)
                load_weights(holder, self.out / "last")
                mean.values = {k: v.detach().clone() for k, v in holder.state_dict().items()}
            load_optimizer(optimizer, self.out / "last")
            first, best = about.step, about.metrics.get("best_score", math.inf)
            if self.hard:
                self.hard.restore(about.hard)
        if fabric.world_size > 1:
            if fabric.device.type == "cuda":
                job.network = network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
            else:
                share_batch_norm(network)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        running: Any = torch.compile(network) if config.compile else network
        model, optimizer = fabric.setup(running, optimizer)
        if mean:
            mean.values = {k: v.to(fabric.device) for k, v in mean.values.items()}
        checks = self._validation_batches()
        batches = self._batches(first, stop)
        board = None
        if fabric.is_global_zero:
            record_run(self.out, config, fabric.device, processes=fabric.world_size, first_step=first)
            board = Board(self.out, first)
        meter = Meter(job.phase, phase, stop, first, fabric)
        figures: dict[str, float] = {"best_score": best}

        def weights_in_use() -> dict[str, Tensor]:
            return mean.values if mean else network.state_dict()

        def keep(name: str, step: int) -> None:
            if fabric.is_global_zero:
                about = Checkpoint(
                    config.network, job.phase, step, config.model_dump(mode="json"), figures,
                    dict(config.network_options), self.hard.state() if self.hard and name == "last" else [],
                )  # fmt: skip
                raw = network.state_dict() if mean and name == "last" else None
                state = optimizer if name == "last" else None
                try:
                    save_checkpoint(self.out / name, about, weights_in_use(), raw, state)
                except (OSError, SafetensorError) as error:
                    raise OutputError(
                        f"{self.out / name}: step {step} could not be saved ({error}); the checkpoint before it is "
                        "still there: free some space, then --resume"
                    ) from error
            fabric.barrier()

        for step in range(first, stop):
            rate = learning_rate_factor(step, phase, self.people)
            for group in optimizer.param_groups:
                group["lr"] = phase.learning_rate * group["rate"] * rate
            model.train()
            for module in still:
                module.eval()
            optimizer.zero_grad(set_to_none=True)
            meter.begin_step(step, rate)
            for part in range(phase.accumulate):
                with meter.waiting():
                    batch = next(batches)
                with fabric.no_backward_sync(model, enabled=part < phase.accumulate - 1):
                    losses = job.step_loss(model, batch)
                    fabric.backward(losses["total"] / phase.accumulate)
                meter.add(batch, losses)
            norm = fabric.clip_gradients(model, optimizer, max_norm=phase.gradient_clip, error_if_nonfinite=False)
            meter.end_step(norm)
            optimizer.step()
            if mean:
                mean.update(network, step)
            done = step + 1
            last = done == stop
            validating, saving = done % phase.validate_every == 0 or last, done % phase.save_every == 0 or last
            if done % phase.log_every == 0 or validating or saving or self._hard_block_ends(done):
                rows = meter.read(self.hard)
                if board:
                    board.losses(rows, meter.samples_per_second)
                if done % phase.log_every == 0 or last:
                    fabric.print(meter.line(done, rows), flush=True)
            if validating:
                measured, shown = self._score(weights_in_use(), checks)
                text = "  ".join(f"{k} {v:.4f}" for k, v in measured.items())
                fabric.print(f"{job.phase} {done}/{stop}  validation: {text}", flush=True)
                if board:
                    board.validation(measured, shown, done)
                best = figures["best_score"]
                figures = {**measured, "best_score": min(best, measured["score"])}
                if measured["score"] < best:
                    keep("best", done)
            if saving:
                keep("last", done)
        if board:
            board.close()
        return figures

    def _hard_block_ends(self, done: int) -> bool:
        return self.hard is not None and done % BLOCK == 0

    def _batches(self, first: int, stop: int) -> Iterator[Batch]:
        phase, fabric = self.phase, self.fabric
        sampler = StepSampler(first, stop, phase.batch_size, fabric.global_rank, fabric.world_size, self.hard)
        each = phase.batch_size // self.parts
        if self.config.data.resident and not phase.baked:
            from train.data.resident import ResidentSamples

            resident = ResidentSamples(
                self.config.data, self.samples.spec, seed=self.config.seed, batch_size=phase.batch_size,
                length=stop * phase.batch_size, split=self.samples.split, holdout=self.config.holdout,
                device=fabric.device,
            )  # fmt: skip
            numbers = iter(sampler)
            return resident.batches([next(numbers) for _ in range(each)] for _ in range(len(sampler) // each))
        loader: Any = fabric.setup_dataloaders(
            DataLoader(
                self.samples, batch_size=each, sampler=sampler, num_workers=self.config.workers,
                worker_init_fn=quiet_worker, drop_last=True, prefetch_factor=PREFETCH if self.config.workers else None,
                pin_memory=fabric.device.type == "cuda",
                # OpenCV's threads do not survive a fork: forked workers may hang.
                multiprocessing_context="spawn" if self.config.workers else None,
            ),
            use_distributed_sampler=False,
        )  # fmt: skip
        return (to_float(batch) for batch in loader)

    def _validation_batches(self) -> list[Batch]:
        """The same held-out samples every time; made once."""
        samples = self._samples("held_out" if self.config.holdout else "all", self.config.seed + 1000)
        samples.length = self.phase.validate_samples
        return list(DataLoader(samples, batch_size=max(1, self.phase.batch_size // self.parts)))

    @torch.no_grad()
    def _score(self, weights: dict[str, Tensor], batches: list[Batch]) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Mean figures over the held-out batches with ``weights``, and pictures of the first; own weights come back."""
        network, job = self.job.network, self.job
        own = {k: v.detach().clone() for k, v in network.state_dict().items()}
        network.load_state_dict(weights)
        network.eval()
        totals: dict[str, float] = {}
        shown: dict[str, Tensor] = {}
        seen = sum(len(batch["image"]) for batch in batches)
        for batch in batches:
            moved = to_float({k: v.to(self.fabric.device) if isinstance(v, Tensor) else v for k, v in batch.items()})
            with self.fabric.autocast():
                for name, value in job.validate(network, moved).items():
                    totals[name] = totals.get(name, 0.0) + value * len(batch["image"]) / seen
                shown = shown or job.pictures(network, moved)
        if job.check:
            with self.fabric.autocast():
                totals |= job.check(network)
        network.load_state_dict(own)
        return totals, shown


def to_float(batch: Batch) -> Batch:
    """uint8 pictures → float32 in [0, 1], on the device they are on; the rest unchanged."""
    return {k: v.float() / 255 if isinstance(v, Tensor) and v.dtype == torch.uint8 else v for k, v in batch.items()}


def quiet_worker(_: int) -> None:
    """One thread for each loader process: there is one process for each core."""
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
