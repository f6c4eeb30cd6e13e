"""Memory over a long video: it must be as high at the end as at frame 500.

    python benchmarks/memory.py [--frames 3000] [--model NAME|FOLDER]

Loops the shipped sample (960x540, with sound left out) to the given number of frames, through the whole offline
pipeline: decode, matte, composite over the beach, encode. Prints the resident memory every 500 frames and the growth
from frame 500 to the end; a run of 3,000 frames that grows by more than 20 MiB exits with 1.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import realtime_matting
from realtime_matting import Frame, Matter, open_background, open_sink, open_source, output_picture, run_offline
from realtime_matting.cli.report import resident_mebibytes

SAMPLE = Path(realtime_matting.__file__).parent / "sample"
EVERY = 500
TOLERATED_GROWTH = 20.0  # MiB


def looped(path: Path, count: int) -> Iterator[Frame]:
    """The frames of a video over and over, as one stream of ``count`` frames with growing time stamps."""
    index = offset = 0
    while index < count:
        with open_source(str(path)) as source:
            step = round(1 / (source.info.average_rate * source.info.time_base))
            last = 0
            for frame in source:
                if index == count:
                    return
                last = frame.pts + offset
                yield replace(frame, pts=last, index=index)
                index += 1
        offset = last + step


def main() -> int:
    """Run, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--model", default="shm-mobile")
    options = parser.parse_args()
    readings: dict[int, float] = {}

    def frame_done(frames: int) -> None:
        if frames % EVERY == 0 or frames == options.frames:
            readings[frames] = resident_mebibytes()
            print(f"frame {frames:5d}: {readings[frames]:7.1f} MiB", flush=True)

    video = SAMPLE / "talk.mp4"
    with (
        tempfile.TemporaryDirectory() as folder,
        Matter(options.model) as matter,
        closing(open_background(str(SAMPLE / "beach.jpg"))) as background,
        open_source(str(video)) as source,
        open_sink(f"{folder}/out.mp4", info=source.info, kind="composite", audio_from=None) as sink,
    ):
        print(f"{matter.describe()}\nbefore     : {resident_mebibytes():7.1f} MiB")
        picture = output_picture("composite", background)
        report = run_offline(looped(video, options.frames), matter, picture, sink, progress=frame_done)
    growth = readings[options.frames] - readings.get(EVERY, readings[options.frames])
    print(f"{report.frames} frames, {report.fps:.1f} fps; growth from frame {EVERY} to the end: {growth:+.1f} MiB")
    return int(growth > TOLERATED_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
