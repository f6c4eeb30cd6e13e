"""What ``rtmatte bench`` does, from its options to the table."""

import re
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import get_context

from realtime_matting.cli import bench_worker, options
from realtime_matting.cli.bench_worker import Task
from realtime_matting.cli.report import format_table, progress_bar, say
from realtime_matting.defaults import PRESETS
from realtime_matting.errors import InputError
from realtime_matting.machine import core_count, is_busy, processor_name
from realtime_matting.matting.matter import SMALLEST_SIDE
from realtime_matting.presets import Preset, load_preset
from realtime_matting.presets.memory import Answer, machine_key, remember
from realtime_matting.presets.speed import CLIP, RATE, SIZE, Times, best_fitting
from realtime_matting.sources.video import VideoSource

_LIVE, _ENCODED = 1.5, 2.0
"""Seconds that a turn takes."""
_SIZE = re.compile(r"(\d{2,5})[x×](\d{2,5})", re.ASCII)


@dataclass
class Figures:
    """What was measured of one preset.

    Attributes:
        times: of all live frames.
        per_round: mean milliseconds of a live frame, by round.
        encoded: frames per second from file to file, by round.
        resident: MiB held by a live run.
    """

    times: Times = field(default_factory=Times)
    per_round: list[float] = field(default_factory=list)
    encoded: list[float] = field(default_factory=list)
    resident: float = 0.0

    @property
    def milliseconds(self) -> float:
        """Of a live frame, in the median round."""
        return statistics.median(self.per_round)


def run_bench(
    *,
    clip: str | None,
    size: str,
    names: Sequence[str] | None,
    rounds: int,
    engine: options.EngineChoice,
    threads: int | None,
) -> None:
    """Measure, print the table, and remember the answer where it is one for ``--preset auto``.

    Raises:
        MattingError: see ``realtime_matting.errors``.
    """
    chosen = {name: load_preset(name) for name in dict.fromkeys(names or PRESETS)}
    width, height = _parse_size(size)
    path = clip or CLIP
    VideoSource(path).close()  # told now, and not by a worker
    busy = is_busy()
    figures, engines = _measure(chosen, path, (width, height), rounds, engine, threads)
    print(f"{processor_name()}, {core_count()} cores; {width}x{height}, {rounds} rounds in turn")
    for line in dict.fromkeys(engines):
        print(line)
    print(table(figures))
    milliseconds = {name: each.milliseconds for name, each in figures.items()}
    print(verdict(milliseconds))
    if busy:
        say("other programs keep this machine busy, so these figures are too low, and are not remembered")
    elif clip is None and (width, height) == SIZE and set(PRESETS) <= set(chosen):
        _remember(milliseconds, engine, threads)


def _parse_size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InputError(f"--size {text}: is not WIDTHxHEIGHT, for example 1280x720")
    width, height = int(match[1]), int(match[2])
    if width % 2 or height % 2 or min(width, height) < SMALLEST_SIDE:
        raise InputError(f"--size {text}: needs an even width and height of at least {SMALLEST_SIDE}")
    return width, height


def _measure(
    presets: dict[str, Preset],
    clip: str,
    size: tuple[int, int],
    rounds: int,
    engine: options.EngineChoice,
    threads: int | None,
) -> tuple[dict[str, Figures], list[str]]:
    """Figures by preset; and what each runs on. One works at a time; the others wait, and take no time."""
    figures = {name: Figures() for name in presets}
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn"))) for name in presets
        }
        update = stack.enter_context(progress_bar(rounds * len(presets)))
        engines = [
            processes[name].submit(bench_worker.begin, Task(preset, clip, size, engine, threads)).result()
            for name, preset in presets.items()
        ]
        done = 0
        for _ in range(rounds):
            for name, process in processes.items():
                _add_turn(figures[name], process)
                done += 1
                update(done)
        for name, process in processes.items():
            figures[name].resident = process.submit(bench_worker.resident).result()
    return figures, engines


def _add_turn(figures: Figures, process: ProcessPoolExecutor) -> None:
    times = process.submit(bench_worker.live, _LIVE).result()
    figures.times.frames += times.frames
    figures.times.networks += times.networks
    figures.per_round.append(statistics.fmean(times.frames))
    figures.encoded.append(process.submit(bench_worker.encoded, _ENCODED).result())


def table(figures: dict[str, Figures]) -> str:
    """A line for each preset."""
    header = ("preset", "live fps", "ms a frame p50", "p95", "networks ms", "file to file fps", "RSS MiB")
    rows = []
    for name, each in figures.items():
        frames = sorted(each.times.frames)
        rows.append(
            (
                name,
                f"{1e3 / each.milliseconds:.1f}",
                f"{statistics.median(frames):.1f}",
                f"{frames[int(0.95 * (len(frames) - 1))]:.1f}",
                f"{statistics.median(each.times.networks):.1f}",
                f"{statistics.median(each.encoded):.1f}",
                f"{each.resident:.0f}",
            )
        )
    return format_table(header, rows, right_aligned=range(1, len(header)))


def verdict(milliseconds: dict[str, float]) -> str:
    """Which preset fits, for people."""
    best = best_fitting(milliseconds)
    if best is not None:
        return f"{best} is the best preset that fits {RATE:.0f} fps here, with time to spare for camera and output"
    nearest = min(milliseconds, key=lambda name: milliseconds[name])
    return (
        f"none fits {RATE:.0f} fps here with time to spare for camera and output; "
        f"{nearest} comes nearest, with {1e3 / milliseconds[nearest]:.0f} fps"
    )


def _remember(milliseconds: dict[str, float], engine: options.EngineChoice, threads: int | None) -> None:
    answer = Answer(best_fitting(milliseconds) or PRESETS[-1], {name: milliseconds[name] for name in PRESETS})
    try:
        path = remember(machine_key(engine, threads), answer)
    except OSError as error:
        say(f"{error.filename}: cannot be written ({error.strerror}), so --preset auto will measure by itself")
        return
    print(f"--preset auto takes {answer.preset} from now on ({path})")
