"""What it brings to carry the trimap over time: reuse on against off, frame by frame in one run.

    python benchmarks/temporal.py [--sets clips dancer] [--calm 4] [--model NAME] [--frames 60] [--delay 1]
                                  [--baseline mediapipe] [--out out/temporal] [--plot out/temporal.png]

Every frame is matted by both in turn, in one thread, so that whatever else runs on the machine slows both alike, and
neither slows the other: motion, which a run of its own estimates beside the networks, has its turn too. For each
sequence: the trimap network's runs per frame, the share of the picture that the matting network was given, milliseconds
in the networks and in all that is done at their size, MAD and dtSSD against the exact alpha (whole image, RVM's scale),
and the ratios on : off. With --calm, so many calm sequences besides (`calm.py`), with a mean of their own. A clip is
calm where the true alpha changes by less than 4·1e-3 a frame in the mean. The first frames of each sequence are matted
once before, for the networks to be compiled. With --out, the figures of each frame as CSV; with --plot, what
the matting network takes at 1280×720 by the share of the picture that is unknown.
"""

import argparse
import csv
import importlib.util
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from calm import calm_clips
from numpy.typing import NDArray

from realtime_matting import Frame, Matter
from realtime_matting.cli.report import format_table
from realtime_matting.defaults import DEFAULT_MODEL
from realtime_matting.errors import InputError, MissingExtraError
from realtime_matting.matting import matter as matter_module
from realtime_matting.matting.matter import Matte
from realtime_matting.matting.networks import BAND, Networks
from realtime_matting.matting.patches import Tiling
from realtime_matting.matting.watching import Seen
from realtime_matting.metrics import dtssd, mad
from realtime_matting.models.registry import find_bundle
from train.evaluation.baselines import Predictor, open_predictors
from train.evaluation.sets import Clip, load_sets

Alpha = NDArray[np.float32]
NETWORKS = ("look", "trimap", "matting")
CARRYING = ("motion", "stability")
CALM = 4.0
"""Mean change of the true alpha from frame to frame, 1e-3, below which a sequence is calm."""
WARMING = 32
"""Frames that are matted before the measurement."""


class Track:
    """The results of one way of matting on one sequence."""

    def __init__(self) -> None:
        self.alphas: list[NDArray[np.uint8]] = []
        self.mattes: list[Matte] = []
        self.errors: list[float] = []

    def add(self, alpha: Alpha, truth: Alpha) -> None:
        """The next frame's alpha; kept as bytes, for a sequence of floats would fill the memory."""
        self.alphas.append(np.rint(alpha * 255).astype(np.uint8))
        self.errors.append(mad(alpha, truth))

    def flicker(self, truths: list[NDArray[np.uint8]]) -> float:
        """dtSSD against the true alphas."""
        return dtssd(map(as_float, self.alphas), map(as_float, truths))

    def milliseconds(self, stages: tuple[str, ...]) -> float:
        """Of these stages, a frame."""
        return statistics.fmean(sum(m.milliseconds.get(stage, 0.0) for stage in stages) for m in self.mattes)

    @property
    def trimap_runs(self) -> float:
        """Runs of the trimap network per frame."""
        return statistics.fmean(matte.why.startswith("refresh") for matte in self.mattes)

    @property
    def matted(self) -> float:
        """Share of the picture that the matting network was given."""
        return statistics.fmean(matte.matted for matte in self.mattes)


def seen_in_turn(frames: Iterable[Frame], see: Callable[[NDArray[np.uint8]], Seen]) -> Iterator[tuple[Frame, Seen]]:
    """What `seen_ahead` gives, without its thread, in which everything that makes the frames would run as well."""
    return ((frame, see(frame.rgb)) for frame in frames)


def as_float(alpha: NDArray[np.uint8]) -> Alpha:
    """Bytes to [0, 1]."""
    return alpha * np.float32(1 / 255)


def measure(
    clip: Clip, on: Matter, off: Matter, delay: int, baseline: Predictor | None
) -> tuple[Track, Track, Track, list[NDArray[np.uint8]]]:
    """Both matters, and the baseline, over one sequence; the true alphas."""
    tracks = Track(), Track(), Track()
    carried, alone, other = tracks
    truths: list[NDArray[np.uint8]] = []

    def frames() -> Iterator[Frame]:
        for index in range(clip.frames):
            sample = clip.sample(index)
            truths.append(np.rint(sample.truth * 255).astype(np.uint8))
            matte = off(sample.image)
            alone.add(matte.alpha, sample.truth)
            alone.mattes.append(matte)
            if baseline is not None:
                other.add(baseline(sample.image), sample.truth)
            yield Frame(sample.image, index, Fraction(1, 30), index)

    on.reset()
    off.reset()
    if baseline is not None:
        baseline.reset()
    for frame, matte in on.stream(frames(), delay=delay):
        carried.add(matte.alpha, as_float(truths[frame.index]))
        carried.mattes.append(matte)
    return (*tracks, truths)


def change(truths: list[NDArray[np.uint8]]) -> float:
    """How much the true alpha changes from frame to frame, in the mean: 1e-3."""
    pairs = itertools.pairwise(truths)
    return 1e3 / 255 * statistics.fmean(cv2.mean(cv2.absdiff(before, after))[0] for before, after in pairs)


def cost_of_bands(model: str, threads: int | None, size: tuple[int, int]) -> tuple[list[tuple[float, float]], float]:
    """What the matting network takes for bands around discs that grow, in tiles that cover them, and for all.

    Returns:
        Of each band its share of the picture and the milliseconds; and the milliseconds for the whole picture.
    """
    width, height = size
    networks = Networks(find_bundle(model), engine="auto", threads=threads, precision=None)
    if not networks.takes_tiles:
        raise InputError(f"{model}: not matted in tiles on this machine; leave --plot out")
    width, height = networks.roles["matting"].working_size(*networks.work_size(width, height))
    tiling = Tiling(height, width, networks.roles["matting"].stride)
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    y, x = np.indices((height, width), np.float32)
    distance = np.hypot(x - width / 2, y - height / 2)
    cases = []
    for radius in np.linspace(0, 0.48 * height, 16):
        unknown = (np.abs(distance - radius) < BAND * width).astype(np.float32)
        foreground = (distance <= radius - BAND * width).astype(np.float32)
        probabilities = np.stack([1 - unknown - foreground, unknown, foreground])
        rows, columns = tiling.cells
        cells = cv2.resize(unknown, (columns, rows), interpolation=cv2.INTER_AREA)
        areas = [tile.outer for tile in tiling.choose(cells, 1e-3, 1000)[0]]
        cases.append((probabilities, areas))
    taken: list[list[float]] = [[] for _ in range(len(cases) + 1)]
    for _ in range(7):
        for (probabilities, areas), times in zip(cases, taken, strict=False):
            start = time.perf_counter()
            networks.matting_tiles(rgb, probabilities, areas)
            times.append(time.perf_counter() - start)
        start = time.perf_counter()
        networks.matting(rgb, cases[-1][0])
        taken[-1].append(time.perf_counter() - start)
    networks.close()
    medians = [1e3 * statistics.median(times) for times in taken]
    return [(float(case[0][1].mean()), each) for case, each in zip(cases, medians, strict=False)], medians[-1]


def draw(path: Path, bands: list[tuple[float, float]], whole: float) -> None:
    """Milliseconds in the matting network by the band's share of the picture."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(5.6, 3.8), layout="constrained")
    axes = drawing.subplots()
    axes.plot([100 * share for share, _ in bands], [each for _, each in bands], marker="o", label="tiles over the band")
    axes.axhline(whole, color="grey", linestyle="--", label="the whole frame")
    axes.set(xlabel="unknown band, % of the picture", ylabel="matting network, ms", xlim=(0, None), ylim=(0, None))
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=120)


def write_frames(path: Path, on: Track, off: Track) -> None:
    """One line a frame."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("frame", "why", "band", "matted", "network_ms", "network_ms_off", "mad", "mad_off"))
        for index, (ours, theirs) in enumerate(zip(on.mattes, off.mattes, strict=True)):
            times = [sum(m.milliseconds.get(stage, 0.0) for stage in NETWORKS) for m in (ours, theirs)]
            numbers = (ours.band, ours.matted, *times, on.errors[index], off.errors[index])
            writer.writerow((index, ours.why, *(f"{number:.4f}" for number in numbers)))


def main() -> int:
    """Run, print, and return the exit code: 1 where a bar of the whole is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/validation"))
    parser.add_argument("--backgrounds", type=Path, default=Path("../shared/data/backgrounds/validation"))
    parser.add_argument("--sets", nargs="+", default=["clips", "dancer"])
    parser.add_argument("--calm", type=int, default=0, help="so many calm sequences besides")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--frames", type=int, help="at most so many of each sequence")
    parser.add_argument("--delay", type=int, default=1)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--baseline", help="mediapipe, or mediapipe:landscape, :square, :pose")
    parser.add_argument("--out", type=Path, help="folder for the figures of each frame")
    parser.add_argument("--plot", type=Path, help="PNG: time in the matting network by the size of the band")
    options = parser.parse_args()
    if options.plot is not None and importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("drawing the plot", "plots")
    cv2.setNumThreads(1)
    matter_module.seen_ahead = seen_in_turn
    clips = [
        clip
        for one in load_sets(options.sets, options.data, options.backgrounds, limit=options.frames)
        for clip in one.clips
    ]
    listed = len(clips)
    clips += calm_clips(options.data, options.backgrounds, options.calm, options.frames or 60)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    rows: list[list[float]] = []
    calm_runs: list[float] = []
    names: list[str] = []
    with ExitStack() as stack:
        on, off = (
            stack.enter_context(Matter(options.model, threads=options.threads, foreground=False, reuse=reuse))
            for reuse in (True, False)
        )
        baseline = stack.enter_context(open_predictors([], [options.baseline]))[0] if options.baseline else None
        print(f"{on.describe()}, delay {options.delay}", flush=True)
        for clip in clips:  # each may have windows of other shapes
            measure(replace(clip, frames=min(WARMING, clip.frames)), on, off, options.delay, None)
        for clip in clips:
            carried, alone, other, truths = measure(clip, on, off, options.delay, baseline)
            calm = change(truths) < CALM
            if calm:
                calm_runs.append(carried.trimap_runs)
            names.append(f"{clip.name}{' (calm)' if calm else ''}")
            flicker, flicker_off = carried.flicker(truths), alone.flicker(truths)
            network, network_off = carried.milliseconds(NETWORKS), alone.milliseconds(NETWORKS)
            rows.append(
                [
                    carried.trimap_runs,
                    carried.matted,
                    network,
                    network / network_off,
                    (network + carried.milliseconds(CARRYING)) / network_off,
                    statistics.fmean(carried.errors),
                    statistics.fmean(carried.errors) / statistics.fmean(alone.errors),
                    flicker,
                    flicker / flicker_off,
                    flicker / other.flicker(truths) if baseline is not None else np.nan,
                ]
            )
            print(f"{clip.name}: {clip.frames} frames", flush=True)
            if options.out is not None:
                write_frames(options.out / f"{clip.name.replace(' ', '_')}.csv", carried, alone)
    heads = ("sequence", "T-Net/frame", "matted", "net ms", "net ×", "net+carry ×", "MAD", "MAD ×", "dtSSD", "dtSSD ×")
    whole = [float(each) for each in np.mean(rows[:listed], axis=0)]
    named = [*zip(names, rows, strict=True), (f"mean of {' and '.join(options.sets)}", whole)]
    if options.calm:
        named.append(("mean of the calm ones", [float(each) for each in np.mean(rows[listed:], axis=0)]))
    table = [(name, *(f"{number:.2f}" for number in row)) for name, row in named]
    print(format_table((*heads, "dtSSD × baseline"), table, right_aligned=set(range(1, 11))))
    if options.plot is not None:
        draw(options.plot, *cost_of_bands(options.model, options.threads, (1280, 720)))
    bars = {"network time ≤ 0.5": whole[3] <= 0.5, "MAD ≤ 1.03": whole[6] <= 1.03, "dtSSD ≤ 0.8": whole[8] <= 0.8}
    bars["all ≤ 1"] = whole[4] <= 1
    if calm_runs:
        bars["T-Net on calm clips ≤ 0.2"] = statistics.fmean(calm_runs) <= 0.2
    print("; ".join(f"{bar}: {'reached' if reached else 'missed'}" for bar, reached in bars.items()))
    return int(not all(bars.values()))


if __name__ == "__main__":
    sys.exit(main())
