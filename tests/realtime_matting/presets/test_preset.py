"""Presets in YAML: the built-in ones, and what is told of a file that cannot be used."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.defaults import DEFAULT_MODEL, DEFAULT_PRESET, PRESETS
from realtime_matting.errors import InputError
from realtime_matting.models.registry import list_bundles
from realtime_matting.presets import Preset, load_preset, load_presets
from realtime_matting.presets import preset as module

FOLDER = Path(module.__file__).parent


@pytest.mark.parametrize("name", PRESETS)
def test_a_built_in_preset_names_a_built_in_model_and_explains_each_of_its_keys(name: str) -> None:
    preset = load_preset(name)
    assert preset.model in list_bundles()
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    for key in Preset.model_fields:
        index = next(number for number, line in enumerate(lines) if line.startswith(f"{key}:"))
        assert lines[index - 1].startswith("# ")


def test_the_files_are_the_presets_that_the_command_line_names() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(PRESETS)
    assert tuple(load_presets()) == PRESETS
    assert load_preset(DEFAULT_PRESET).model == DEFAULT_MODEL
    assert len({preset.model for preset in load_presets().values()}) == 3


def test_a_file_need_not_hold_every_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("model: shm-fast\nlight_wrap: 1\n")
    assert load_preset(str(path)) == Preset(model="shm-fast", light_wrap=1.0)


def test_a_bundle_in_a_file_counts_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "bundles" / "own").mkdir(parents=True)
    path = tmp_path / "mine.yml"
    path.write_text("model: bundles/own")
    assert load_preset(str(path)).model == str(tmp_path / "bundles" / "own")


@given(
    st.builds(
        Preset,
        model=st.sampled_from(["shm-fast", "shm-quality"]),
        reuse=st.sampled_from(["files", "always", "never"]),
        delay=st.sampled_from([0, 1]),
        foreground=st.sampled_from(["estimate", "frame"]),
        light_wrap=st.floats(0, 1),
        match_colours=st.floats(0, 1),
    )
)
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, preset: Preset) -> None:
    path = tmp_path_factory.mktemp("presets") / "mine.yaml"
    path.write_text(yaml.safe_dump(preset.model_dump()))
    assert load_preset(str(path)) == preset


def test_what_is_given_goes_before_the_preset_and_nothing_else_does() -> None:
    preset = load_preset("fast")
    assert preset.overridden(model=None, reuse=None) is preset
    changed = preset.overridden(model="mine", reuse="always", light_wrap=None)
    assert changed == Preset(**(preset.model_dump() | {"model": "mine", "reuse": "always"}))
    with pytest.raises(InputError, match="options: light_wrap 2"):
        preset.overridden(light_wrap=2.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modle: shm-fast", "there is no key modle; there are model, reuse"),
        ("3: shm-fast", "there is no key 3"),
        ("reuse: maybe", "reuse 'maybe': input should be 'files', 'always' or 'never'"),
        ("reuse: 1", "reuse 1: input should be 'files', 'always' or 'never'"),
        ("delay: 2", "delay 2: input should be 0 or 1"),
        ("foreground: none", "foreground 'none': input should be 'estimate' or 'frame'"),
        ("light_wrap: 1.5", "light_wrap 1.5: input should be less than or equal to 1"),
        ("light_wrap: .nan", "light_wrap nan"),
        ("match_colours: high", "match_colours 'high'"),
        ("model: ''", "model ''"),
        ("model: [a, b]", "model"),
        ("model: shm-fast\nmodel: shm-quality", "line 1: .*a key is there twice"),
        ("model: {", "line 1"),
        ("model: !!python/object/apply:os.system [ls]", "line 1: .*could not determine a constructor"),
        ("", "is no preset; it needs lines such as 'model: shm-balanced'"),
        ("- fast", "is no preset"),
        ("? [a]\n: b", "is no YAML that can be used"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        load_preset(str(path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_name_or_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="best: no such preset; choose quality, balanced, fast, or a file"):
        load_preset("best")
    with pytest.raises(InputError, match="cannot be read"):
        load_preset(str(tmp_path / "missing.yaml"))
    (tmp_path / "latin.yaml").write_bytes(b"model: caf\xe9")
    with pytest.raises(InputError, match="it is not UTF-8"):
        load_preset(str(tmp_path / "latin.yaml"))


@pytest.mark.parametrize(
    ("reuse", "in_files", "live"), [("files", True, False), ("always", True, True), ("never", False, False)]
)
def test_mattes_are_carried_where_the_preset_says(reuse: str, in_files: bool, live: bool) -> None:
    preset = Preset().overridden(reuse=reuse)
    assert (preset.reuses(live=False), preset.reuses(live=True)) == (in_files, live)
