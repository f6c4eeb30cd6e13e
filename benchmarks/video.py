"""End to end: from a video file to H.264 with a new background, by preset or model and by size.

    python benchmarks/video.py [--ways fast balanced quality] [--sizes 640x360 1280x720 1920x1080 3840x2160] \
        [--live] [--clip FILE] [--frames 120] [--rounds 3] [--out out/video]

Each combination runs in a process of its own, one after the other, in several rounds; figures are medians of the
rounds, and the largest of memory and growth. The clip is scaled to each size and encoded beforehand (H.264, crf 18).
Stages overlap in time, so their sum is more than a frame takes; "cpu ms" is the processor time of all threads. With
--live, frames that are there already go through a live run as fast as it takes them, neither decoded nor encoded.

Written: video.md, video.csv and video.png (milliseconds a frame, and of each stage).
"""

import argparse
import csv
import importlib.util
import re
import statistics
import sys
import tempfile
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import torch
from one_run import SETTLING, Result, Task, run
from tables import device_name, publish

from realtime_matting.errors import InputError, MattingError, MissingExtraError

CLIP = Path("../shared/data/clips/office/vp9_webrtc_2.webm")


def parse_size(text: str) -> tuple[int, int]:
    """``WIDTHxHEIGHT`` with even sides; InputError for anything else."""
    match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", text)
    size = (int(match[1]), int(match[2])) if match else (1, 1)
    if size[0] % 2 or size[1] % 2:
        raise InputError(f"{text}: a size is WIDTHxHEIGHT with even sides, such as 1280x720")
    return size


def scaled_clip(clip: Path, size: tuple[int, int], frames: int, scaled: Path) -> None:
    """Write the first frames of a clip at a size, as H.264 at 30 frames a second."""
    with av.open(clip) as container, av.open(scaled, "w") as output:
        stream = output.add_stream("libx264", rate=30, options={"crf": "18", "preset": "superfast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index, picture in enumerate(islice(container.decode(video=0), frames)):
            given = picture.reformat(*size, format="yuv420p", interpolation="BICUBIC")
            given.pts, given.time_base = index, Fraction(1, 30)
            output.mux(stream.encode(given))
        output.mux(stream.encode(None))


def summary(results: list[Result]) -> dict[str, float]:
    """Medians of the rounds; of memory and growth the largest."""
    return {
        "fps": statistics.median(one.fps for one in results),
        "cpu ms": statistics.median(one.cpu for one in results),
        "first frame s": statistics.median(one.first_frame for one in results),
        "RSS MiB": max(one.memory for one in results),
        "growth MiB": max(one.growth for one in results),
    }


def stages_of(results: list[Result]) -> dict[str, float]:
    """Median milliseconds a frame of each stage."""
    return {name: statistics.median(one.stages[name] for one in results) for name in results[0].stages}


def draw(path: Path, rows: list[dict[str, object]], stages: list[dict[str, float]]) -> None:
    """Bars of the stages, side by side with what a frame takes from end to end."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for one in stages for name in one))
    labels = [f"{row['way']} {row['size']}" for row in rows]
    drawing = Figure(figsize=(9, 0.45 * len(rows) + 2), layout="constrained")
    axes = drawing.subplots()
    left = [0.0] * len(rows)
    for name in names:
        widths = [one.get(name, 0.0) for one in stages]
        axes.barh(labels, widths, left=left, label=name)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.plot([1e3 / float(str(row["fps"])) for row in rows], labels, "k|", markersize=14, label="a frame takes")
    axes.invert_yaxis()
    axes.set(xlabel="ms a frame (the stages overlap in time)")
    drawing.legend(fontsize=7, ncols=5, loc="outside upper center")
    axes.grid(alpha=0.3, axis="x")
    drawing.savefig(path, dpi=110)


def write_csv(path: Path, rows: list[dict[str, object]], stages: list[dict[str, float]]) -> None:
    """One line for each combination, with the stages."""
    names = list(dict.fromkeys(name for one in stages for name in one))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*rows[0], *(f"{name} ms" for name in names)])
        for row, one in zip(rows, stages, strict=True):
            writer.writerow([*row.values(), *(one.get(name, 0.0) for name in names)])


def main() -> int:
    """Measure, print, write; 2 where the input is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", nargs="+", default=["fast", "balanced", "quality"], help="presets, bundles")
    parser.add_argument("--sizes", nargs="+", default=["640x360", "1280x720", "1920x1080", "3840x2160"])
    parser.add_argument("--live", action="store_true", help="neither decode nor encode")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, default=Path("out/video"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        if importlib.util.find_spec("matplotlib") is None:  # told before the measurement, not after it
            raise MissingExtraError("drawing the plot", "plots")
        if options.frames <= SETTLING or options.rounds < 1:
            raise InputError(f"--frames must be more than {SETTLING}, and --rounds at least 1")
        if not options.clip.is_file():
            raise InputError(f"{options.clip}: no such file; give another --clip")
        sizes = {text: parse_size(text) for text in options.sizes}
        options.out.mkdir(parents=True, exist_ok=True)
        pairs = [(way, size) for size in options.sizes for way in options.ways]
        results: dict[tuple[str, str], list[Result]] = {pair: [] for pair in pairs}
        with tempfile.TemporaryDirectory() as folder:
            for text, size in sizes.items():
                scaled_clip(options.clip, size, options.frames, Path(folder) / f"{text}.mp4")
            for _ in range(options.rounds):
                for way, size in pairs:
                    task = Task(
                        way,
                        f"{folder}/{size}.mp4",
                        options.frames,
                        path="live" if options.live else "file",
                        threads=options.threads,
                    )
                    results[way, size].append(run(task))
    except MattingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows = [{"way": way, "size": size, **summary(results[way, size])} for way, size in pairs]
    stages = [stages_of(results[pair]) for pair in pairs]
    facts = {
        "machine": device_name(torch.device("cpu")),
        "clip": f"{options.clip.name}, {options.frames} frames, {options.rounds} rounds",
        "command": " ".join(["python", "benchmarks/video.py", *sys.argv[1:]]),
    }
    publish(facts, rows, options.out / "video.md")
    write_csv(options.out / "video.csv", rows, stages)
    draw(options.out / "video.png", rows, stages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
