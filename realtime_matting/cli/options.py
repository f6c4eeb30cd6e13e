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
        metavar="FILE|#RRGGBB|blur|none|transparent",
        help="New background: a picture, a video (looped), a colour, blur (or blur:STRENGTH), none (keep the old one), "
        "transparent (the same as --output rgba).",
    ),
]
VideoOutput = Annotated[OutputChoice, typer.Option("--output", help=_OUTPUT_HELP)]
ImageOutput = Annotated[OutputChoice | None, typer.Option("--output", help=_OUTPUT_HELP)]
Preset = Annotated[
    str,
    typer.Option(
        "--preset",
        metavar="fast|balanced|quality|auto|FILE.yaml",
        help="How much work a frame gets; auto: the best that this machine is fast enough for.",
    ),
]
StillPreset = Annotated[
    str, typer.Option("--preset", metavar="fast|balanced|quality|FILE.yaml", help="How much work a picture gets.")
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME|FOLDER", help="Model bundle in place of the preset's; see rtmatte models."),
]
Reuse = Annotated[
    bool | None,
    typer.Option(
        "--reuse/--no-reuse",
        help="Carry mattes from frame to frame, in place of what the preset says: the networks run less.",
        show_default=False,
    ),
]
LightWrap = Annotated[
    float | None,
    typer.Option("--light-wrap", min=0, max=1, help="Light of the new background on the person's rim: 0 to 1."),
]
MatchColours = Annotated[
    float | None,
    typer.Option(
        "--match-colours", min=0, max=1, help="The person's colours towards those of the new background: 0 to 1."
    ),
]
Engine = Annotated[EngineChoice, typer.Option("--engine", help="What runs the networks; see rtmatte doctor.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, help="Threads of the networks; if not given, all cores, less one for video files."
    ),
]
Profiled = Annotated[
    bool, typer.Option("--profile", help="Print milliseconds per frame of each stage, and the memory used.")
]
Folder = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to put the result.")]
