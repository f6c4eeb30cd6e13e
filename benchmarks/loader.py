"""Samples a second: of the CPU loader with several numbers of processes, and of the set resident on a device.

    python benchmarks/loader.py configs/train/shm_mobile.yaml --device cuda --out loader.md

Every phase of the configuration is measured with its own kind of samples and batch size. The first batches are not
counted: they wait for processes to start and for pictures to be decoded, which happens once.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from tables import Row, check_out, device_name, publish
from torch.utils.data import DataLoader

from realtime_matting.errors import InputError
from train.cli import run
from train.config import TrainConfig, load_config
from train.data.dataset import MattingSamples
from train.data.resident import ResidentSamples
from train.loop import PREFETCH, quiet_worker

app = typer.Typer(pretty_exceptions_enable=False)


def batches_of_loader(config: TrainConfig, phase: str, workers: int) -> Iterator[dict[str, Any]]:
    """Endless batches from ``workers`` processes (0: made in this one), set up as for training."""
    batch_size = config.phase(phase).batch_size
    samples = MattingSamples(config.data, config.sample_spec(phase), seed=config.seed, batch_size=batch_size)
    return iter(
        DataLoader(
            samples, batch_size=batch_size, num_workers=workers, worker_init_fn=quiet_worker,
            sampler=range(10**9), prefetch_factor=PREFETCH if workers else None,
            multiprocessing_context="spawn" if workers else None,
        )
    )  # fmt: skip


def samples_per_second(batches: Iterator[dict[str, Any]], warm: int, count: int, device: torch.device) -> float:
    """Speed over ``count`` batches after ``warm`` that are not counted; waits for the device before and after."""
    for _ in range(warm):
        next(batches)
    _finish(device)
    start, made = time.perf_counter(), 0
    for _ in range(count):
        made += len(next(batches)["name"])
    _finish(device)
    return made / (time.perf_counter() - start)


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(config: TrainConfig, phase: str, workers: list[int], device: torch.device, batches: int) -> list[Row]:
    """One row for each way of making the samples of ``phase``."""
    chosen, spec, cpu = config.phase(phase), config.sample_spec(phase), torch.device("cpu")
    common = {"phase": phase, "kind": spec.kind, "batch": chosen.batch_size}
    rows: list[Row] = []
    for number in workers:
        made = batches_of_loader(config, phase, number)
        # What processes made ahead while this one was busy must not count.
        speed = samples_per_second(made, 2 + number * PREFETCH, batches, cpu)
        rows.append({**common, "made by": f"loader, {number} processes", "samples/s": speed})
        del made
    start = time.perf_counter()
    resident = ResidentSamples(
        config.data, spec, seed=config.seed, batch_size=chosen.batch_size, length=10**9, device=device
    )
    loading = time.perf_counter() - start
    steps = (range(i, i + chosen.batch_size) for i in range(0, 10**9, chosen.batch_size))
    speed = samples_per_second(resident.batches(steps), 3, batches, device)
    gib = resident.store.atlas.pixels.numel() * 4 / 2**30
    what = f"resident on {device} ({gib:.2f} GiB, loaded in {loading:.0f} s)"
    rows.append({**common, "made by": what, "samples/s": speed})
    return rows


@app.command()
def loader(
    config: Annotated[Path, typer.Argument(help="training configuration (YAML)")],
    phase: Annotated[list[str] | None, typer.Option(help="only this phase; may be given several times")] = None,
    workers: Annotated[list[int] | None, typer.Option(help="processes; default 0, 1, 2 and one a core")] = None,
    device: Annotated[str, typer.Option(help="where the resident set lives: cpu, cuda or cuda:1")] = "cpu",
    batches: Annotated[int, typer.Option(min=1, help="batches that are timed in each case")] = 30,
    out: Annotated[Path | None, typer.Option(help="also write the figures: .md or .json")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="override, e.g. data.max_side=400")] = None,
) -> None:
    """Measure how fast samples are made."""
    check_out(out)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device {device}: this machine has no CUDA device that torch can use; take cpu")
    settings, where = load_config(config, set_), torch.device(device)
    cores = len(os.sched_getaffinity(0))
    numbers = workers or sorted({0, 1, 2, cores})
    rows = [row for name in phase or list(settings.phases) for row in measure(settings, name, numbers, where, batches)]
    facts = {"configuration": str(config), "loader": device_name(torch.device("cpu")), "resident": device_name(where)}
    publish({**facts, "batches timed": batches}, rows, out)


if __name__ == "__main__":
    run(app, extra="train")
