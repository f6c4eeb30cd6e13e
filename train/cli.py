"""What the command lines of ``train`` share: one line for an error, a traceback only when asked."""

import os
import sys

import typer

from realtime_matting.errors import MattingError, MissingExtraError


def run(app: typer.Typer, *, extra: str) -> None:
    """Run a Typer app; errors raised on purpose end in one line and their exit code.

    With RTMATTE_DEBUG set in the environment, the traceback is shown instead.

    Args:
        extra: which extra brings the packages that the app imports while it runs.
    """
    try:
        try:
            app()
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"this command (it imports {error.name})", extra) from error
    except MattingError as error:
        if os.environ.get("RTMATTE_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
