"""``rtmatte bench``: how fast the presets are on this machine, and which of them fits."""

from typing import Annotated

import typer

from realtime_matting.cli import options


def bench(
    clip: Annotated[
        str | None, typer.Option("--clip", metavar="FILE", help="A video of your own in place of the sample.")
    ] = None,
    size: Annotated[
        str, typer.Option("--size", metavar="WxH", help="Size that the frames are scaled to.")
    ] = "1280x720",
    preset: Annotated[
        list[str] | None,
        typer.Option("--preset", metavar="NAME|FILE.yaml", help="Measure this one, too; the three if not given."),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=100, help="How often each is measured.")] = 2,
    engine: options.Engine = "auto",
    threads: options.Threads = None,
) -> None:
    """Measure the presets on this machine, and say which fits 30 frames per second.

    The presets take turns, each in a process of its own: the live path (matte and composite, without camera and
    output), then from file to file in H.264. About 20 seconds in all. What --preset auto will take from then on is
    remembered, where the three presets were measured on the sample at 1280x720 and nothing else kept the machine busy.
    """
    from realtime_matting.cli.bench_job import run_bench

    run_bench(clip=clip, size=size, names=preset, rounds=rounds, engine=engine, threads=threads)
