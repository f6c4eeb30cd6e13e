"""The command line ``rtmatte``: one file per command; heavy imports are inside the commands, so --help is instant."""

import io
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from realtime_matting import __version__
from realtime_matting.cli.bench import bench
from realtime_matting.cli.ctl import ctl
from realtime_matting.cli.demo import demo
from realtime_matting.cli.doctor import doctor
from realtime_matting.cli.image import image
from realtime_matting.cli.models import models
from realtime_matting.cli.signals import leave_on_signal
from realtime_matting.cli.video import video
from realtime_matting.cli.webcam import webcam
from realtime_matting.errors import MattingError
from realtime_matting.startup import leave_out_converter

_LOG = logging.getLogger("realtime_matting")

app = typer.Typer(
    name="rtmatte",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: importing rich for it would double the time --help takes
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(video)
app.command()(image)
app.command()(models)
app.command()(webcam)
app.command()(ctl)
app.command()(bench)
app.command()(demo)
app.command()(doctor)


class _Settings:
    debug = False


def _print_version(asked: bool) -> None:
    if asked:
        print(f"rtmatte {__version__}")
        raise typer.Exit()


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the log, and the traceback of an error.")] = False,
) -> None:
    """Cut people out of video, hair by hair, and put them on another background."""
    _Settings.debug = debug
    if debug:
        _LOG.setLevel(logging.INFO)


@contextmanager
def _log_on_stderr() -> Iterator[None]:
    """Within the ``with``, what the library logs is printed: warnings, and with ``--debug`` what it does as well."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("rtmatte: %(message)s"))
    level = _LOG.level
    _LOG.addHandler(handler)
    try:
        yield
    finally:
        _LOG.removeHandler(handler)
        _LOG.setLevel(level)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``rtmatte`` and leave the process: 0 done, 1 failed under way, 2 bad input, 128 + n ended by signal n.

    Args:
        arguments: the words after ``rtmatte``; those of the process when None.
    """
    _make_streams_safe()
    leave_out_converter()
    try:
        with leave_on_signal(), _log_on_stderr():
            app(args=None if arguments is None else list(arguments), prog_name="rtmatte")
    except MattingError as error:
        _explain(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        _explain(f"unexpected {type(error).__name__}: {error} (run again with rtmatte --debug for the traceback)")
        sys.exit(1)


def _make_streams_safe() -> None:
    """Let no name that the terminal cannot show, and no stream that the caller closed, end the command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives


def _explain(text: str) -> None:
    """Print an error as one line, after its traceback where ``--debug`` asked for it."""
    if _Settings.debug:
        traceback.print_exc()
    print(f"rtmatte: {' '.join(text.split())}", file=sys.stderr)
