"""``rtmatte image``: matte a picture, or every picture of a folder."""

from realtime_matting.cli import options
from realtime_matting.defaults import DEFAULT_PRESET


def image(
    input_path: options.InputPath,
    output_path: options.OutputPath,
    background: options.Background = None,
    output: options.ImageOutput = None,
    preset: options.StillPreset = DEFAULT_PRESET,
    model: options.Model = None,
    engine: options.Engine = "auto",
    threads: options.Threads = None,
    light_wrap: options.LightWrap = None,
    match_colours: options.MatchColours = None,
    profile: options.Profiled = False,
) -> None:
    """Cut the people out of picture or folder IN, as OUT.

    Without --bg and --output the result is a cut-out with transparency, which needs a name like OUT.png; with --bg it
    is the composite. Where IN is a folder, so is OUT, and every result is a PNG with the name of its picture; pictures
    that cannot be read are named and passed over, and the exit code is then 2.
    """
    from realtime_matting.cli.choice import PresetChoice
    from realtime_matting.cli.pictures import PictureJob, run_picture_job

    run_picture_job(
        PictureJob(
            input_path=input_path,
            output_path=output_path,
            background=background,
            kind=output or ("rgba" if background is None else "composite"),
            preset=PresetChoice(preset, model, light_wrap=light_wrap, match_colours=match_colours),
            engine=engine,
            threads=threads,
            profiled=profile,
        )
    )
