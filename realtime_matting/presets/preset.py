"""What a preset holds, and how one is read from YAML."""

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from realtime_matting.defaults import DEFAULT_MODEL, PRESETS
from realtime_matting.errors import InputError

_FOLDER = Path(__file__).parent
_SUFFIXES = (".yaml", ".yml")

Strength = Annotated[float, Field(ge=0, le=1)]


class Preset(BaseModel):
    """How a stream is matted. Strict: a value of another type is refused, not converted.

    Attributes:
        model: name or folder of the model bundle.
        reuse: when to carry trimap and alpha from frame to frame (see ``Matter``): "files" is in video files, where the
            next frame can be waited for; "always" in live runs too; "never". With "files" a live run moves a trimap
            along with the person, for two more frames at most.
        window: whether the networks are shown the part of the frame that people are in (see ``Matter``).
        delay: with ``reuse``, frames to look ahead; video files only.
        foreground: "estimate" finds the person's own colours in soft pixels, "frame" takes the frame's.
        light_wrap: light of the new background on the person's rim, 0 to 1.
        match_colours: the person's colours towards those of the new background, 0 to 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: Annotated[str, Field(min_length=1)] = DEFAULT_MODEL
    reuse: Literal["files", "always", "never"] = "files"
    window: bool = True
    delay: Literal[0, 1] = 1
    foreground: Literal["estimate", "frame"] = "estimate"
    light_wrap: Strength = 0.0
    match_colours: Strength = 0.0

    def reuses(self, *, live: bool) -> bool:
        """Whether a run of this kind carries mattes from frame to frame."""
        return self.reuse == "always" or (self.reuse == "files" and not live)

    def overridden(self, **given: object) -> "Preset":
        """This preset with what is given in place of its own; None leaves it as it is.

        Raises:
            InputError: a value that the field cannot hold.
        """
        changes = {name: value for name, value in given.items() if value is not None}
        return _validated(self.model_dump() | changes, "options") if changes else self


def load_preset(spec: str) -> Preset:
    """The built-in preset of a name, or the one in a file that ends in .yaml.

    A bundle's folder in a file counts from the folder of that file. Keys that a file leaves out are those of
    ``Preset``'s defaults.

    Raises:
        InputError: there is none of that name; or the file is missing, no YAML, or holds an unknown key or a bad value.
    """
    if spec in PRESETS:
        return _read(_FOLDER / f"{spec}.yaml")
    path = Path(spec).expanduser()
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{spec}: no such preset; choose {', '.join(PRESETS)}, or a file that ends in .yaml")
    preset = _read(path)
    folder = path.parent / Path(preset.model).expanduser()
    # A name that is no folder is that of a built-in bundle, or will be told as none.
    return preset.overridden(model=str(folder)) if folder.is_dir() else preset


def load_presets() -> dict[str, Preset]:
    """The built-in presets by name, the best and dearest first."""
    return {name: load_preset(name) for name in PRESETS}


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML's own loader silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError(problem="a key is there twice", problem_mark=node.start_mark)
        return mapping


def _read(path: Path) -> Preset:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(f"{path}: cannot be read ({reason}); check the name and its permissions") from error
    try:
        # A safe loader: it makes plain values only.
        content = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise InputError(f"{path}{where}: is no YAML that can be used ({problem}); correct it") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: is no preset; it needs lines such as 'model: {DEFAULT_MODEL}'")
    return _validated(content, str(path))


def _validated(content: dict[str, object], where: str) -> Preset:
    try:
        return Preset.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] in ("extra_forbidden", "invalid_key"):
            raise InputError(f"{where}: there is no key {name}; there are {', '.join(Preset.model_fields)}") from error
        reason = first["msg"]
        raise InputError(f"{where}: {name} {content.get(name)!r}: {reason[:1].lower()}{reason[1:]}") from error
