"""``rtmatte ctl``: drive the webcam that runs."""

import json
from typing import Annotated

import typer


def ctl(
    command: Annotated[
        str,
        typer.Argument(
            metavar="COMMAND",
            help="status, background, reload, blur, pause, preset, mirror, frame, debug, snapshot or quit.",
            show_default=False,
        ),
    ],
    value: Annotated[str, typer.Argument(metavar="[VALUE]", show_default=False)] = "",
) -> None:
    """Have the rtmatte webcam that runs change something, or tell its status as JSON.

    For hot keys and scripts: background next, background FILE, blur 0.7, blur +, pause, pause on, preset fast,
    mirror, frame on, snapshot FILE.png, reload, quit.
    """
    from pathlib import Path

    from realtime_matting.control import send_command

    if command in ("background", "snapshot") and value and Path(value).exists():
        value = str(Path(value).absolute())  # the run has a current folder of its own
    elif command == "snapshot":
        value = str(Path(value or _new_name()).absolute())
    answer = send_command(command, value)
    if command == "status":
        print(json.dumps(answer["status"], indent=2))
    elif "file" in answer:
        print(answer["file"])


def _new_name() -> str:
    import time

    return time.strftime("rtmatte-%Y%m%d-%H%M%S.png")
