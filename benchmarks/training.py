"""One phase of training, taken apart: forward, backward, optimiser, waiting for data, and how near to the hardware.

    python benchmarks/training.py configs/train/shm_mobile.yaml --phase m_net --device cuda --out training.md

The network starts from random weights (speed does not depend on them) and nothing is saved. Three measurements:

- the step alone, on one batch that stays on the device: its three parts, each waited for, and the step as it runs;
- the loop with data, exactly as training gets it (``workers``, ``data.resident``): what it takes beyond the step alone
  is time spent waiting for data, which should stay below 5 %;
- the operations of a step (convolutions and matrix products, forward and backward; 2 for a multiply-add) against the
  device's peak, which gives the time that no implementation can undercut.
"""

import importlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import torch
import typer
from tables import check_out, device_name, publish
from torch.utils.flop_counter import FlopCounterMode

from realtime_matting.errors import InputError
from train.cli import run
from train.config import TrainConfig, load_config
from train.loop import Job, Run
from train.phases import RECIPE_OF
from train.steps import RunningMean

app = typer.Typer(pretty_exceptions_enable=False)

AIM = 0.05
"""Share of the time that may be spent waiting for data."""

# Dense TFLOP/s as the maker states them, by a part of the device's name.
KNOWN_PEAKS = {"H200": {"16": 989.0, "32": 67.0}, "H100 80GB HBM3": {"16": 989.0, "32": 67.0}}


def job_of(config: TrainConfig, phase: str) -> Job:
    """What the recipe would train: it runs as far as the training loop, from which the job is taken."""
    recipe = RECIPE_OF[config.network]
    module = importlib.import_module(f"train.recipes.{recipe}")
    number = {"dim": lambda: int(phase[-1]), "u2net": lambda: {"coarse": 1, "fine": 2}[phase], "shm": lambda: phase}
    taken: list[Job] = []

    def take(_: TrainConfig, job: Job, *__: object, **___: object) -> dict[str, float]:
        taken.append(job)
        return {}

    with tempfile.TemporaryDirectory() as folder, patch.object(module, "train_phase", take):
        # A phase under way asks for no other phase's weights.
        begun = Path(folder) / phase / "last" / "checkpoint.json"
        begun.parent.mkdir(parents=True)
        begun.write_text("{}")
        train = getattr(module, f"train_{recipe}")
        train(config, number[recipe](), Path(folder), resume=True, steps=None, device="cpu")
    return taken[0]


class Step:
    """One optimiser step of a job, as the training loop does it, with its parts to be had alone."""

    def __init__(self, config: TrainConfig, phase: str, device: str) -> None:
        self.phase = config.phase(phase)
        self.job = job_of(config, phase)
        self.run = Run(config, self.job, Path(), device)
        self.fabric, self.device = self.run.fabric, self.run.fabric.device
        if self.fabric.world_size > 1:
            raise InputError("measure one process: start without torchrun, with one GPU visible (CUDA_VISIBLE_DEVICES)")
        network = self.job.network
        learning = {id(p) for group in self.job.parameters for p in group["params"]}
        for parameter in network.parameters():
            parameter.requires_grad_(id(parameter) in learning)
        groups = [{**g, "lr": self.phase.learning_rate * g["rate"]} for g in self.job.parameters]
        kind = torch.optim.AdamW if self.phase.optimizer == "adamw" else torch.optim.Adam
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        running: Any = torch.compile(network) if config.compile else network
        self.model, self.optimizer = self.fabric.setup(running, kind(groups, weight_decay=self.phase.weight_decay))
        self.mean = RunningMean(network, self.phase.ema) if self.phase.ema else None
        self.model.train()
        for module in self.job.frozen:
            module.eval()

    def forward(self, batch: dict[str, Any]) -> torch.Tensor:
        """Network and loss."""
        return self.job.step_loss(self.model, batch)["total"]

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of one part of the step."""
        self.fabric.backward(loss / self.phase.accumulate)

    def update(self) -> None:
        """Clipping, optimiser, running mean."""
        self.fabric.clip_gradients(
            self.model, self.optimizer, max_norm=self.phase.gradient_clip, error_if_nonfinite=False
        )
        self.optimizer.step()
        if self.mean:
            self.mean.update(self.job.network, 10**6)
        self.optimizer.zero_grad(set_to_none=True)

    def __call__(self, next_batch: Callable[[], dict[str, Any]]) -> None:
        for _ in range(self.phase.accumulate):
            self.backward(self.forward(next_batch()))
        self.update()

    def finish(self) -> None:
        """Wait until the device has done all it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], times: int) -> float:
        """Seconds of one ``work``: the median of up to five rounds, the device being waited for around each.

        The median, because other programs may use the machine as well.
        """
        rounds = min(5, times)
        spent = []
        for number in range(rounds):
            share = (number + 1) * times // rounds - number * times // rounds
            self.finish()
            start = time.perf_counter()
            for _ in range(share):
                work()
            self.finish()
            spent.append((time.perf_counter() - start) / share)
        return statistics.median(spent)

    def parts(self, batch: dict[str, Any], times: int) -> dict[str, float]:
        """Seconds of forward, backward (of all parts of the step) and optimiser, each waited for; medians."""
        spent: dict[str, list[float]] = {"forward": [], "backward": [], "optimiser": []}
        losses: list[torch.Tensor] = []
        for _ in range(times):
            spent["forward"].append(self.seconds(lambda: losses.append(self.forward(batch)), 1))
            spent["backward"].append(self.seconds(lambda: self.backward(losses.pop()), 1))
            spent["optimiser"].append(self.seconds(self.update, 1))
        parts = {"forward": self.phase.accumulate, "backward": self.phase.accumulate, "optimiser": 1}
        return {name: parts[name] * statistics.median(values) for name, values in spent.items()}

    def operations(self, batch: dict[str, Any]) -> int:
        """Floating-point operations of forward and backward of one step."""
        with FlopCounterMode(display=False) as counter:
            self.backward(self.forward(batch))
        self.optimizer.zero_grad(set_to_none=True)
        return counter.get_total_flops() * self.phase.accumulate


def known_peak(name: str, precision: str) -> float | None:
    """TFLOP/s that the maker states for the device of this name, if it is among the known ones."""
    bits = "32" if precision == "32-true" else "16"
    return next((peaks[bits] for part, peaks in KNOWN_PEAKS.items() if part in name), None)


def measured_peak(step: Step, precision: str, side: int) -> float:
    """TFLOP/s of the best of several products of square matrices in the numbers that training computes in."""
    kind = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}[precision]
    a, b = (torch.randn(side, side, device=step.device, dtype=kind) for _ in range(2))
    torch.matmul(a, b)
    return 2 * side**3 / min(step.seconds(lambda: torch.matmul(a, b), 1) for _ in range(5)) / 1e12


def without_other_weights(config: TrainConfig, phase: str) -> TrainConfig:
    """``config`` whose ``phase`` starts from random weights and looks at no further files."""
    chosen = config.phase(phase).model_copy(update={"start": "random", "start_file": None, "validate_on": None})
    return config.model_copy(update={"phases": {**config.phases, phase: chosen}})


@app.command()
def training(
    config: Annotated[Path, typer.Argument(help="training configuration (YAML)")],
    phase: Annotated[str, typer.Option(help="which of its phases")],
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    steps: Annotated[int, typer.Option(min=1, help="steps that are timed in each measurement")] = 20,
    warm: Annotated[int, typer.Option(min=1, help="steps before that, which are not timed")] = 5,
    peak_tflops: Annotated[float | None, typer.Option(help="of the device; default: as stated, or measured")] = None,
    out: Annotated[Path | None, typer.Option(help="also write the figures: .md or .json")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="override, e.g. data.resident=true")] = None,
) -> None:
    """Measure a training step and the loop around it."""
    check_out(out)
    settings = without_other_weights(load_config(config, set_), phase)
    step = Step(settings, phase, device)
    chosen = settings.phase(phase)
    batches = step.run._batches(0, warm + steps + 1)

    fixed = next(batches)
    for _ in range(warm):
        step(lambda: fixed)
    alone = step.seconds(lambda: step(lambda: fixed), steps)
    parts = step.parts(fixed, steps)
    operations = step.operations(fixed)

    # In the loop the shapes of batches vary, so the warm-up meets them too, and drains what was made ahead meanwhile.
    remaining = (warm + steps + 1) * chosen.accumulate - 1
    drained = remaining - steps * chosen.accumulate
    for _ in range(drained // chosen.accumulate):
        step(lambda: next(batches))
    loop = step.seconds(lambda: step(lambda: next(batches)), steps)

    name = device_name(step.device)
    peak = peak_tflops or known_peak(name, settings.precision)
    source = "given" if peak_tflops else "stated by the maker"
    if peak is None:
        side = 8192 if step.device.type == "cuda" else 1024
        peak, source = measured_peak(step, settings.precision, side), f"measured, {side}×{side} matrices"
    waiting = max(0.0, 1 - alone / loop)
    data = f"resident on {step.device}" if settings.data.resident else f"{settings.workers} loader processes"
    rows = [
        {"measured": part, "ms a step": 1e3 * spent, "samples/s": chosen.batch_size / spent, "of the peak": ""}
        for part, spent in parts.items()
    ]
    floor = operations / peak / 1e12
    for label, spent in (("step alone", alone), ("loop with data", loop), ("floor", floor)):
        row = {"measured": label, "ms a step": 1e3 * spent, "samples/s": chosen.batch_size / spent}
        rows.append({**row, "of the peak": f"{100 * floor / spent:.1f} %"})
    facts = {
        "configuration": f"{config}, phase {phase}, network {settings.network}",
        "device": name,
        "precision": settings.precision,
        "batch": f"{chosen.batch_size} in {chosen.accumulate} parts, pictures {tuple(fixed['image'].shape[1:])}",
        "data": data,
        "GFLOP a step": operations / 1e9,
        "TFLOP/s of the step alone": operations / alone / 1e12,
        "peak TFLOP/s": f"{peak:.4g} ({source})",
        "waiting for data": f"{100 * waiting:.1f} % of the loop (aim: below {100 * AIM:.0f} %)",
    }
    publish(facts, rows, out)


if __name__ == "__main__":
    run(app, extra="train")
