"""``python -m train.data bake``: crops with the trimaps of a T-Net (`train.data.baked`)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_matting.errors import InputError, OutputError

if TYPE_CHECKING:
    from train.data.dataset import Split


def bake(
    config: Annotated[Path, typer.Argument(help="training configuration (YAML) with a phase end_to_end and its crops")],
    t_net: Annotated[Path, typer.Option(help="checkpoint folder of the T-Net")],
    out: Annotated[Path, typer.Option(help="folder for the crops")],
    count: Annotated[int, typer.Option(min=1, help="pictures to make, a twentieth as many to validate on")] = 3000,
    each: Annotated[int, typer.Option(min=1, help="crops of a picture")] = 2,
    set_: Annotated[list[str] | None, typer.Option("--set", help="override, e.g. data.motion_share=0")] = None,
) -> None:
    """Make crops with a T-Net's trimaps once, for phases with `baked` and `freeze_t_net`; 1 MB each at 288 pixels.

    The T-Net sees pictures at the phase's trimap_sides in turn, one for each batch.
    """
    # PyTorch takes two seconds to be there, and none of the other tools needs it.
    from train.checkpoints import load_weights
    from train.config import load_config
    from train.data.baked import ABOUT, HELD_OUT, TRAIN, write_crops
    from train.data.dataset import MattingSamples
    from train.networks import build_network
    from train.networks.shm import SHM

    settings = load_config(config, set_, recipe="shm")
    phase = settings.phase("end_to_end")
    if not phase.crops:
        raise InputError(
            f"{config}: phases.end_to_end has no crops; name the sides of the windows to cut, crops: [288]"
        )
    network = build_network(settings.network, settings.network_options)
    assert isinstance(network, SHM)
    load_weights(network.t_net, t_net, "t_net.")
    about = {"crop": phase.crop, "each": each, "count": count, "seed": settings.seed, "t_net": str(t_net)}
    splits: list[tuple[Split, str, int]] = [("train" if settings.holdout else "all", TRAIN, count)]
    if settings.holdout:
        splits.append(("held_out", HELD_OUT, max(1, count // 20)))
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ABOUT).unlink(missing_ok=True)
        for shift, (split, name, number) in enumerate(splits):
            samples = MattingSamples(
                settings.data, settings.sample_spec("end_to_end"), seed=settings.seed + 1000 * shift,
                batch_size=phase.batch_size, length=number, split=split, holdout=settings.holdout,
            )  # fmt: skip
            write_crops(out / name, samples, network, each=each, sides=phase.trimap_sides, workers=settings.workers)
        (out / ABOUT).write_text(json.dumps(about, indent=1))
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); check space and permissions") from error
    typer.echo(f"{out}: {count * each} crops of {phase.crop} pixels a side")
