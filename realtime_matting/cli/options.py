"""The options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

OutputChoice = Literal["composite", "alpha", "foreground", "rgba"]
EngineChoice = Literal[
    "auto",
    "openvino",
    "onnxruntime",
    "tensorrt",
    "onnxruntime-cuda",
    "onnxruntime-directml",
    "onnxruntime-coreml",
]

_OUTPUT_HELP = "What to write: the composite, the alpha, the foreground on black, or rgba (with transparency)."

InputPath = Annotated[str, typer.Argument(metavar="IN", show_default=False)]
OutputPath = Annotated[str, typer.Argument(metavar="OUT", show_default=False)]
Background = Annotated[
    str | None,
    typer.Option(
        "--bg",
        metavar="FILE|#RRGGBB|blur|none",
        help="New background: a picture, a video (looped), a colour, blur (or blur:STRENGTH), none (keep the old one).",
    ),
]
VideoOutput = Annotated[OutputChoice, typer.Option("--output", help=_OUTPUT_HELP)]
ImageOutput = Annotated[OutputChoice | None, typer.Option("--output", help=_OUTPUT_HELP)]
Model = Annotated[str, typer.Option("--model", metavar="NAME|FOLDER", help="Model bundle; see rtmatte models.")]
Engine = Annotated[EngineChoice, typer.Option("--engine", help="What runs the networks; see rtmatte doctor.")]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads of the engine; it decides if not given.")
]
Profiled = Annotated[
    bool, typer.Option("--profile", help="Print milliseconds per frame of each stage, and the memory used.")
]
Folder = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to put the result.")]
