"""Which networks are worth their time: network milliseconds a frame against error, for any number of candidates.

    python benchmarks/pareto.py shm-balanced shm-balanced@256:448 shm-balanced@384:640 NAME=out/bundle@448:832 \
        [--set openpeople --set real] [--limit 24] [--out out/pareto]

A candidate is a bundle, with ``@T:M`` seen at T pixels on the longer side by its T-Net and M by its M-Net. All see the
same composites (see train.evaluate), one after the other on each picture, so that whatever else runs on the machine
slows all alike. Times are medians of T-Net and M-Net together for a 1280×720 frame, with the runtime's own engine and
precision: of the networks alone on the whole of it ("ms"), or as the frames of a stream are matted, in the window
around the people or with the M-Net on the columns that hold the unknown band (mean over the pictures, "band ms"); and
of the stages of the runtime in the window, which scale and normalise as well ("stages ms"). A first frame costs one
more run of the T-Net where a window is chosen. Written: a table, and a plot in which those that no other beats
in both time and error are joined.
"""

import argparse
import importlib.util
import re
import shutil
import statistics
import sys
import tempfile
import time
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import tomli_w
import torch
from numpy.typing import NDArray
from tables import device_name, publish

from realtime_matting import Matter
from realtime_matting.engines import Engine, open_engine
from realtime_matting.errors import InputError, MattingError, MissingExtraError
from realtime_matting.matting.networks import Networks, at_size
from realtime_matting.matting.part import columns_of_band
from realtime_matting.matting.window import Window
from realtime_matting.metrics import edge_mad, mad
from realtime_matting.models.bundle import MANIFEST, ROLE_INPUTS, Bundle, Role
from realtime_matting.models.registry import find_bundle
from train.evaluation.measure import EDGE_WIDTH
from train.evaluation.sets import load_sets

NETWORKS = ("trimap", "matting")
Given = dict[Role, tuple[int, int]]
"""(height, width) of each network's picture."""


@dataclass(frozen=True)
class Candidate:
    """A bundle, and the longer sides of its networks' pictures where they are not its own."""

    name: str
    model: str
    sides: tuple[int, int] | None


@dataclass
class Measured:
    """What was seen of one candidate, a value for each picture."""

    milliseconds: list[float] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)  # the sizes of the networks' pictures
    mad: list[float] = field(default_factory=list)
    edge_mad: list[float] = field(default_factory=list)


def parse_candidate(text: str) -> Candidate:
    """``[NAME=]MODEL[@T:M]``; InputError for anything else."""
    match = re.fullmatch(r"(?:(?P<name>[^=@]+)=)?(?P<model>[^=@]+)(?:@(?P<t>\d+):(?P<m>\d+))?", text)
    if match is None:
        raise InputError(f"{text}: a candidate is [NAME=]MODEL[@TRIMAP:MATTING], such as shm-balanced@384:640")
    sides = (int(match["t"]), int(match["m"])) if match["t"] else None
    return Candidate(match["name"] or text, match["model"], sides)


def resized_bundle(candidate: Candidate, folder: Path) -> Path:
    """The candidate's bundle, copied to ``folder`` with its own sizes written into it."""
    bundle = find_bundle(candidate.model)
    if candidate.sides is None:
        return bundle.folder
    shutil.copytree(bundle.folder, folder)
    content = tomllib.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for role, side in zip(NETWORKS, candidate.sides, strict=True):
        if role not in content["roles"]:
            raise InputError(f"{candidate.name}: has no {role} network; leave out its sizes")
        content["roles"][role]["long_side"] = side
    (folder / MANIFEST).write_text(tomli_w.dumps(content), encoding="utf-8")
    return folder


def sizes_given(networks: Networks, picture: NDArray[np.uint8], window: Window) -> Given:
    """What the networks would be given of a frame of a stream with this picture in it."""
    height, width = window.size
    roles = window.shape.sized(networks.roles)
    given = {role: spec.working_size(width, height)[::-1] for role, spec in roles.items()}
    if "matting" in roles and not window.shape.across:
        seen = networks.sized(roles)
        trimap = seen.trimap(seen.shrink(window.cut(picture)))[0]
        down, across = given["matting"]
        columns = columns_of_band(at_size(trimap, seen.work_size(width, height)), across, roles["matting"].stride)
        if columns is not None:
            given["matting"] = down, columns.stop - columns.start
    return given


def network_milliseconds(
    bundles: list[Bundle], given: list[list[Given]], threads: int | None, runs: int = 40
) -> list[tuple[float, float]]:
    """Medians of all networks of each bundle together, on the input of a 1280×720 frame, in turns.

    Args:
        given: for each bundle and picture, the sizes of what its networks would be given.

    Returns:
        For each bundle milliseconds on the whole frame, and of what would be given, mean over pictures.
    """
    rng = np.random.default_rng(0)
    ready: list[dict[tuple[Role, tuple[int, int]], tuple[Engine, dict[str, NDArray[np.float32]]]]] = []
    whole: list[Given] = []
    with ExitStack() as stack:
        for bundle, found in zip(bundles, given, strict=True):
            calls = {}
            whole.append({role: spec.working_size(1280, 720)[::-1] for role, spec in bundle.roles.items()})
            for role in bundle.roles:
                engine = open_engine(bundle.path(role), threads=threads)
                stack.callback(engine.close)
                for size in dict.fromkeys(each[role] for each in [whole[-1], *found]):
                    feed = {name: rng.random((1, 3, *size), np.float32) for name in ROLE_INPUTS[role]}
                    calls[role, size] = engine, feed
            ready.append(calls)
        spent: list[dict[tuple[Role, tuple[int, int]], list[float]]] = [{key: [] for key in calls} for calls in ready]
        for run in range(runs + 3):
            for calls, times in zip(ready, spent, strict=True):
                for key, (engine, feed) in calls.items():
                    began = time.perf_counter()
                    engine(feed)
                    if run >= 3:  # the first compile
                        times[key].append(1e3 * (time.perf_counter() - began))
    answers = []
    for times, all_of_it, found in zip(spent, whole, given, strict=True):
        medians = {key: statistics.median(each) for key, each in times.items()}
        both = (sum(medians[key] for key in one.items()) for one in (all_of_it, *found))
        answers.append((next(both), statistics.fmean(both)))
    return answers


def front(points: list[tuple[float, float]]) -> list[int]:
    """Numbers of the points (cost, error) that no other point beats in one and equals in the other, by cost."""
    chosen: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: points[i]):
        if not chosen or points[index][1] < points[chosen[-1]][1]:
            chosen.append(index)
    return chosen


def draw(path: Path, names: list[str], times: list[float], errors: dict[str, list[float]]) -> None:
    """One panel for each kind of error, with the front joined."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(5.2 * len(errors), 4.2), layout="constrained")
    for axes, (kind, values) in zip(drawing.subplots(1, len(errors), squeeze=False)[0], errors.items(), strict=True):
        points = list(zip(times, values, strict=True))
        best = front(points)
        axes.plot([times[i] for i in best], [values[i] for i in best], "-", color="tab:green", zorder=1)
        axes.scatter(times, values, c=["tab:green" if i in best else "tab:grey" for i in range(len(names))], zorder=2)
        for name, point in zip(names, points, strict=True):
            axes.annotate(name, point, xytext=(4, 4), textcoords="offset points", fontsize=7)
        axes.set(xlabel="networks, ms a 1280×720 frame", ylabel=kind)
        axes.grid(alpha=0.3)
    drawing.savefig(path, dpi=110)


def main() -> int:
    """Measure, print, write; 2 where the input is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidates", nargs="+", metavar="[NAME=]MODEL[@T:M]")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/validation"))
    parser.add_argument("--backgrounds", type=Path, default=Path("../shared/data/backgrounds/validation"))
    parser.add_argument("--set", action="append", dest="sets", help="see train.evaluate; may be repeated")
    parser.add_argument("--limit", type=int, default=24, help="at most so many pictures of a set")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, default=Path("out/pareto"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        if importlib.util.find_spec("matplotlib") is None:  # told before the measurement, not after it
            raise MissingExtraError("drawing the plot", "plots")
        candidates = [parse_candidate(text) for text in options.candidates]
        sets = load_sets(options.sets or ["openpeople", "real"], options.data, options.backgrounds, limit=options.limit)
        options.out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            matters = [
                stack.enter_context(
                    Matter(resized_bundle(one, work / str(index)), threads=options.threads, foreground=False)
                )
                for index, one in enumerate(candidates)
            ]
            opened = [
                Networks(matter.bundle, engine="auto", threads=options.threads, precision=None) for matter in matters
            ]
            for networks in opened:
                stack.callback(networks.close)
            measured = [Measured() for _ in candidates]
            for clip in (clip for one in sets for clip in one.clips):
                sample = clip.sample(0)
                width = max(1, round(EDGE_WIDTH * sample.truth.shape[0] / 720))
                for matter, networks, seen in zip(matters, opened, measured, strict=True):
                    matter.reset()
                    matte = matter(sample.image)
                    seen.given.append(sizes_given(networks, sample.image, matte.window))
                    seen.milliseconds.append(sum(matte.milliseconds.get(stage, 0.0) for stage in NETWORKS))
                    seen.mad.append(mad(matte.alpha, sample.truth))
                    seen.edge_mad.append(edge_mad(matte.alpha, sample.truth, width))
            both = network_milliseconds(
                [matter.bundle for matter in matters], [seen.given for seen in measured], options.threads
            )
            times = [whole for whole, _ in both]
    except MattingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    errors = {
        "MAD": [float(np.mean(one.mad)) for one in measured],
        "edge MAD": [float(np.nanmean(one.edge_mad)) for one in measured],
    }
    fronts = {kind: front(list(zip(times, values, strict=True))) for kind, values in errors.items()}
    rows = [
        {
            "candidate": one.name,
            "ms": times[index],
            "band ms": both[index][1],
            # The first two pictures compile the networks.
            "stages ms": statistics.median(measured[index].milliseconds[2:] or measured[index].milliseconds),
            **{kind: values[index] for kind, values in errors.items()},
            "on the front of": ", ".join(kind for kind, chosen in fronts.items() if index in chosen) or "none",
        }
        for index, one in enumerate(candidates)
    ]
    facts = {
        "machine": device_name(torch.device("cpu")),
        "pictures": ", ".join(f"{one.name} {len(one.clips)}" for one in sets),
        "command": " ".join(["python", "benchmarks/pareto.py", *sys.argv[1:]]),
    }
    publish(facts, rows, options.out / "pareto.md")
    draw(options.out / "pareto.png", [one.name for one in candidates], times, errors)
    return 0


if __name__ == "__main__":
    sys.exit(main())
