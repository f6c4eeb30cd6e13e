"""Losses, speed and waiting of a run, read every few steps; and the stop when a loss is not finite."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor

from realtime_matting.errors import MattingError
from train.config import PhaseConfig
from train.hard import HardPeople

Batch = dict[str, Any]
Losses = dict[str, Tensor]


@dataclass
class _Step:
    """What is kept of one step until it is read: its parts' names, numbers and losses, and the gradient's norm."""

    number: int
    rate: float
    names: list[str] = field(default_factory=list)
    indices: list[Tensor] = field(default_factory=list)
    losses: list[Losses] = field(default_factory=list)
    norm: Tensor | None = None


class Meter:
    """Losses of the steps since the last reading, kept on the device so that it need not wait for the host."""

    def __init__(self, name: str, phase: PhaseConfig, stop: int, first: int, fabric: Fabric) -> None:
        self.name, self.phase, self.stop, self.fabric, self.done_before = name, phase, stop, fabric, first
        self.kept: list[_Step] = []
        self.started, self.waited = time.perf_counter(), 0.0
        self.samples_per_second = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent here is spent waiting for data."""
        since = time.perf_counter()
        yield
        self.waited += time.perf_counter() - since

    def begin_step(self, number: int, rate: float) -> None:
        """``rate`` is the factor on the learning rate."""
        self.kept.append(_Step(number, rate))

    def add(self, batch: Batch, losses: Losses) -> None:
        """One part of the step."""
        step = self.kept[-1]
        step.names += batch["name"]
        step.indices.append(batch["index"])
        step.losses.append({k: v.detach().float() for k, v in losses.items()})

    def end_step(self, norm: Tensor | None) -> None:
        """``norm`` of the gradient before it was clipped."""
        self.kept[-1].norm = norm

    def read(self, hard: HardPeople | None) -> list[dict[str, float]]:
        """One row for each step since the last time; means over parts and processes.

        Raises:
            MattingError: a loss or a gradient is not finite.
        """
        rows = []
        spent = time.perf_counter() - self.started
        for step in self.kept:
            self._stop_if_not_finite(step)
            names = [k for k in step.losses[0] if k != "per_sample"]
            means = torch.stack([torch.stack([part[k] for part in step.losses]).mean() for k in names])
            everywhere: Any = self.fabric.all_reduce(means, reduce_op="mean")
            row = {"step": step.number + 1, **dict(zip(names, everywhere.tolist(), strict=True))}
            if step.norm is not None:
                row["gradient_norm"] = step.norm.item()
            rows.append({**row, "learning_rate": self.phase.learning_rate * step.rate, "seconds": spent})
            if hard:
                indices: Any = self.fabric.all_gather(torch.cat(step.indices))
                each: Any = self.fabric.all_gather(torch.cat([part["per_sample"] for part in step.losses]))
                for index, loss in sorted(zip(indices.flatten().tolist(), each.flatten().tolist(), strict=True)):
                    hard.record(index, loss)
        self.kept.clear()
        return rows

    def _stop_if_not_finite(self, step: _Step) -> None:
        totals = torch.stack([part["total"] for part in step.losses])
        finite = torch.isfinite(totals).all()
        everywhere: Any = self.fabric.all_reduce(finite.float(), reduce_op="mean")
        # In float16 a gradient that is not finite is part of the game: the scaler skips the step.
        scaled = self.fabric._precision.precision == "16-mixed"
        smooth = scaled or step.norm is None or bool(torch.isfinite(step.norm))
        if everywhere.item() == 1 and smooth:
            return
        named: list[str] = []
        if not finite or (smooth is False and everywhere.item() == 1):
            wrong = [n for n, ok in zip(step.names, self._finite_samples(step), strict=True) if not ok]
            named = wrong or step.names
        if self.fabric.world_size > 1:
            gathered: list[Any] = [None] * self.fabric.world_size
            dist.all_gather_object(gathered, named)
            named = [name for part in gathered for name in part]
        what = f"the loss is {totals.mean().item()}" if everywhere.item() < 1 else "the gradient is not finite"
        raise MattingError(
            f"{self.name}: {what} at step {step.number + 1}; samples: {'; '.join(named)}. Look at these files or lower "
            "the learning rate, then --resume from the last checkpoint"
        )

    @staticmethod
    def _finite_samples(step: _Step) -> list[bool]:
        if "per_sample" not in step.losses[0]:
            return [True] * len(step.names)
        return torch.isfinite(torch.cat([part["per_sample"] for part in step.losses])).tolist()

    def line(self, done: int, rows: list[dict[str, float]]) -> str:
        """Where the run is, for people."""
        spent = time.perf_counter() - self.started
        self.samples_per_second = (done - self.done_before) * self.phase.batch_size / spent
        left = (self.stop - done) * self.phase.batch_size / self.samples_per_second / 60
        hidden = ("step", "seconds", "learning_rate", "gradient_norm")
        text = "  ".join(f"{k} {v:.5f}" for k, v in rows[-1].items() if k not in hidden)
        return (
            f"{self.name} {done}/{self.stop}  {text}  {self.samples_per_second:.1f} samples/s  "
            f"waiting {100 * self.waited / spent:.0f} %  {left:.0f} min left"
        )
