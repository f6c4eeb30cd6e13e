"""Configurations: every mistake is one line that names the file and the line in it."""

from pathlib import Path

import pytest

from realtime_matting.errors import InputError
from train.config import PhaseConfig, load_config
from train.steps import learning_rate_factor

CONFIGS = Path(__file__).parents[2] / "configs/train"
VALID = """\
network: u2netp
data:
  foregrounds: [{path: people}]
  backgrounds:
    - {path: rooms}
phases:
  coarse:
    steps: 10
    batch_size: 2
    learning_rate: 1.0e-3
"""


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("network: shm-mobile\nnetwork: [", ":2", "not valid YAML"),
        (VALID.replace("u2netp", "vgg"), ":1", "network: input should be"),
        (VALID.replace("    steps:", "    step:"), ":8", r"phases\.coarse\.step: unknown key"),
        (VALID.replace("batch_size: 2", "batch_size: two"), ":9", "valid integer"),
        (VALID.replace("batch_size: 2", "batch_size: 0"), ":9", "greater than 0"),
        (VALID.replace("{path: rooms}", "{path: rooms, shade: 3}"), ":5", r"backgrounds\.0\.shade: unknown key"),
        (VALID.replace("    steps: 10\n", ""), ":7", "either steps or epochs"),
        (VALID.replace("steps: 10", "steps: 10\n    start: vgg16"), ":7", "needs start_file"),
        (VALID.replace("coarse", "t_net"), ":1", "u2netp has no phase t_net; it has coarse, fine"),
        ("- 1\n", "", "keys and values"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_line(tmp_path: Path, text: str, where: str, message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_config(path)
    assert f"{path}{where}:" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("phases.coarse.batch_size=none", "--set phases.coarse.batch_size=none: .*valid integer"),
        ("phases.coarse.btch=3", "--set phases.coarse.btch=3: .*unknown key"),
        ("seed", "write it as a.b=value"),
        ("network.name=3", "network is not a section"),
    ],
)
def test_a_mistake_in_an_override_names_the_option(tmp_path: Path, override: str, message: str) -> None:
    path = tmp_path / "right.yaml"
    path.write_text(VALID)
    with pytest.raises(InputError, match=message):
        load_config(path, [override])


def test_overrides_reach_nested_keys(tmp_path: Path) -> None:
    path = tmp_path / "right.yaml"
    path.write_text(VALID)
    config = load_config(path, ["phases.coarse.batch_size=3", "seed=9", "phases.coarse.loss.side_l1=0.5"])
    assert config.phase("coarse").batch_size == 3
    assert config.phase("coarse").loss.side_l1 == 0.5
    assert config.seed == 9


def test_a_recipe_refuses_the_network_of_another(tmp_path: Path) -> None:
    path = tmp_path / "right.yaml"
    path.write_text(VALID)
    with pytest.raises(InputError, match=r"right.yaml:1: network u2netp is trained by: python -m train u2net"):
        load_config(path, recipe="shm")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_configurations_are_valid(path: Path) -> None:
    config = load_config(path)
    for phase in config.phases:
        assert config.sample_spec(phase).kind in ("trimap", "crop", "whole")


def phase(**values: object) -> PhaseConfig:
    return PhaseConfig.model_validate({"batch_size": 10, "learning_rate": 1.0, "warmup_steps": 0, **values})


def test_epochs_are_counted_in_pictures_of_people() -> None:
    by_epochs = phase(epochs=3, schedule="step", decay_epochs=1)
    assert by_epochs.total_steps(people=200) == 60
    assert by_epochs.decay_steps(people=200) == 20


def test_the_step_schedule_divides_the_rate_by_ten_at_each_decay() -> None:
    stepped = phase(steps=100, schedule="step", decay_every=30)
    factors = [learning_rate_factor(step, stepped, people=1) for step in (0, 29, 30, 59, 60, 90)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.001])


def test_the_cosine_ends_at_two_percent_after_the_warm_up() -> None:
    cosine = phase(steps=100, warmup_steps=10)
    factors = [learning_rate_factor(step, cosine, people=1) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10] == pytest.approx(1)
    assert factors[55] == pytest.approx(0.51)
    assert factors[99] == pytest.approx(0.02, abs=1e-3)
    assert sorted(factors[10:], reverse=True) == factors[10:]
