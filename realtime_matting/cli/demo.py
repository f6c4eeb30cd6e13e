"""``rtmatte demo``: the shipped sample, on a beach."""

from pathlib import Path

from realtime_matting.cli import options


def demo(out: options.Folder = Path()) -> None:
    """Put the sample video on a beach: rtmatte-demo.mp4."""
    import realtime_matting
    from realtime_matting.cli.job import VideoJob, run_video_job
    from realtime_matting.errors import OutputError

    sample = Path(realtime_matting.__file__).parent / "sample"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made ({error.strerror}); choose another folder with --out") from error
    run_video_job(
        VideoJob(
            input_path=str(sample / "talk.mp4"),
            output_path=str((out / "rtmatte-demo.mp4").resolve()),
            background=str(sample / "beach.jpg"),
        )
    )
