"""A live run as in a video call: frames shown, latency, stale frames, memory; alone, and beside a busy program.

    python benchmarks/live.py [--seconds 60] [--size 1280x720] [--fps 30] [--cores 2] [--clip FILE] [--out FILE.md]

Each line of the table is one `rtmatte webcam`, a process of its own, whose camera is the clip, looped, at the size and
rate asked for. It begins with the preset `balanced` and may step, as with `--preset auto`, or not (`--fixed`); a line
"beside a busy program" shares the cores with another process that never rests. With `pipewire` as its output, another
program reads the virtual camera in a private session, and its own figures stand in the columns that begin with "read":
pictures that differ from the one before, and those of them that carry the composite, judged by their content.

Counted are the seconds after the first composite. "stale" are the times an old picture went out again because no new
one was there after a tenth of a second; "memory" is what the process holds after five seconds and at the end; "cores"
is its processor time per second, "others" that of all other programs, among them the busy one, PipeWire and the reader:
what they take beyond that, the run had not. A line that misses its bar ends the benchmark with 1:
29.5 frames per second, 70 ms for 95 % of the frames, no stale picture, and 16 MiB more memory at most; 24 frames per
second beside a busy program.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from pipewire_reader import Read, Reader, private_session
from tables import check_out, publish

from realtime_matting.control import send_command
from realtime_matting.errors import InputError, MattingError
from realtime_matting.machine import core_count, processor_name
from realtime_matting.presets.speed import endless_frames

SAMPLE = Path(__file__).parent.parent / "realtime_matting" / "sample"
START_SECONDS, SAMPLE_EVERY = 60.0, 0.5
SETTLED = 5.0
"""Seconds after which the memory a run holds should not grow any more."""
LEAST_FPS, LEAST_FPS_BUSY = 29.5, 24.0
MOST_P95_MS = 70.0
MOST_GROWTH_MIB = 16.0


@dataclass(frozen=True)
class Run:
    """What is run: the output, whether another program is busy, whether the preset may step, and the other options."""

    output: str
    busy: bool
    steps: bool
    preset: str
    clip: Path
    size: tuple[int, int]
    fps: float
    seconds: float
    model: str | None = None

    @property
    def command(self) -> list[str]:
        words = ["--camera", self.clip, "--size", f"{self.size[0]}x{self.size[1]}", "--fps", f"{self.fps:g}"]
        words += ["--bg", SAMPLE / "beach.jpg", "--output", self.output, "--preset", self.preset]
        words += ["--model", self.model] if self.model else []
        return [sys.executable, "-m", "realtime_matting", "webcam", *map(str, words)]


@dataclass(frozen=True)
class Sample:
    """What a run told and held at one moment; processor seconds so far, of the run and of all that runs here."""

    time: float
    status: Mapping[str, Any]
    memory: float
    cpu: float
    machine: float


def write_clip(source: Path, clip: Path, size: tuple[int, int], fps: float) -> None:
    """Eight seconds of ``source`` at this size and rate, in H.264, as cameras give it."""
    width, height = size
    with av.open(clip, "w") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(fps).limit_denominator(1001), options={"preset": "veryfast"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        frames = endless_frames(str(source), size)
        for _ in range(round(8 * fps)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(next(frames), format="rgb24")))
        container.mux(stream.encode(None))


@contextmanager
def busy_program(wanted: bool) -> Iterator[None]:
    """Another process that never rests, or none."""
    if not wanted:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def look(process: int, folder: Path) -> Sample:
    """Ask the run, and the system about it."""
    status = send_command("status", path=folder / "rtmatte.sock")["status"]
    assert isinstance(status, dict)
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return Sample(time.monotonic(), status, pages * os.sysconf("SC_PAGE_SIZE") / 2**20, cpu, busy_seconds())


def busy_seconds() -> float:
    """Processor seconds that the cores of this benchmark have worked, for whatever program."""
    cores = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    ticks = 0
    for text in Path("/proc/stat").read_text().splitlines():
        name, *fields = text.split()
        if name in cores:
            user, nice, system, _idle, _waiting, interrupts, soft = map(int, fields[:7])
            ticks += user + nice + system + interrupts + soft
    return ticks / os.sysconf("SC_CLK_TCK")


def wait_for_composites(process: "subprocess.Popen[str]", folder: Path) -> Sample:
    """The run as it was when the first composite had been shown."""
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        try:
            sample = look(process.pid, folder)
        except MattingError:
            time.sleep(0.05)
            continue
        if sample.status["shown"]:
            return sample
        time.sleep(0.02)
    process.kill()
    said = process.communicate()[1].strip() or "said nothing"
    raise InputError(f"rtmatte webcam showed nothing for {START_SECONDS:.0f} s: {said.splitlines()[-1]}")


def measured(run: Run, environment: Mapping[str, str]) -> dict[str, object]:
    """One line of the table; ``environment`` is that of a PipeWire session where the output needs one."""
    folder = Path(environment["XDG_RUNTIME_DIR"])
    began = time.monotonic()
    with (
        busy_program(run.busy),
        subprocess.Popen(
            run.command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        said: list[str] = []
        reader = None
        assert process.stderr is not None
        try:
            said.append(process.stderr.readline())
            listener = threading.Thread(target=said.extend, args=(process.stderr,))
            if run.output == "pipewire" and process.poll() is None:
                reader = Reader("rtmatte", run.size, environment, SAMPLE / "beach.jpg")
            first = wait_for_composites(process, folder)
            listener.start()
            if run.steps:
                send_command("preset", "auto", path=folder / "rtmatte.sock")
            if reader is not None:
                reader.begin()
            samples = [first]
            while (left := first.time + run.seconds - time.monotonic()) > 0:
                time.sleep(min(SAMPLE_EVERY, left))
                samples.append(look(process.pid, folder))
            read = reader.end() if reader is not None else None
            process.send_signal(signal.SIGTERM)
            process.wait(10)
            listener.join()
        finally:
            process.kill()
            if reader is not None:
                reader.close()
    return line(run, samples, first.time - began, [text.removeprefix("rtmatte: ").strip() for text in said[1:]], read)


def line(
    run: Run, samples: Sequence[Sample], start: float, said: Sequence[str], read: Read | None
) -> dict[str, object]:
    """The figures of a run, and what of its bar it missed."""
    first, last = samples[0], samples[-1]
    seconds = last.time - first.time
    fps = (last.status["shown"] - first.status["shown"]) / seconds
    latency = last.status["latency_ms"]
    stale = last.status["stale"] - first.status["stale"]
    settled = next((sample for sample in samples if sample.time - first.time >= SETTLED), first)
    growth = last.memory - settled.memory
    least = LEAST_FPS_BUSY if run.busy else LEAST_FPS
    missed = [f"{fps:.1f} fps"] if fps < least else []
    if not run.busy:
        missed += [f"p95 {latency['p95']:.0f} ms"] if latency["p95"] > MOST_P95_MS else []
        missed += [f"{stale} stale"] if stale else []
    missed += [f"memory +{growth:.0f} MiB"] if growth > MOST_GROWTH_MIB else []
    changes = [text for text in said if text.startswith("preset ")]
    presets = list(dict.fromkeys(sample.status["preset"] for sample in samples))
    return {
        "output": run.output,
        "beside": "a busy program" if run.busy else "nothing",
        "preset": f"{presets[0]}, may step" if run.steps else presets[0],
        "stepped": "; ".join(changes) or "no",
        "s": f"{seconds:.0f}",
        "start s": f"{start:.1f}",
        "fps": f"{fps:.1f}",
        "slowest 5 s": f"{slowest(samples):.1f}",
        "p50 ms": f"{latency['p50']:.0f}",
        "p95 ms": f"{latency['p95']:.0f}",
        "p99 ms": f"{latency['p99']:.0f}",
        "stale": stale,
        "dropped": last.status["dropped"] - first.status["dropped"],
        "memory MiB": f"{settled.memory:.0f} → {last.memory:.0f}",
        "cores": f"{(last.cpu - first.cpu) / seconds:.2f}",
        "others": f"{max(0.0, last.machine - first.machine - last.cpu + first.cpu) / seconds:.2f}",
        "read fps": f"{read.fps:.1f}" if read else "–",
        "read with composite": f"{100 * read.composites:.0f} %" if read else "–",
        "bar": "met" if not missed else "missed: " + ", ".join(missed),
    }


def slowest(samples: Sequence[Sample], window: float = 5.0) -> float:
    """The fewest frames shown per second over any such window; over all where the run was shorter."""
    rates = []
    for index, begin in enumerate(samples):
        end = next((sample for sample in samples[index:] if sample.time - begin.time >= window), None)
        if end is not None:
            rates.append((end.status["shown"] - begin.status["shown"]) / (end.time - begin.time))
    first, last = samples[0], samples[-1]
    return min(rates, default=(last.status["shown"] - first.status["shown"]) / (last.time - first.time))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--cores", type=int, default=2, help="that all of it shares")
    parser.add_argument("--clip", type=Path, default=SAMPLE / "talk.mp4", help="the camera's pictures")
    parser.add_argument("--output", nargs="+", default=["none", "pipewire"], choices=["none", "pipewire"])
    parser.add_argument("--busy", nargs="+", default=["no", "yes"], choices=["no", "yes"], help="beside a busy program")
    parser.add_argument("--preset", default="balanced", help="to begin with")
    parser.add_argument("--fixed", action="store_true", help="do not let the preset step")
    parser.add_argument("--model", help="instead of the presets' own")
    parser.add_argument("--out", type=Path, help="a .md or .json for the figures")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run, print, and return the exit code."""
    options = parse(words)
    check_out(options.out)
    width, height = (int(side) for side in options.size.split("x"))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "camera.mp4"
        write_clip(options.clip, clip, (width, height), options.fps)
        for output in options.output:
            for busy in options.busy:
                run = Run(
                    output=output,
                    busy=busy == "yes",
                    steps=not options.fixed,
                    preset=options.preset,
                    clip=clip,
                    size=(width, height),
                    fps=options.fps,
                    seconds=options.seconds,
                    model=options.model,
                )
                if output == "pipewire":
                    with private_session() as environment:
                        rows.append(measured(run, environment))
                else:
                    rows.append(measured(run, os.environ | {"XDG_RUNTIME_DIR": tempfile.mkdtemp(dir=folder)}))
    facts = {
        "processor": processor_name(),
        "cores": core_count(),
        "camera": f"{options.clip.name}, {options.size} at {options.fps:g} frames per second, H.264",
    }
    publish(facts, rows, options.out)
    return int(any(row["bar"] != "met" for row in rows))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MattingError as error:
        sys.exit(f"live.py: {error}")
