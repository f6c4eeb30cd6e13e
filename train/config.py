"""Training configurations: YAML, validated; every mistake is one line that names the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from realtime_matting.errors import InputError
from train.data.config import DataConfig, Strict
from train.data.dataset import SampleSpec
from train.phases import Phase


class LossConfig(Strict):
    """Weights of the terms; see :mod:`train.losses`. Phases use those that apply to them."""

    prediction: float = 1.0
    laplacian: float = 0.0
    trimap: float = 0.01
    unknown_weight: float = 1.0


class PhaseConfig(Strict):
    """One phase's schedule. Sizes in pixels, rates per optimiser step."""

    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    encoder_rate: float = Field(1.0, ge=0, description="factor on the learning rate of pretrained encoder layers")
    warmup_steps: int = Field(100, ge=0)
    weight_decay: float = Field(1e-4, ge=0)
    gradient_clip: float = Field(1.0, gt=0)
    ema: float = Field(0.998, ge=0, lt=1, description="decay of the running mean of the weights; 0 switches it off")
    crop: int = Field(256, ge=32)
    size: tuple[int, int] = (512, 288)
    trimap_radius: float = Field(0.012, gt=0)
    loss: LossConfig = LossConfig()
    log_every: int = Field(20, gt=0)
    validate_every: int = Field(250, gt=0)
    validate_samples: int = Field(48, gt=0)
    save_every: int = Field(250, gt=0)


class TrainConfig(Strict):
    """A whole run: network, data, and the schedule of each phase.

    ``start``: what the light T-Net's encoder starts from: "imagenet" (EfficientNet-Lite0) or "random".
    ``holdout``: share of people and backgrounds kept away from training to choose the best checkpoint.
    """

    network: Literal["shm", "shm-mobile"]
    start: Literal["imagenet", "random"] = "random"
    seed: int = 1
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    workers: int = Field(1, ge=0)
    holdout: float = Field(0.06, ge=0, lt=1)
    data: DataConfig
    phases: Mapping[Phase, PhaseConfig]

    def sample_spec(self, phase: Phase) -> SampleSpec:
        """How samples of ``phase`` are cut.

        Raises:
            InputError: the configuration has no such phase.
        """
        chosen = self.phase(phase)
        return SampleSpec(phase, chosen.crop, chosen.size, chosen.trimap_radius)

    def phase(self, phase: Phase) -> PhaseConfig:
        """The schedule of ``phase``; InputError if it is not configured."""
        if phase not in self.phases:
            raise InputError(f"the configuration has no phase {phase}; it has {', '.join(self.phases)}")
        return self.phases[phase]


def load_config(path: Path, overrides: list[str] | None = None) -> TrainConfig:
    """Read and validate a YAML file; ``overrides`` are "a.b=value" with a YAML value.

    Relative paths inside ``data`` are taken from the current folder.

    Raises:
        InputError: missing file, bad YAML, unknown key, wrong type.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such configuration file")
    try:
        raw: Any = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must hold keys and values")
    for override in overrides or []:
        keys, separator, value = override.partition("=")
        if not separator:
            raise InputError(f"--set {override}: write it as a.b=value")
        target = raw
        *parents, last = keys.split(".")
        for key in parents:
            target = target.setdefault(key, {})
            if not isinstance(target, dict):
                raise InputError(f"--set {override}: {key} is not a section")
        target[last] = yaml.safe_load(value)
    try:
        return TrainConfig.model_validate(raw)
    except ValidationError as error:
        # A mistyped key shows up twice, as unknown and as missing; the unknown one is the mistake.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        what = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].lower()
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {what}") from error
