"""The errors rtmatte raises on purpose: one clear line each (what, why, what to do).

The command line prints ``str(error)`` and exits with ``error.exit_code``: 2 for bad input, 1 for a failure under way.
"""


class MattingError(Exception):
    """Base of every error rtmatte raises on purpose; its text is one line meant for the user."""

    exit_code = 1


class InputError(MattingError):
    """What the user gave cannot be used: a missing file, a broken video, a wrong option."""

    exit_code = 2


class BundleError(InputError):
    """A model bundle is missing, incomplete, changed since it was made, or of an unknown schema."""


class EngineError(MattingError):
    """The engine or device that was asked for cannot run here, or failed while running."""


class MissingExtraError(InputError):
    """An optional package is needed; the text names the extra that brings it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional package: pip install 'rtmatte[{extra}]'")


class OutputError(MattingError):
    """The result could not be written; whatever was there before is untouched."""
