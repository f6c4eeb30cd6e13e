"""Which preset a command takes, and what its options change in it."""

from dataclasses import dataclass

from realtime_matting.cli import options
from realtime_matting.cli.report import say
from realtime_matting.defaults import DEFAULT_PRESET
from realtime_matting.errors import InputError
from realtime_matting.presets.auto import auto_preset
from realtime_matting.presets.preset import Preset, load_preset


def reuse_of(option: bool | None) -> str | None:
    """What ``--reuse`` and ``--no-reuse`` put in the place of a preset's ``reuse``."""
    return None if option is None else "always" if option else "never"


@dataclass(frozen=True)
class PresetChoice:
    """What the command line says; None leaves what the preset has."""

    spec: str = DEFAULT_PRESET
    model: str | None = None
    reuse: bool | None = None
    delay: int | None = None
    light_wrap: float | None = None
    match_colours: float | None = None

    def resolve(self, engine: options.EngineChoice, threads: int | None) -> tuple[str, Preset]:
        """Name and values of the preset; "auto" is measured where that was not done before.

        Raises:
            InputError: there is no such preset, or an option contradicts it.
        """
        name = self.spec
        if name == "auto":
            if self.model is not None:
                raise InputError("--preset auto chooses the model: leave --model out, or name a preset")
            name = auto_preset(engine=engine, threads=threads, say=say)
        return name, load_preset(name).overridden(
            model=self.model,
            reuse=reuse_of(self.reuse),
            delay=self.delay,
            light_wrap=self.light_wrap,
            match_colours=self.match_colours,
        )

    def refuse_look(self, kind: options.OutputChoice) -> None:
        """Raise ``InputError`` where an option asks for the look of a composite, and none is made."""
        for name, value in (("--light-wrap", self.light_wrap), ("--match-colours", self.match_colours)):
            if value and kind != "composite":
                raise InputError(f"{name} has no use with {kind} output: leave it out, or give a background")
