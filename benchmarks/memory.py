"""Memory over a long video: it must be as high at the end as at frame 500.

    python benchmarks/memory.py [--frames 3000] [--model NAME|FOLDER] [--bg FILE]

Makes one long video of the shipped sample (960x540) and sends it through the whole offline pipeline: decode, matte,
composite, encode. Prints the resident memory every 500 frames and the growth from frame 500 to the end; more than
20 MiB of growth exits with 1.
"""

import argparse
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import av

import realtime_matting
from realtime_matting import Matter, open_background, open_sink, open_source, output_picture, run_offline
from realtime_matting.cli.report import resident_mebibytes
from realtime_matting.defaults import DEFAULT_MODEL

SAMPLE = Path(realtime_matting.__file__).parent / "sample"
EVERY = 500
TOLERATED_GROWTH = 20.0  # MiB


def write_long_video(sample: Path, long: Path, count: int) -> None:
    """Copy the packets of ``sample``'s pictures over and over into ``long``, without decoding, ``count`` in all."""
    with av.open(sample) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.dts is not None]
        times = [(packet.pts, packet.dts) for packet in packets]
        length = round(len(packets) / (stream.average_rate * stream.time_base))
        with av.open(long, "w") as output:
            copy = output.add_stream_from_template(stream)
            for number in range(count):
                turn, index = divmod(number, len(packets))
                packet = packets[index]
                packet.stream = copy
                packet.time_base = stream.time_base
                packet.pts, packet.dts = (time + turn * length for time in times[index])
                output.mux(packet)


def main() -> int:
    """Run, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--bg", default=str(SAMPLE / "beach.jpg"), help="as for rtmatte video")
    options = parser.parse_args()
    readings: dict[int, float] = {}

    def frame_done(frames: int) -> None:
        if frames % EVERY == 0 or frames == options.frames:
            readings[frames] = resident_mebibytes()
            print(f"frame {frames:5d}: {readings[frames]:7.1f} MiB", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "long.mp4"
        write_long_video(SAMPLE / "talk.mp4", video, options.frames)
        with (
            Matter(options.model) as matter,
            closing(open_background(options.bg)) as background,
            open_source(str(video)) as source,
            open_sink(f"{folder}/out.mp4", info=source.info, kind="composite") as sink,
        ):
            print(f"{matter.describe()}\nbefore     : {resident_mebibytes():7.1f} MiB")
            picture = output_picture("composite", background)
            report = run_offline(source, matter, picture, sink, progress=frame_done)
    growth = readings[options.frames] - readings.get(EVERY, readings[options.frames])
    print(f"{report.frames} frames, {report.fps:.1f} fps; growth from frame {EVERY} to the end: {growth:+.1f} MiB")
    return int(growth > TOLERATED_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
