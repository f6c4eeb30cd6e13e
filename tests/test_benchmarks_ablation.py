"""Studies of `benchmarks/ablation.py`."""

import sys
from pathlib import Path

import pytest

from realtime_matting.errors import InputError
from train.config import load_config

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from ablation import folder_of, read_study

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "ablations").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_variant_of_the_shipped_studies_is_a_valid_configuration_of_its_own(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    study = read_study(path)
    plain = load_config(study.config, list(study.budget))
    assert set(study.phases) <= set(plain.phases)
    changed = [load_config(study.config, [*study.budget, *overrides]) for overrides in study.variants.values()]
    assert changed[0] == plain
    assert all(config != plain for config in changed[1:])
    assert len({folder_of(Path("out"), name) for name in study.variants}) == len(study.variants)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("config: [", "not valid YAML"),
        ("config: a.yaml", "variants: Field required"),
        ("config: a.yaml\nvariants: {}", "variants: "),
        ("config: a.yaml\nvariants: {all: []}\nsteps: 3", "steps: Extra inputs"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_study_is_told_in_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "study.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_study(path)
    assert "\n" not in str(caught.value)
