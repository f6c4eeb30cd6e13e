"""From a preset to what does its work."""

from realtime_matting.engines import EngineName
from realtime_matting.look import Look
from realtime_matting.machine import core_count
from realtime_matting.matting.matter import Matter
from realtime_matting.models.registry import find_bundle
from realtime_matting.presets.preset import Preset
from realtime_matting.profiling import Profile

_SMALL = 512
"""Pixels of the longer side of what a matting network sees."""


def open_matter(
    preset: Preset,
    *,
    live: bool,
    engine: EngineName = "auto",
    threads: int | None = None,
    profile: Profile | None = None,
) -> Matter:
    """The matter of a preset, for a ``live`` run or for a file; see ``Matter`` for the rest and what is raised.

    Where mattes are carried in a file, small networks leave a core to the work at full size and to the encoder, which
    take longer than they do. Two cores of an AMD EPYC, ``rtmatte video`` with ``--threads 1`` and ``2``, 250 frames of
    1280×720, mean of four turns: fast 38.4 and 38.1 frames per second (44.7 and 41.2 in its best), balanced 26.5 and
    27.4 (28.5 and 31.2).
    """
    if threads is None and not live and preset.reuses(live=False) and _is_small(preset.model):
        threads = max(1, core_count() - 1)
    return Matter(
        preset.model,
        engine=engine,
        threads=threads,
        profile=profile,
        foreground=preset.foreground == "estimate",
        reuse=preset.reuses(live=live),
        live=live and preset.reuse != "never",
        window=preset.window,
        waits=not live,
    )


def _is_small(model: str) -> bool:
    """Whether the matting network sees small pictures."""
    matting = find_bundle(model).roles.get("matting")
    return matting is not None and max(matting.scaled_size(16, 9)) <= _SMALL


def look_of(preset: Preset) -> Look:
    """The look of a preset, for one stream."""
    return Look(preset.light_wrap, preset.match_colours)
