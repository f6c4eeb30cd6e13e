"""Checkpoint → model bundle.

python -m export.onnx_model runs/shm_mobile/end_to_end/last out/my-model --card configs/export/shm_balanced.yaml
"""

from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import typer

from realtime_matting.errors import InputError
from realtime_matting.models.bundle import Padding
from train.cli import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint folder made by training")],
    folder: Annotated[Path, typer.Argument(help="bundle to write; an older one there is replaced")],
    card: Annotated[Path, typer.Option(help="YAML: name, version, licence, description, training_data, metrics")],
    unpooling: Annotated[
        Literal["up-first", "key"], typer.Option(help="up-first for CPUs, key for TensorRT")
    ] = "up-first",
    weights: Annotated[
        Literal["fp32", "fp16"], typer.Option(help="fp16 halves the files, the arithmetic stays fp32")
    ] = "fp32",
    long_side: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=PIXELS", help="see frames at this size, not the checkpoint's: trimap=512"),
    ] = None,
    padding: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=HOW", help="pad frames unlike training, which mirrors them: trimap=repeat"),
    ] = None,
) -> None:
    """Export a checkpoint to a model bundle."""
    from export.bundles import export_bundle, read_card

    sides = {}
    for text in long_side or []:
        role, _, pixels = text.partition("=")
        if not pixels.isdecimal():
            raise InputError(f"--long-side {text}: write it as ROLE=PIXELS, such as trimap=512")
        sides[role] = int(pixels)
    paddings: dict[str, Padding] = {}
    for text in padding or []:
        role, _, how = text.partition("=")
        if how not in get_args(Padding):
            raise InputError(f"--padding {text}: write it as ROLE=mirror or ROLE=repeat, such as trimap=repeat")
        paddings[role] = cast(Padding, how)
    bundle = export_bundle(
        checkpoint, folder, read_card(card), rewrite=unpooling, weights=weights, long_sides=sides, paddings=paddings,
        say=typer.echo,
    )  # fmt: skip
    size = sum(bundle.path(role).stat().st_size for role in bundle.roles)
    typer.echo(f"{folder}: {' + '.join(bundle.roles)}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(app, extra="export")
