"""What was measured is remembered, for this machine and version only."""

import json
from pathlib import Path

import pytest

from realtime_matting.presets import memory
from realtime_matting.presets.memory import Answer, answers_path, machine_key, recall, remember

ANSWER = Answer("fast", {"balanced": 40.5, "fast": 20.25})


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.platform", "linux")


def test_an_answer_is_found_again_and_nothing_else_is() -> None:
    key = machine_key("auto", None)
    assert recall(key) is None
    assert remember(key, ANSWER) == answers_path()
    assert recall(key) == ANSWER
    assert recall(machine_key("onnxruntime", None)) is None
    assert recall(machine_key("auto", 1)) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("__version__", "99.0"), ("processor_name", lambda: "another"), ("core_count", lambda: 99)],
)
def test_another_version_or_machine_has_an_answer_of_its_own(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    remember(machine_key("auto", None), ANSWER)
    monkeypatch.setattr(memory, name, value)
    assert recall(machine_key("auto", None)) is None


def test_presets_that_were_changed_are_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(machine_key("auto", None), ANSWER)
    changed = {name: preset.overridden(reuse="always") for name, preset in memory.load_presets().items()}
    monkeypatch.setattr(memory, "load_presets", lambda: changed)
    assert recall(machine_key("auto", None)) is None


def test_several_are_kept_but_not_those_of_other_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    old = machine_key("auto", None)
    remember(old, ANSWER)
    monkeypatch.setattr(memory, "__version__", "99.0")
    first, second = machine_key("auto", None), machine_key("auto", 2)
    remember(first, ANSWER)
    remember(second, ANSWER)
    assert set(json.loads(answers_path().read_text())) == {first, second}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '{"KEY": 3}',
        '{"KEY": {"preset": "best", "milliseconds": {}}}',
        '{"KEY": {"preset": ["fast"]}}',
        '{"KEY": {"preset": "fast"}}',
        '{"KEY": {"preset": "fast", "milliseconds": {"fast": "long"}}}',
    ],
)
def test_a_damaged_file_is_as_good_as_none_and_is_replaced(text: str) -> None:
    key = machine_key("auto", None)
    answers_path().parent.mkdir(parents=True)
    answers_path().write_text(text.replace('"KEY"', json.dumps(key)))
    assert recall(key) is None
    remember(key, ANSWER)
    assert recall(key) == ANSWER
    assert [path.name for path in answers_path().parent.iterdir()] == ["presets.json"]


def test_it_is_in_the_usual_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert answers_path() == Path("/home/me/.cache/rtmatte/presets.json")
    monkeypatch.setattr("sys.platform", "darwin")
    assert answers_path() == Path("/home/me/Library/Caches/rtmatte/presets.json")
