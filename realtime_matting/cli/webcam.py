"""``rtmatte webcam``: camera in, virtual camera out."""

from typing import Annotated

import typer

from realtime_matting.cli import options


def webcam(
    camera: Annotated[
        str | None,
        typer.Option(
            "--camera",
            metavar="N|PATH|NAME|URL|screen",
            help="Camera; also a video file (looped), a stream, the screen.",
        ),
    ] = None,
    list_cameras: Annotated[bool, typer.Option("--list-cameras", help="Show the cameras and their modes.")] = False,
    size: Annotated[str | None, typer.Option("--size", metavar="WxH", help="Size of the picture: 1280x720.")] = None,
    fps: Annotated[float | None, typer.Option("--fps", min=1, max=240, help="Frames per second: 30.")] = None,
    background: Annotated[
        list[str] | None,
        typer.Option(
            "--bg",
            metavar="FILE|#RRGGBB|blur|none",
            help="Background: a picture, a video, a colour, blur (or blur:STRENGTH), none. Give several, and key b "
            "goes through them. blur if not given.",
        ),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="virtual|window|FILE|none",
            help="Where it goes: virtual (the first back end that works), pipewire, v4l2loopback, obs, /dev/videoN, "
            "window, a video file, none. May be given several times. virtual if not given.",
        ),
    ] = None,
    record: Annotated[str | None, typer.Option("--record", metavar="FILE", help="Also write a video file.")] = None,
    mirror: Annotated[bool | None, typer.Option("--mirror/--no-mirror", help="Mirror the person.")] = None,
    frame: Annotated[
        str | None, typer.Option("--frame", metavar="auto|off", help="auto: a smooth crop follows the person.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="auto|quality|balanced|fast|FILE.yaml",
            help="How much work a frame gets; auto (if not given): as good as the machine is fast enough for.",
        ),
    ] = None,
    pause: Annotated[
        str | None,
        typer.Option("--pause", metavar="background|still", help="What goes out while paused: background."),
    ] = None,
    rest: Annotated[
        bool | None, typer.Option("--rest/--no-rest", help="Do no work while nobody watches the virtual camera.")
    ] = None,
    use: Annotated[
        str | None, typer.Option("--use", metavar="NAME", help="Take the profile NAME of the configuration file.")
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Another configuration file than your own.")
    ] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0, help="End after this time.")] = None,
    model: options.Model = None,
    reuse: options.Reuse = None,
    light_wrap: options.LightWrap = None,
    match_colours: options.MatchColours = None,
    engine: options.Engine = "auto",
    threads: options.Threads = None,
) -> None:
    """Give your camera a new background, in a video call or anywhere else.

    The raw picture of the camera never goes out: where there is no matte yet, or none any more, the background does.
    Ctrl-C ends it. While it runs, rtmatte ctl (or keys in the window) changes the background, pauses, and more.
    """
    from realtime_matting.cli.live_job import print_cameras, run_webcam

    if list_cameras:
        print_cameras()
        return
    run_webcam(
        {
            "camera": camera,
            "size": size,
            "fps": fps,
            "bg": background,
            "output": output,
            "record": record,
            "mirror": mirror,
            "frame": frame,
            "preset": preset,
            "pause": pause,
            "rest": rest,
            "model": model,
            "reuse": reuse,
            "light_wrap": light_wrap,
            "match_colours": match_colours,
        },
        profile=use,
        config=config,
        seconds=seconds,
        engine=engine,
        threads=threads,
    )
