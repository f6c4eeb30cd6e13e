"""The configuration file and its profiles."""

from pathlib import Path

import pytest

from realtime_matting.errors import InputError
from realtime_matting.settings import LiveSettings, config_path, load_settings

TEXT = """
size = "1280x720"
bg = ["~/beach.jpg", "blur"]
mirror = true

[profile.work]
camera = 2
bg = "blur:0.8"
frame = "auto"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    return path


def test_without_a_file_the_built_in_settings_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_settings({}) == LiveSettings()
    assert LiveSettings().bg == ("blur",)
    assert LiveSettings().output == ("virtual",)


def test_the_file_is_looked_for_in_the_usual_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "rtmatte").mkdir()
    (tmp_path / "rtmatte" / "config.toml").write_text('preset = "fast"')
    assert load_settings({}).preset == "fast"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_path() == tmp_path / ".config" / "rtmatte" / "config.toml"


def test_the_command_line_goes_before_the_profile_and_the_profile_before_the_rest(config: Path) -> None:
    settings = load_settings({"frame": "off", "camera": None}, profile="work", path=config)
    assert settings.frame == "off"
    assert settings.camera == "2"
    assert settings.bg == ("blur:0.8",)
    assert settings.size == (1280, 720)
    assert settings.mirror


def test_a_path_may_begin_with_the_home_folder(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert load_settings({}, path=config).bg == ("/home/me/beach.jpg", "blur")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size = 12", "config.toml: size 12:"),
        ('size = "big"', "config.toml: size 'big': is not WIDTHxHEIGHT, for example 1280x720"),
        ('size = "1281x720"', "needs an even width and height"),
        ('colour = "red"', "there is no setting colour; there are camera, size, fps, bg"),
        (
            'preset = "best"',
            "config.toml: preset 'best': is no preset; choose auto, quality, balanced, fast, or a file",
        ),
        ("light_wrap = 2", "config.toml: light_wrap 2: input should be less than or equal to 1"),
        ("fps = 0", "config.toml: fps 0: input should be greater than or equal to 1"),
        ("bg = []", r"config.toml: bg \[\]:"),
        ("size = ", "config.toml: is not TOML"),
        ("profile = 3", "profile must hold tables"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as error:
        load_settings({}, path=path)
    assert "\n" not in str(error.value)


def test_a_missing_profile_is_told_with_those_there_are(config: Path) -> None:
    with pytest.raises(InputError, match="has no profile home; it has work"):
        load_settings({}, profile="home", path=config)


def test_a_file_that_was_named_and_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_settings({}, path=tmp_path / "none.toml")


def test_a_bad_option_is_told_as_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(InputError, match="options: size 'x': is not WIDTHxHEIGHT"):
        load_settings({"size": "x"})
