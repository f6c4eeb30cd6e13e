"""What a step is made of: which samples, at which rate, and the running mean of the weights."""

import math
from collections.abc import Iterator

import torch
from torch import nn
from torch.utils.data import Sampler

from train.config import PhaseConfig
from train.hard import HardPeople


class StepSampler(Sampler[int | tuple[int, int]]):
    """Sample numbers of steps ``start`` to ``stop``, in order (samples are random by number): this process's share.

    Every process takes its part of each step's batch, so that a step sees the same samples however many share it.
    With ``hard``, numbers come as (sample, sample whose people it shows).
    """

    def __init__(
        self, start: int, stop: int, batch_size: int, rank: int = 0, world: int = 1, hard: HardPeople | None = None
    ) -> None:
        self.steps = range(start, stop)
        self.batch_size, self.rank, self.share, self.hard = batch_size, rank, batch_size // world, hard

    def __iter__(self) -> Iterator[int | tuple[int, int]]:
        for step in self.steps:
            first = step * self.batch_size + self.rank * self.share
            for index in range(first, first + self.share):
                yield index if self.hard is None else (index, self.hard.choose(index))

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
        floats = [(self.values[k], v) for k, v in module.state_dict().items() if v.is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in floats], [value for _, value in floats], 1 - decay)
        for name, value in module.state_dict().items():
            if not value.is_floating_point():
                self.values[name].copy_(value)


def learning_rate_factor(step: int, phase: PhaseConfig, people: int) -> float:
    """Linear warm-up, then the phase's schedule; 1 is the phase's rate."""
    if step < phase.warmup_steps:
        return (step + 1) / phase.warmup_steps
    if phase.schedule == "constant":
        return 1.0
    if phase.schedule == "step":
        return phase.decay_factor ** (step // phase.decay_steps(people))
    progress = (step - phase.warmup_steps) / max(1, phase.total_steps(people) - phase.warmup_steps)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1)))
