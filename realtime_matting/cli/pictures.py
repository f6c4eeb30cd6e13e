"""Pictures from file to file: what the command ``image`` does."""

import os
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import typer

from realtime_matting.cli import options
from realtime_matting.cli.choice import PresetChoice
from realtime_matting.cli.job import refuse_tiny, without_transparent
from realtime_matting.cli.report import progress_bar, say, stage_table
from realtime_matting.compositing.backgrounds import open_background
from realtime_matting.errors import InputError, OutputError
from realtime_matting.look import composite_picture
from realtime_matting.pipeline import RunReport, output_picture, run_offline
from realtime_matting.presets.opening import look_of, open_matter
from realtime_matting.profiling import Profile
from realtime_matting.sinks import open_sink
from realtime_matting.sinks.destination import refuse_inputs
from realtime_matting.sources import open_source
from realtime_matting.sources.images import PICTURE_EXTENSIONS

_OPAQUE = {".jpg", ".jpeg"}


@dataclass(frozen=True)
class PictureJob:
    """What to do; the fields are the options of ``rtmatte image``."""

    input_path: str
    output_path: str
    background: str | None
    kind: options.OutputChoice
    preset: PresetChoice
    engine: options.EngineChoice
    threads: int | None
    profiled: bool


def run_picture_job(job: PictureJob) -> None:
    """Matte the pictures one by one, each for itself, and say what was used and what came of it.

    Raises:
        MattingError: see ``realtime_matting.errors``.
        typer.Exit: some pictures of a folder could not be read; each was named.
    """
    kind, given = without_transparent(job.kind, job.background)
    job.preset.refuse_look(kind)
    if job.preset.spec == "auto":
        raise InputError("--preset auto goes by the speed of video; for pictures choose quality, balanced or fast")
    pairs = _pairs(job.input_path, job.output_path, kind)
    if given is not None:
        for _, new in pairs:
            refuse_inputs(str(new), [given])
    name, preset = job.preset.resolve(job.engine, job.threads)
    profile = Profile()
    unreadable = 0
    seconds = 0.0
    with ExitStack() as stack:
        background = None if given is None else stack.enter_context(closing(open_background(given)))
        picture = output_picture(kind, background)
        look = look_of(preset)
        if background is not None:
            picture = composite_picture(background, look)
        # Nothing is carried from one picture to the next: they are no stream.
        matter = open_matter(
            preset.overridden(reuse="never"), live=False, engine=job.engine, threads=job.threads, profile=profile
        )
        stack.enter_context(matter)
        say(f"{matter.describe()}, preset {name}")
        update = stack.enter_context(progress_bar(len(pairs)))
        for done, (old, new) in enumerate(pairs, 1):
            try:
                source = open_source(str(old))
                refuse_tiny(source.info)
            except InputError as error:
                if len(pairs) == 1:
                    raise
                say(str(error))
                unreadable += 1
                continue
            look.reset()
            with source, open_sink(str(new), info=source.info, kind=kind, audio_from=None) as sink:
                seconds += run_offline(source, matter, picture, sink, profile=profile).seconds
            update(done)
    written = len(pairs) - unreadable
    if job.profiled and written:
        milliseconds = {name: 1e3 * total / written for name, total in profile.seconds.items()}
        print(stage_table(RunReport(written, seconds, milliseconds, stopped_early=False, partial=None)))
    print(f"{pairs[0][1] if len(pairs) == 1 else job.output_path}: {written} of {len(pairs)} pictures")
    if unreadable:
        raise typer.Exit(InputError.exit_code)


def _pairs(input_path: str, output_path: str, kind: options.OutputChoice) -> list[tuple[Path, Path]]:
    """Which picture becomes which file; makes the output folder where there is one."""
    if not output_path:
        raise InputError("the name of the output is empty; name a picture or a folder")
    old, new = Path(input_path), Path(output_path)
    is_folder = new.is_dir() or output_path.endswith(("/", os.sep))
    if old.is_file() and old.suffix.lower() not in PICTURE_EXTENSIONS:
        raise InputError(f"{old}: is no picture by its name; for a video use rtmatte video")
    if old.is_dir():
        if new.suffix.lower() in PICTURE_EXTENSIONS and not is_folder:
            raise InputError(f"{new}: is one picture, but {old} is a folder; name a folder")
        is_folder = True
        found = sorted(
            path
            for path in old.iterdir()
            if path.suffix.lower() in PICTURE_EXTENSIONS and not path.name.startswith(".") and path.is_file()
        )
        if not found:
            raise InputError(f"{old}: no pictures in this folder; name another folder or a picture")
    else:
        found = [old]
    if not is_folder:
        if kind == "rgba" and new.suffix.lower() in _OPAQUE:
            raise InputError(f"{new}: JPEG holds no transparency; name it .png, or give a background (--bg)")
        return [(old, new)]
    taken: dict[Path, Path] = {}
    for path in found:
        target = new / f"{path.stem}.png"
        if target in taken:
            raise InputError(f"{taken[target].name} and {path.name} would both become {target}; rename one of them")
        taken[target] = path
    if old.is_dir() and new.is_dir() and old.samefile(new):
        for target in taken:
            if target.exists():
                raise InputError(f"{target}: is also an input, which would be overwritten; choose another folder")
    try:
        new.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{new}: the folder cannot be made ({error.strerror}); choose another") from error
    return [(path, target) for target, path in taken.items()]
