"""Checkpoint or bundle → TensorRT engines, or a bundle made for the CPUs of this kind of machine.

python -m export.build_engine --fp16                                          the default model, for this machine
python -m export.build_engine runs/shm/end_to_end/best --fp16 --shape 512x288
python -m export.build_engine shm-balanced --fp16 --dynamic 256x144,512x288,1024x576 --flavour tensorrt-rtx
python -m export.build_engine shm-balanced --target openvino --int8 --calibration FRAMES --out out/shm-balanced-int8
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from realtime_matting.errors import InputError
from train.cli import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
MEGABYTE = 1 << 20


@app.command()
def main(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[CHECKPOINT|BUNDLE]", help="folder, or a built-in model; default: shm-balanced"),
    ] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="compute in float16 (default)")] = False,
    fp32: Annotated[bool, typer.Option("--fp32", help="compute in float32")] = False,
    bf16: Annotated[bool, typer.Option("--bf16", help="compute in bfloat16")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="convolutions in int8; the rest as above")] = False,
    calibration: Annotated[
        Path | None, typer.Option(help="folder of frames or a video, for --int8 and --verify")
    ] = None,
    shape: Annotated[list[str] | None, typer.Option(help="WIDTHxHEIGHT, or ROLE=WIDTHxHEIGHT; may be repeated")] = None,
    dynamic: Annotated[list[str] | None, typer.Option(help="MIN,OPT,MAX sizes, or ROLE=…; may be repeated")] = None,
    target: Annotated[
        Literal["tensorrt", "openvino", "onnxruntime"], typer.Option(help="what is to run it")
    ] = "tensorrt",
    flavour: Annotated[
        Literal["auto", "tensorrt", "tensorrt-rtx"], typer.Option(help="which TensorRT builds")
    ] = "auto",
    capability: Annotated[
        str | None, typer.Option(help="build for this compute capability alone, such as 8.9 (TensorRT for RTX)")
    ] = None,
    portable: Annotated[
        bool, typer.Option("--portable", help="for every GPU of TensorRT for RTX (its default)")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="folder; default: the cache, where rtmatte finds the engines")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="compare with the checkpoint on frames")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="print the error of every layer")] = False,
    workspace: Annotated[int | None, typer.Option(min=1, help="GPU memory for building, in MiB")] = None,
    timing_cache: Annotated[Path | None, typer.Option(help="file that makes the next build faster")] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="build even if a good engine is there")] = False,
) -> None:
    """Build TensorRT engines, one for each network of a model."""
    chosen = [name for name, wanted in (("fp16", fp16), ("fp32", fp32), ("bf16", bf16)) if wanted]
    if len(chosen) > 1:
        raise InputError(f"--{chosen[0]} and --{chosen[1]}: choose one precision")
    if shape and dynamic:
        raise InputError("--shape and --dynamic: give one, fixed sizes or a range")
    if capability and portable:
        raise InputError("--capability and --portable: give one")
    if target != "tensorrt":
        if shape or dynamic or capability or portable or workspace or timing_cache or flavour != "auto":
            raise InputError(
                f"--target {target} makes a bundle for any size: leave out --shape, --dynamic, --flavour and the like"
            )
        from export.cpu_bundles import build_cpu_bundle

        wanted: Any = "int8" if int8 else chosen[0] if chosen else "auto"
        if out is None:
            raise InputError(f"--target {target} writes a bundle: say where with --out FOLDER")
        build_cpu_bundle(source, out, target, wanted, calibration, say=typer.echo, verify=verify)
        return
    from export.engine_job import EngineJob, build_engines

    build_engines(
        EngineJob(
            source=source,
            precision=chosen[0] if chosen else "fp16",  # type: ignore[arg-type]
            int8=int8,
            calibration=calibration,
            shapes=dynamic or shape or [],
            ranges=bool(dynamic),
            flavour="tensorrt_rtx" if flavour == "tensorrt-rtx" else flavour,
            capability="portable" if portable else capability,
            out=out,
            verify=verify,
            explain=explain,
            workspace=workspace * MEGABYTE if workspace else None,
            timing_cache=timing_cache,
            rebuild=rebuild,
        )
    )


if __name__ == "__main__":
    run(app, extra="export")
