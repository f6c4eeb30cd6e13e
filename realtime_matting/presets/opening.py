"""From a preset to what does its work."""

from realtime_matting.engines import EngineName
from realtime_matting.look import Look
from realtime_matting.machine import core_count
from realtime_matting.matting.matter import Matter
from realtime_matting.presets.preset import Preset
from realtime_matting.profiling import Profile


def open_matter(
    preset: Preset,
    *,
    live: bool,
    engine: EngineName = "auto",
    threads: int | None = None,
    profile: Profile | None = None,
) -> Matter:
    """The matter of a preset, for a ``live`` run or for a file; see ``Matter`` for the rest and what is raised.

    Where mattes are carried in a file, the networks leave a core to the work at full size and to the encoder, which
    take as long: on two cores one thread in place of two is as fast or a little faster, for a tenth less of their time.
    """
    if threads is None and not live and preset.reuses(live=False):
        threads = max(1, core_count() - 1)
    return Matter(
        preset.model,
        engine=engine,
        threads=threads,
        profile=profile,
        foreground=preset.foreground == "estimate",
        reuse=preset.reuses(live=live),
        live=live and preset.reuse != "never",
    )


def look_of(preset: Preset) -> Look:
    """The look of a preset, for one stream."""
    return Look(preset.light_wrap, preset.match_colours)
