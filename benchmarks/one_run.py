"""One way to give one video a new background, measured in a process of its own: `video.py` and `peers.py` start these.

    python benchmarks/one_run.py '{"way": "balanced", "clip": "in.mp4", "frames": 120}'

Prints one line of JSON, the fields of `Result`. It imports nothing that it does not measure, for its memory counts.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from realtime_matting.live_matting import Rgb
    from realtime_matting.presets.preset import Preset
    from realtime_matting.sources.live_base import Shot

SETTLING = 10
"""Frames that are not timed: networks are compiled for the first."""
MEDIAPIPE = "mediapipe"
CRF = 21
"""Of every way's x264, so that all have the same work there."""
BACKGROUND = Path(__file__).parent.parent / "realtime_matting" / "sample" / "beach.jpg"


@dataclass(frozen=True)
class Task:
    """What to run.

    Attributes:
        way: ``"mediapipe"``; a preset (fast, balanced, quality); or a bundle's name or folder.
        clip: path of the video.
        frames: how many of it, at most.
        path: "file" decodes, mattes and encodes; "live" is a live run without an output, whose camera has the next
            frame there already whenever one is wanted.
        threads: of the networks; None: as `open_matter` has it.
        began: ``time.time()`` when the process was started.
    """

    way: str
    clip: str
    frames: int
    path: Literal["file", "live"] = "file"
    threads: int | None = None
    began: float = 0.0


@dataclass
class Result:
    """What came of it.

    Attributes:
        fps: frames per second, without the first ones and with the end of the file.
        cpu: milliseconds of processor time a frame, of all threads, likewise.
        first_frame: seconds from the start of the process to the first composite.
        memory, growth: MiB resident at most, and more at the end than at a third of the frames.
        stages: milliseconds a frame, without the first ones.
    """

    fps: float = 0.0
    cpu: float = 0.0
    first_frame: float = 0.0
    memory: float = 0.0
    growth: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)


class Camera:
    """Gives pictures that are there already, there and back again, so that the motion has no jump.

    The next one is given as soon as the one before has been taken, so that what is seen moves from frame to frame as it
    does where a run keeps pace with its camera. ``taken``: how many have been.
    """

    name, fps, damaged = "pictures", 250.0, 0

    def __init__(self, pictures: Sequence["Rgb"]) -> None:
        self._pictures = [*pictures, *reversed(pictures)]
        self.taken: Callable[[], int] = lambda: 0
        self.size = (pictures[0].shape[1], pictures[0].shape[0])

    def read(self, timeout: float) -> "Shot":
        """One more; faster than any run takes them."""
        from realtime_matting.sources.live_base import Shot

        time.sleep(1 / self.fps)
        return Shot(self._pictures[self.taken() % len(self._pictures)], time.monotonic())

    def close(self) -> None:
        pass


class Clock:
    """Times the frames as they are done."""

    def __init__(self, task: Task, seconds: Mapping[str, float] | None = None) -> None:
        """``seconds``: of each stage so far, counted by others."""
        self._task = task
        self._seconds: Mapping[str, float] = {} if seconds is None else seconds
        self._done = 0
        self.result = Result()

    def frame_done(self, frames: int) -> None:
        """To be called with the number of frames so far."""
        self._done = frames
        if frames == 1:
            self.result.first_frame = time.time() - self._task.began
        if frames == SETTLING:
            self._wall, self._cpu = time.perf_counter(), time.process_time()
            self._before = dict(self._seconds)
        if frames == max(SETTLING, self._task.frames // 3):
            self._resident = resident("VmRSS")

    def stop(self) -> Result:
        """All is done; the figures."""
        counted = self._done - SETTLING
        if counted < 1:
            raise SystemExit(f"{self._task.clip}: has {self._done} frames, and more than {SETTLING} are needed")
        self.result.fps = counted / (time.perf_counter() - self._wall)
        self.result.cpu = 1e3 * (time.process_time() - self._cpu) / counted
        self.result.growth = resident("VmRSS") - self._resident
        self.result.memory = resident("VmHWM")
        self.result.stages = {
            name: 1e3 * (seconds - self._before.get(name, 0.0)) / counted for name, seconds in self._seconds.items()
        }
        return self.result


def resident(entry: str) -> float:
    """MiB of this process: ``"VmRSS"`` now, ``"VmHWM"`` at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(entry):
            return int(line.split()[1]) / 1024
    raise SystemExit("the memory in use is read from /proc/self/status, which is not there")


def run(task: Task) -> Result:
    """Measure in a new process.

    Raises:
        SystemExit: it failed; one line that says why.
    """
    given = json.dumps(asdict(task) | {"began": time.time()})
    done = subprocess.run([sys.executable, __file__, given], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise SystemExit(f"{task.way} on {task.clip} failed: {lines[-1] if lines else done.returncode}")
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def measure_ours(task: Task, out: str) -> Result:
    """A preset or a bundle, as ``rtmatte video`` runs it, or ``rtmatte webcam``."""
    from realtime_matting import Profile, open_background, open_sink, open_source, output_picture, run_offline
    from realtime_matting.defaults import PRESETS
    from realtime_matting.frames import Frame, StreamInfo
    from realtime_matting.presets.opening import open_matter
    from realtime_matting.presets.preset import Preset, load_preset
    from realtime_matting.startup import leave_out_converter

    class Shortened:
        """The first frames of a source."""

        def __init__(self, info: StreamInfo, frames: Iterator[Frame]) -> None:
            self.info = info
            self._frames = frames

        def __iter__(self) -> Iterator[Frame]:
            return islice(self._frames, task.frames)

    leave_out_converter()  # as ``rtmatte`` does
    preset = load_preset(task.way) if task.way in PRESETS else Preset(model=task.way)
    if task.path == "live":
        return measure_live(task, preset)
    profile, reuse = Profile(), preset.reuses(live=False)
    clock = Clock(task, profile.seconds)
    with (
        open_source(task.clip) as source,
        open_matter(preset, live=False, threads=task.threads, profile=profile) as matter,
        closing(open_background(str(BACKGROUND))) as background,
        open_sink(out, info=source.info, kind="composite", crf=CRF) as sink,
    ):
        run_offline(
            Shortened(source.info, iter(source)),
            matter,
            output_picture("composite", background),
            sink,
            delay=preset.delay if reuse else 0,
            profile=profile,
            progress=clock.frame_done,
        )
        return clock.stop()


def measure_live(task: Task, preset: "Preset") -> Result:
    """A preset in a live run."""
    from realtime_matting import Profile, open_source
    from realtime_matting.backdrop import Backdrop
    from realtime_matting.live import LiveRun
    from realtime_matting.live_matting import LiveOptions
    from realtime_matting.live_presets import LivePreset
    from realtime_matting.presets.opening import look_of, open_matter
    from realtime_matting.sinks.live_file import NoSink

    profile = Profile()
    clock = Clock(task, profile.seconds)

    class Counting(NoSink):
        """Has the frames counted, and ends the run after the last."""

        shown = 0

        def send(self, rgb: "Rgb", time: float) -> None:
            shown = live.status()["shown"]
            if shown != self.shown:  # else it is the background before the first one, or the same one again
                self.shown = shown
                clock.frame_done(shown)
            if shown >= task.frames:
                live.stop()

    with open_source(task.clip) as source:
        camera = Camera([frame.rgb for frame in islice(source, min(task.frames, 40))])
    opened = LivePreset(lambda: open_matter(preset, live=True, threads=task.threads, profile=profile), look_of(preset))
    options = LiveOptions(camera.size, camera.fps, preset=task.way)
    with closing(opened), closing(Backdrop([str(BACKGROUND)], print)) as backdrop:
        live = LiveRun(camera, lambda: camera, {task.way: opened}, backdrop, [Counting()], options, profile=profile)

        def taken() -> int:
            status = live.status()
            return status["captured"] - status["dropped"]

        camera.taken = taken
        live.run()
        result = clock.stop()
    # They hold other stages.
    for name in ("draft", "finish"):
        result.stages.pop(name)
    return result


def measure_mediapipe(task: Task, out: str) -> Result:
    """The loop that people write: decode, MediaPipe's landscape mask, resize, blend in floats, encode."""
    import av
    import cv2
    import mediapipe
    import numpy as np

    cv2.setNumThreads(2)
    clock = Clock(task)
    background = cv2.cvtColor(cv2.imread(str(BACKGROUND)), cv2.COLOR_BGR2RGB)
    segmentation = mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=1)
    with segmentation, av.open(task.clip) as container, av.open(out, "w") as output:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        encoder = output.add_stream("libx264", rate=30, options={"crf": str(CRF), "preset": "veryfast"})
        encoder.width, encoder.height, encoder.pix_fmt = stream.width, stream.height, "yuv420p"
        behind = cv2.resize(background, (stream.width, stream.height)).astype(np.float32)
        for number, picture in enumerate(islice(container.decode(stream), task.frames), 1):
            rgb = picture.to_ndarray(format="rgb24")
            mask = segmentation.process(rgb).segmentation_mask
            if mask.shape != rgb.shape[:2]:
                mask = cv2.resize(mask, (stream.width, stream.height))
            alpha = mask[..., None]
            blended = (alpha * rgb + (1 - alpha) * behind).astype(np.uint8)
            given = av.VideoFrame.from_ndarray(blended, format="rgb24")
            given.pts, given.time_base = number - 1, 1 / encoder.average_rate
            for packet in encoder.encode(given):
                output.mux(packet)
            clock.frame_done(number)
        for packet in encoder.encode(None):
            output.mux(packet)
    return clock.stop()


def main() -> None:
    """Run the task given as JSON, and print the result as JSON."""
    task = Task(**json.loads(sys.argv[1]))
    measure = measure_mediapipe if task.way == MEDIAPIPE else measure_ours
    with tempfile.TemporaryDirectory() as folder:
        result = measure(task, f"{folder}/out.mp4")
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
