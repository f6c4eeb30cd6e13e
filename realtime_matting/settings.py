"""What a live run does when the command line does not say: the configuration file with its profiles."""

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from realtime_matting.defaults import PRESETS
from realtime_matting.errors import InputError

_SIZE = re.compile(r"(\d{2,5})[x×](\d{2,5})", re.ASCII)


def _parse_size(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ValueError("is not WIDTHxHEIGHT, for example 1280x720")
    width, height = int(match[1]), int(match[2])
    if width % 2 or height % 2:
        raise ValueError("needs an even width and height")
    return width, height


def _parse_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _number_as_name(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _preset_name(value: object) -> object:
    if isinstance(value, str) and value not in ("auto", *PRESETS) and not value.endswith((".yaml", ".yml")):
        raise ValueError(f"is no preset; choose auto, {', '.join(PRESETS)}, or a file that ends in .yaml")
    return value


_Share = Annotated[float, Field(ge=0, le=1)]
_Names = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_parse_list)]


class LiveSettings(BaseModel):
    """The options of ``rtmatte webcam`` that a profile may hold; each has the name of its option.

    Attributes:
        camera: see ``open_camera``; None for the first.
        size: (width, height) of what goes out; None for 1280×720, or a file's own.
        fps: frames per second; None for 30, or a file's own.
        bg: backgrounds to choose from, the first being shown at the start.
        output: where it goes.
        record: a video file to write as well.
        mirror: show the person as in a mirror.
        frame: "auto" follows the person with a smooth crop.
        preset: "auto", the name of one, or a file.
        pause: what goes out while paused.
        rest: do no work while nobody watches.
        model, reuse, light_wrap, match_colours: in place of the preset's own; None leaves them. See ``Preset``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    camera: Annotated[str | None, BeforeValidator(_number_as_name)] = None
    size: Annotated[tuple[int, int] | None, BeforeValidator(_parse_size)] = None
    fps: Annotated[float, Field(ge=1, le=240)] | None = None
    bg: _Names = ("blur",)
    output: _Names = ("virtual",)
    record: str | None = None
    mirror: bool = False
    frame: Literal["auto", "off"] = "off"
    preset: Annotated[str, BeforeValidator(_preset_name)] = "auto"
    pause: Literal["background", "still"] = "background"
    rest: bool = True
    model: str | None = None
    reuse: bool | None = None
    light_wrap: _Share | None = None
    match_colours: _Share | None = None


def config_path() -> Path:
    """Where the configuration file is looked for: ``~/.config/rtmatte/config.toml`` on Linux."""
    home = Path.home()
    if sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        folder = home / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return folder / "rtmatte" / "config.toml"


def load_settings(given: Mapping[str, object], *, profile: str | None = None, path: Path | None = None) -> LiveSettings:
    """The settings of a run: what is given, else the profile's, else the file's top level's, else the built-in ones.

    The file holds options by name, and profiles as tables ``[profile.NAME]``. Paths in it may begin with ``~``.

    Args:
        given: what the command line says; None for what it does not.
        profile: name of the profile to take.
        path: the file; None for the user's own, which need not exist.

    Raises:
        InputError: the file, the profile or a value cannot be used; one line with the place.
    """
    table = _read(path)
    profiles = table.pop("profile", {})
    where = str(path or config_path())
    if not isinstance(profiles, dict) or not all(isinstance(chosen, dict) for chosen in profiles.values()):
        raise InputError(f"{where}: profile must hold tables, like [profile.work]")
    if profile is not None:
        if profile not in profiles:
            known = ", ".join(sorted(profiles)) or "none"
            raise InputError(f"{where}: has no profile {profile}; it has {known}")
        table |= profiles[profile]
    for name, value in table.items():
        table[name] = _at_home(value)
    _validated(table, where)
    return _validated(table | {name: value for name, value in given.items() if value is not None}, "options")


def _read(path: Path | None) -> dict[str, Any]:
    chosen = path or config_path()
    if path is None and not chosen.exists():
        return {}
    try:
        return tomllib.loads(chosen.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(f"{chosen}: cannot be read ({reason}); check the name and its permissions") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{chosen}: is not TOML ({error}); correct that line") from error


def _at_home(value: object) -> object:
    if isinstance(value, list):
        return [_at_home(item) for item in value]
    return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~") else value


def _validated(table: Mapping[str, object], where: str) -> LiveSettings:
    try:
        return LiveSettings.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            known = ", ".join(LiveSettings.model_fields)
            raise InputError(f"{where}: there is no setting {name}; there are {known}") from error
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{where}: {name} {table.get(name)!r}: {reason[:1].lower()}{reason[1:]}") from error
