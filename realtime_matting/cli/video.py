"""``rtmatte video``: matte a video file."""

from typing import Annotated

import typer

from realtime_matting.cli import options
from realtime_matting.defaults import DEFAULT_PRESET


def video(
    input_path: options.InputPath,
    output_path: options.OutputPath,
    background: options.Background = None,
    output: options.VideoOutput = "composite",
    preset: options.Preset = DEFAULT_PRESET,
    model: options.Model = None,
    engine: options.Engine = "auto",
    threads: options.Threads = None,
    crf: Annotated[
        int | None,
        typer.Option("--crf", min=0, max=63, help="Quality of the video: lower is better and larger."),
    ] = None,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Leave the sound out; it is copied otherwise.")] = False,
    delay: Annotated[
        int | None,
        typer.Option(
            "--delay", min=0, max=1, help="With --reuse, frames to look ahead: 1 is steadier than 0, which is quicker."
        ),
    ] = None,
    reuse: options.Reuse = None,
    light_wrap: options.LightWrap = None,
    match_colours: options.MatchColours = None,
    stats: Annotated[
        str | None,
        typer.Option(
            "--stats",
            metavar="FILE",
            help="Write what was done for each frame, and why: a table (.csv) or a plot (.png, .svg).",
        ),
    ] = None,
    profile: options.Profiled = False,
) -> None:
    """Give video IN a new background, as OUT.

    The people stay, what is behind them is blurred unless --bg says otherwise, and the sound is copied. A file OUT
    that exists is replaced, but only when the new one is complete. Ctrl-C leaves a playable file of what was done
    so far.
    """
    from realtime_matting.cli.choice import PresetChoice
    from realtime_matting.cli.job import VideoJob, run_video_job

    run_video_job(
        VideoJob(
            input_path=input_path,
            output_path=output_path,
            preset=PresetChoice(preset, model, reuse, delay, light_wrap, match_colours),
            background=background,
            kind=output,
            engine=engine,
            threads=threads,
            crf=crf,
            audio=not no_audio,
            stats=stats,
            profiled=profile,
        )
    )
