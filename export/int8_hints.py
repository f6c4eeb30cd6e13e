"""Which convolutions of a bundle may be rounded to 8 bits, and by which ranges, told in the metadata of its graphs.

    python -m export.int8_hints out/my-model out/my-model-int8 --calibration FRAMES --bound trimap=0.0015

The graphs stay as they are: every other engine, export and training ignore what is told. OpenVINO on x86 processors
rounds by it (:mod:`realtime_matting.engines.openvino_rounding`).
"""

from pathlib import Path
from typing import Annotated

import onnx
import typer

from export.frames import feeds, read_frames
from export.networks import open_export_source
from export.quantization import quantize, with_hints
from realtime_matting.errors import InputError
from realtime_matting.models.bundle import Bundle, Role
from realtime_matting.models.registry import find_bundle
from train.cli import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
CALIBRATION_FRAMES = 24


@app.command()
def main(
    bundle: Annotated[str, typer.Argument(help="built-in bundle or a bundle's folder")],
    folder: Annotated[Path, typer.Argument(help="bundle to write; an older one there is replaced")],
    calibration: Annotated[Path, typer.Option(help="frames like those it will see: a folder or a video")],
    bound: Annotated[
        list[str],
        typer.Option(metavar="ROLE=ERROR", help="mean error allowed in the output of a network: trimap=0.0015"),
    ],
) -> None:
    """Write a bundle again that says which of its convolutions int8 is good enough for."""
    bounds = {}
    for text in bound:
        role, _, error = text.partition("=")
        try:
            bounds[role] = float(error)
        except ValueError as wrong:
            raise InputError(f"--bound {text}: write it as ROLE=ERROR, such as trimap=0.0015") from wrong
    for line in write_hints(bundle, folder, calibration, bounds):
        typer.echo(line)


def write_hints(source: str | Path, folder: Path, calibration: Path, bounds: dict[str, float]) -> list[str]:
    """Write the bundle ``source`` again with the ranges of the roles in ``bounds``; one line about each.

    The last convolution, to a single channel, is left out: OpenVINO is given it in another form.

    Args:
        bounds: role → mean of |difference| of the network's output that is allowed.

    Raises:
        InputError: no frames, or a role the bundle does not have.
        BundleError: the bundle is damaged.
        OutputError: ``folder`` cannot be written.
    """
    bundle = find_bundle(source)
    if unknown := sorted(bounds.keys() - bundle.roles.keys()):
        raise InputError(f"--bound {unknown[0]}: this bundle has no such role; it has {', '.join(bundle.roles)}")
    exported = open_export_source(source, unpooling="up-first").networks
    frames = read_frames(calibration, CALIBRATION_FRAMES)
    inputs = feeds(exported, frames, {role: network.size for role, network in exported.items()})
    contents: dict[Role, bytes] = {}
    lines = []
    for role in bundle.roles:
        model = onnx.load(bundle.path(role))
        if role in bounds:
            done = quantize(exported[role].model, inputs[role], unsigned=True, bound=bounds[role], last=False)
            model = with_hints(model, done)
            lines.append(f"{role:<8} {done}")
        contents[role] = model.SerializeToString()
    about = bundle.manifest.model_dump(
        mode="json", exclude={"roles", "schema_version"}, exclude_none=True, by_alias=True
    )
    specs = {
        role: spec.model_dump(mode="json", exclude={"file", "sha256"}, exclude_none=True)
        for role, spec in bundle.roles.items()
    }
    Bundle.write(folder, {**about, "roles": specs}, contents)
    return lines


if __name__ == "__main__":
    run(app, extra="export")
