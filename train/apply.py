"""Cut people out of any picture with any checkpoint.

    python -m train.apply runs/shm/end_to_end/best photo.jpg --out cut
    python -m train.apply runs/dim/stage3/best photo.jpg --trimap trimap.png --out cut --bg beach.jpg

For each picture NAME, ``--out`` gets alpha/NAME.png, rgba/NAME.png (the person's own colours with transparency), with
``--bg`` composite/NAME.png, and trimap/NAME.png if the network made one. A T-Net alone gives the trimap and no more.
"""

from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from realtime_matting.errors import InputError
from train.cli import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    checkpoint: Annotated[Path, typer.Argument(help="folder with checkpoint.json")],
    pictures: Annotated[list[Path], typer.Argument(help="pictures, and folders of them")],
    out: Annotated[Path, typer.Option(help="folder for the results")],
    trimap: Annotated[Path | None, typer.Option(help="trimap of the one picture, or folder of trimaps")] = None,
    bg: Annotated[
        str | None, typer.Option(help="make a composite: #RRGGBB, a picture, blur, checkerboard or none (as it was)")
    ] = None,
    method: Annotated[str, typer.Option(help="whole, crop (tiles), or resize (squeezed)")] = "whole",
    max_size: Annotated[
        int | None, typer.Option(help="longer side at most, for whole; default: what the network is meant for")
    ] = None,
    size: Annotated[int, typer.Option(help="pixels a side, for crop and resize")] = 320,
    overlap: Annotated[
        int | None, typer.Option(help="pixels that tiles share, for crop; default: a fifth of the size")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
) -> None:
    """Write the alpha and the cut-out of pictures, and what they look like on another background."""
    import numpy as np

    from realtime_matting.compositing.blend import composite
    from realtime_matting.matting.foreground import blur_fusion
    from train.data.triples import match_triples, refuse_namesakes
    from train.evaluation.progress import progress_bar
    from train.evaluation.sheets import open_behind, refuse_overwriting, to_bytes, write_picture
    from train.inference import open_checkpoint

    triples = [triple for source in pictures for triple in match_triples(source, trimaps=trimap)]
    refuse_namesakes(triple.image for triple in triples)
    if trimap is not None and trimap.is_file() and len(triples) > 1:
        raise InputError(f"{trimap}: is one trimap for {len(triples)} pictures; name a folder of trimaps")
    read = [path for triple in triples for path in (triple.image, triple.trimap) if path is not None]
    kinds = ("alpha", "rgba", "composite", "trimap")
    targets = [out / kind / f"{triple.name}.png" for triple in triples for kind in kinds]
    refuse_overwriting(targets, read if bg is None else [*read, Path(bg)])
    predictor = open_checkpoint(
        checkpoint,
        device=device,
        method=method,  # type: ignore[arg-type]  # it says itself which there are
        max_side=max_size,
        size=size,
        overlap=overlap,
    )
    if predictor.needs_trimap and trimap is None:
        raise InputError(f"{checkpoint}: needs a trimap of each picture; give --trimap")
    if not predictor.takes_trimap and trimap is not None:
        raise InputError(f"{checkpoint}: takes no trimap; leave --trimap out")
    if not predictor.gives_alpha and bg is not None:
        raise InputError(f"{checkpoint}: gives a trimap and no alpha, so there is no composite; leave --bg out")
    typer.echo(predictor.describe())
    behind = nullcontext() if bg is None else closing(open_behind(bg))
    with behind as background, progress_bar() as progress:
        task = progress.add_task("pictures", total=len(triples))
        for triple in triples:
            rgb, given, _ = triple.read()
            result = predictor.predict(rgb, given)
            name = f"{triple.name}.png"
            if result.trimap is not None and given is None:
                write_picture(out / "trimap" / name, result.trimap)
            if result.alpha is not None:
                foreground = blur_fusion(rgb, result.alpha)
                alpha = to_bytes(result.alpha)
                write_picture(out / "alpha" / name, alpha)
                write_picture(out / "rgba" / name, np.dstack([foreground, alpha]))
                if background is not None:
                    there = background.at(0.0, rgb, result.alpha)
                    write_picture(out / "composite" / name, composite(foreground, result.alpha, there))
            progress.advance(task)
    typer.echo(f"{out}: {len(triples)} pictures")


if __name__ == "__main__":
    run(app, extra="train")
