"""One video from file to file: what the commands ``video`` and ``demo`` share."""

from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import numpy as np
import typer
from numpy.typing import NDArray

from realtime_matting.cli import options
from realtime_matting.cli.choice import PresetChoice
from realtime_matting.cli.report import MemoryLog, progress_bar, say, stage_table
from realtime_matting.cli.signals import stop_on_signal
from realtime_matting.cli.statistics import Statistics
from realtime_matting.compositing.backgrounds import TRANSPARENT
from realtime_matting.compositing.reloading import ReloadingBackground
from realtime_matting.errors import InputError
from realtime_matting.frames import Frame, StreamInfo
from realtime_matting.look import composite_picture
from realtime_matting.matting.matter import SMALLEST_SIDE, Matte
from realtime_matting.pipeline import MatteLike, RunReport, output_picture, run_offline
from realtime_matting.presets.opening import look_of, open_matter
from realtime_matting.profiling import Profile
from realtime_matting.sinks import open_sink
from realtime_matting.sinks.destination import refuse_inputs
from realtime_matting.sources import VideoSource, open_source


@dataclass(frozen=True)
class VideoJob:
    """What to do; the fields are the options of ``rtmatte video``."""

    input_path: str
    output_path: str
    background: str | None = None
    kind: options.OutputChoice = "composite"
    preset: PresetChoice = field(default_factory=PresetChoice)
    engine: options.EngineChoice = "auto"
    threads: int | None = None
    crf: int | None = None
    audio: bool = True
    stats: str | None = None
    profiled: bool = False


def run_video_job(job: VideoJob) -> None:
    """Matte the video, and say what was used and what came of it.

    Raises:
        MattingError: see ``realtime_matting.errors``.
        typer.Exit: a signal came; a playable file was left and named.
    """
    memory = MemoryLog()
    profile = Profile()
    kind, background = without_transparent(job.kind, job.background)
    background = "blur" if background is None and kind == "composite" else background
    statistics = None if job.stats is None else Statistics(job.stats)
    job.preset.refuse_look(kind)
    with ExitStack() as stack:
        opened = None if background is None else stack.enter_context(closing(ReloadingBackground(background, say)))
        picture = output_picture(kind, opened)
        source = stack.enter_context(open_source(job.input_path))
        refuse_tiny(source.info)
        inputs = [] if background is None else [background]
        refuse_inputs(job.output_path, inputs)
        if job.stats is not None:
            refuse_inputs(job.stats, [job.input_path, job.output_path, *inputs])
        sink = stack.enter_context(
            open_sink(
                job.output_path,
                info=source.info,
                kind=kind,
                audio_from=job.input_path if job.audio and isinstance(source, VideoSource) else None,
                crf=job.crf,
            )
        )
        name, preset = job.preset.resolve(job.engine, job.threads)
        if opened is not None:
            picture = composite_picture(opened, look_of(preset))
        matter = open_matter(preset, live=False, engine=job.engine, threads=job.threads, profile=profile)
        stack.enter_context(matter)
        say(f"{matter.describe()}, preset {name}")
        request = stack.enter_context(stop_on_signal())
        update = stack.enter_context(progress_bar(source.info.frames))

        ahead = preset.delay if preset.reuses(live=False) else 0

        def frame_done(frames: int) -> None:
            update(frames)
            memory.frame_done(frames)

        def noted(frame: Frame, matte: MatteLike) -> NDArray[np.uint8]:
            if opened is not None:
                opened.look()
            if statistics is not None and isinstance(matte, Matte):
                statistics.add(frame, matte)
            return picture(frame, matte)

        report = run_offline(
            source,
            matter,
            noted,
            sink,
            delay=ahead,
            profile=profile,
            progress=frame_done,
            stop=request,
        )
    if statistics is not None:
        statistics.write()
    # Only now is the file complete: the sink was closed with the block.
    for warning in (*source.warnings, *sink.warnings):
        say(f"warning: {warning}")
    if job.profiled:
        print(stage_table(report))
        print(memory.line())
    if report.stopped_early:
        say(_stopped_line(report))
        raise typer.Exit(request.exit_code)
    print(f"{job.output_path}: {report.frames} frames in {report.seconds:.1f} s ({report.fps:.1f} fps)")


def without_transparent(kind: options.OutputChoice, background: str | None) -> tuple[options.OutputChoice, str | None]:
    """A transparent background is none, and rgba output.

    Raises:
        InputError: it is asked for with an output that holds no colours, or none of the background.
    """
    if background != TRANSPARENT:
        return kind, background
    if kind not in ("composite", "rgba"):
        raise InputError(f"a transparent background has no use with {kind} output: leave it out, or choose rgba output")
    return "rgba", None


def refuse_tiny(info: StreamInfo) -> None:
    """Raise ``InputError`` for frames smaller than the matter takes, by the name of their file."""
    if min(info.width, info.height) < SMALLEST_SIDE:
        raise InputError(
            f"{info.uri}: is {info.width}x{info.height}, and at least {SMALLEST_SIDE} pixels a side are needed; "
            "scale it up first"
        )


def _stopped_line(report: RunReport) -> str:
    if report.partial is None:
        return "interrupted before the first frame was done; nothing was written"
    return f"interrupted after {report.frames} frames; they are in {report.partial}"
