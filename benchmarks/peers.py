"""Beside the loop that people write today: frames per second from file to H.264, and memory, in one run.

    python benchmarks/peers.py [--ways mediapipe u2netp-human fast balanced quality] [--clip FILE] \
        [--frames 150] [--rounds 5] [--out out/peers.md]

- ``mediapipe``: PyAV decodes, MediaPipe's landscape selfie segmenter makes a mask of the frame's size, NumPy blends in
  floats, libx264 (veryfast, crf 21) encodes; one frame after the other, as in the guides.
- ``u2netp-human``: U²-Net's small network, in this project's own pipeline.
- ``fast``, ``balanced``, ``quality``: the presets, from decoding to encoding.

All encode with crf 21. Each runs in a process of its own on the same clip, one after the other, in rounds, so that
whatever else runs on the machine slows all alike. A ratio is the median of the rounds' ratios to the first way.
"""

import argparse
import importlib.util
import statistics
import sys
from pathlib import Path

import torch
from one_run import MEDIAPIPE, SETTLING, Result, Task, run
from tables import check_out, device_name, publish

from realtime_matting.errors import InputError, MattingError, MissingExtraError

CLIP = Path("../shared/data/clips/office/vp9_webrtc_2.webm")


def main() -> int:
    """Measure, print, write; 2 where the input is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", nargs="+", default=[MEDIAPIPE, "u2netp-human", "fast", "balanced", "quality"])
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a .md or .json file")
    options = parser.parse_args()
    try:
        check_out(options.out)
        if options.frames <= SETTLING or options.rounds < 1:
            raise InputError(f"--frames must be more than {SETTLING}, and --rounds at least 1")
        if not options.clip.is_file():
            raise InputError(f"{options.clip}: no such file; give another --clip")
        if MEDIAPIPE in options.ways and importlib.util.find_spec("mediapipe") is None:
            raise MissingExtraError("the MediaPipe loop", "mediapipe")
        results: dict[str, list[Result]] = {way: [] for way in options.ways}
        for number in range(options.rounds):
            # Forwards and backwards in turn: what grows or fades over a round favours nobody.
            for way in options.ways if number % 2 == 0 else reversed(options.ways):
                results[way].append(run(Task(way, str(options.clip), options.frames)))
    except MattingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    first = results[options.ways[0]]
    rows = [
        {
            "way": way,
            "fps": statistics.median(one.fps for one in rounds),
            "slowest": min(one.fps for one in rounds),
            "fastest": max(one.fps for one in rounds),
            "× first": statistics.median(a.fps / b.fps for a, b in zip(rounds, first, strict=True)),
            "cpu ms": statistics.median(one.cpu for one in rounds),
            "first frame s": statistics.median(one.first_frame for one in rounds),
            "RSS MiB": max(one.memory for one in rounds),
        }
        for way, rounds in results.items()
    ]
    facts = {
        "machine": device_name(torch.device("cpu")),
        "clip": f"{options.clip.name}, {options.frames} frames, {options.rounds} rounds",
        "command": " ".join(["python", "benchmarks/peers.py", *sys.argv[1:]]),
    }
    publish(facts, rows, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
