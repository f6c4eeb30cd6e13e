"""Training configurations: YAML, validated; every mistake is one line that names the file and the line in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from realtime_matting.errors import InputError
from train.data.config import DataConfig, Strict
from train.data.dataset import SampleSpec
from train.phases import MASK_PHASES, PHASES, RECIPE_OF, NetworkName, Recipe

Range = tuple[float, float]


class LossConfig(Strict):
    """Weights of the terms; see :mod:`train.losses`. Phases use those that apply to them.

    ``prediction``, ``laplacian``, ``gradient``, ``trimap``: Semantic Human Matting's L_p, a Laplacian pyramid term, one
    of the alpha's gradient, and L_t. ``filtered``: the share of the first three that is taken of alpha after the guided
    filter that follows the networks in the runtime.
    ``unknown_weight``: how much more the unknown class counts in L_t. ``alpha_share``: Deep Image Matting's w_l, the
    share of the alpha loss beside the compositional one. ``side_l1``: weight of an L1 term on each side output of a
    U²-Net, beside the cross entropy.
    """

    prediction: float = 1.0
    laplacian: float = 0.0
    gradient: float = 0.0
    filtered: Annotated[float, Field(ge=0, le=1)] = 0.0
    trimap: float = 0.01
    unknown_weight: float = 1.0
    alpha_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    side_l1: Annotated[float, Field(ge=0)] = 1.0


class TeacherConfig(Strict):
    """Whose T-Net a T-Net learns from: the folder of a checkpoint, and the long sides at which it sees the pictures.

    No ``sides``: its own. ``same_view``: it sees what the student sees, not mirrored and at the student's size.
    ``features``: weight of what the encoders' features differ by, beside the trimaps; both views must be the same.
    """

    checkpoint: Path
    sides: tuple[Annotated[int, Field(ge=64)], ...] = ()
    same_view: bool = False
    features: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _of_one_view(self) -> Self:
        if self.same_view and self.sides:
            raise ValueError("same_view takes the student's sizes; leave out sides")
        if self.features and not self.same_view:
            raise ValueError("features of different views cannot be compared; set same_view")
        return self


class PhaseConfig(Strict):
    """One phase's schedule, samples and start. Sizes in pixels, rates per optimiser step.

    ``steps`` or ``epochs``: an epoch is as many samples as there are pictures of people. ``batch_size``: of one
    optimiser step, over all processes and the ``accumulate`` parts in which it is computed.
    ``schedule``: "cosine" (down to 2 %), "step" (times ``decay_factor`` every ``decay_every`` steps, or
    ``decay_epochs``) or "constant"; all after ``warmup_steps``.
    ``crops``: sides cut around unknown pixels, then resized to ``crop``; none means ``crop`` itself.
    ``size``, ``sizes``: (width, height) of whole pictures; with ``sizes`` each batch draws one.
    ``trimap_radius``: half width of the T-Net's unknown band as a share of (h+w)/2; ``erosion`` and ``dilation``:
    ranges in pixels for trimaps of crops, drawn independently.
    ``hard``: share of samples whose people are those with the highest loss of late. ``easy_to_hard``: share of the
    steps over which real backgrounds are faded in over solid colours (0: real ones at once).
    ``trimap_sides``: end to end or with a teacher, the T-Net sees pictures shrunk to these long sides in turn, one a
    step; none means its own. ``teacher``: of the T-Net alone, what it learns in place of the true trimaps.
    ``keep_statistics``: batch norms work with the statistics that they begin with, for training on at low rates; with a
    teacher they always do.
    ``validate_on``: folder in alphamatting.com's layout to measure on as well. ``freeze_t_net``: end to end with the
    T-Net as it is. ``baked``: then, a folder of crops with its trimaps, made once by ``python -m train.data bake``.
    ``start``: "imagenet" (EfficientNet-Lite0, a package), "resnet50" or "vgg16" (``start_file``), "checkpoint"
    (``start_file`` is the folder of one that has the network this phase trains), or "random".
    """

    steps: int | None = Field(None, gt=0)
    epochs: float | None = Field(None, gt=0)
    batch_size: int = Field(gt=0)
    accumulate: int = Field(1, gt=0)
    learning_rate: float = Field(gt=0)
    encoder_rate: float = Field(1.0, ge=0, description="factor on the learning rate of pretrained encoder layers")
    optimizer: Literal["adamw", "adam"] = "adamw"
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    decay_every: int | None = Field(None, gt=0)
    decay_epochs: float | None = Field(None, gt=0)
    decay_factor: float = Field(0.1, gt=0, le=1)
    warmup_steps: int = Field(100, ge=0)
    weight_decay: float = Field(1e-4, ge=0)
    gradient_clip: float = Field(1.0, gt=0)
    ema: float = Field(0.998, ge=0, lt=1, description="decay of the running mean of the weights; 0 switches it off")
    start: Literal["random", "imagenet", "resnet50", "vgg16", "checkpoint"] = "random"
    start_file: Path | None = None
    crop: int = Field(256, ge=32)
    crops: tuple[int, ...] = ()
    size: tuple[int, int] = (512, 288)
    sizes: tuple[tuple[int, int], ...] = ()
    trimap_sides: tuple[Annotated[int, Field(ge=64)], ...] = ()
    trimap_radius: float = Field(0.012, gt=0)
    erosion: Range = (1, 14)
    dilation: Range = (1, 14)
    hard: float = Field(0.0, ge=0, le=1)
    easy_to_hard: float = Field(0.0, ge=0, le=1)
    teacher: TeacherConfig | None = None
    freeze_t_net: bool = False
    keep_statistics: bool = False
    baked: Path | None = None
    validate_on: Path | None = None
    loss: LossConfig = LossConfig()
    log_every: int = Field(20, gt=0)
    validate_every: int = Field(250, gt=0)
    validate_samples: int = Field(48, gt=0)
    save_every: int = Field(250, gt=0)

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        if self.schedule == "step" and (self.decay_every is None) == (self.decay_epochs is None):
            raise ValueError("schedule step needs either decay_every or decay_epochs")
        if self.start in ("resnet50", "vgg16") and self.start_file is None:
            raise ValueError(f"start {self.start} needs start_file, a standard {self.start} state dict")
        if self.start == "checkpoint" and self.start_file is None:
            raise ValueError("start checkpoint needs start_file, the folder of a checkpoint")
        if self.baked and not self.freeze_t_net:
            raise ValueError("baked crops hold the trimaps of a T-Net that stays as it is: set freeze_t_net")
        if self.baked and (self.hard or self.easy_to_hard):
            raise ValueError("baked crops are what they are: leave out hard and easy_to_hard")
        return self

    def total_steps(self, people: int) -> int:
        """Steps of the whole phase when the set has so many pictures of people."""
        return self.steps or self._steps_of(self.epochs or 0, people)

    def decay_steps(self, people: int) -> int:
        """Steps between two decays of schedule "step"."""
        return self.decay_every or self._steps_of(self.decay_epochs or 0, people)

    def _steps_of(self, epochs: float, people: int) -> int:
        return max(1, round(epochs * people / self.batch_size))


class TrainConfig(Strict):
    """A whole run: network, data, and the schedule of each phase.

    ``network_options``: of the network's variant (Deep Image Matting: upsampling, bottleneck, batch_norm).
    ``compile``: run the network through ``torch.compile``. ``deterministic``: only repeatable algorithms on a GPU.
    ``holdout``: share of people and backgrounds kept away from training to choose the best checkpoint.
    """

    network: NetworkName
    network_options: Mapping[str, Any] = {}
    seed: int = 1
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    compile: bool = False
    deterministic: bool = True
    workers: int = Field(1, ge=0)
    holdout: float = Field(0.06, ge=0, lt=1)
    data: DataConfig
    phases: Mapping[str, PhaseConfig]

    @model_validator(mode="after")
    def _phases_of_the_recipe(self) -> Self:
        known = PHASES[RECIPE_OF[self.network]]
        for name in self.phases:
            if name not in known:
                raise ValueError(f"phases: {self.network} has no phase {name}; it has {', '.join(known)}")
        return self

    def sample_spec(self, phase: str) -> SampleSpec:
        """How samples of ``phase`` are cut, without easy-to-hard (as for validation).

        Raises:
            InputError: the configuration has no such phase.
        """
        chosen = self.phase(phase)
        return SampleSpec(
            kind=PHASES[RECIPE_OF[self.network]][phase], crop=chosen.crop, crops=chosen.crops, size=chosen.size,
            sizes=chosen.sizes, trimap_radius=chosen.trimap_radius, erosion=chosen.erosion, dilation=chosen.dilation,
            masks=phase in MASK_PHASES,
        )  # fmt: skip

    def phase(self, phase: str) -> PhaseConfig:
        """The schedule of ``phase``; InputError if it is not configured."""
        if phase not in self.phases:
            raise InputError(f"the configuration has no phase {phase}; it has {', '.join(self.phases)}")
        return self.phases[phase]


def load_config(path: Path, overrides: list[str] | None = None, *, recipe: Recipe | None = None) -> TrainConfig:
    """Read and validate a YAML file; ``overrides`` are "a.b=value" with a YAML value.

    Relative paths inside are taken from the current folder. With ``recipe``, the network must be one that it trains.

    Raises:
        InputError: missing file, bad YAML, unknown key, wrong type; the line says where.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such configuration file")
    text = path.read_text()
    try:
        raw: Any = yaml.safe_load(text)
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or " ".join(str(error).split())
        raise InputError(f"{where}: not valid YAML: {what}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must hold keys and values")
    overridden = _override(raw, overrides or [])
    try:
        config = TrainConfig.model_validate(raw)
    except ValidationError as error:
        # A mistyped key shows up twice, as unknown and as missing; the unknown one is the mistake.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        message = first["msg"].removeprefix("Value error, ")
        what = "unknown key" if first["type"] == "extra_forbidden" else message[:1].lower() + message[1:]
        keys = ".".join(map(str, first["loc"]))
        line = line_of(tree, first["loc"])
        source = next((text for key, text in overridden.items() if keys and f"{keys}.".startswith(f"{key}.")), None)
        where = f"--set {source}" if source else f"{path}:{line}"
        raise InputError(f"{where}: {keys + ': ' if keys else ''}{what}") from error
    if recipe and RECIPE_OF[config.network] != recipe:
        raise InputError(
            f"{path}:{line_of(tree, ('network',))}: network {config.network} is trained by: "
            f"python -m train {RECIPE_OF[config.network]}"
        )
    return config


def _override(raw: dict[str, Any], overrides: list[str]) -> dict[str, str]:
    """Apply "a.b=value" in place; returns which option set which key."""
    done = {}
    for override in overrides:
        keys, separator, value = override.partition("=")
        if not separator:
            raise InputError(f"--set {override}: write it as a.b=value")
        target: Any = raw
        *parents, last = keys.split(".")
        for key in parents:
            target = target.setdefault(key, {})
            if not isinstance(target, dict):
                raise InputError(f"--set {override}: {key} is not a section")
        try:
            target[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {override}: {value!r} is not a YAML value") from error
        done[keys] = override
    return done


def line_of(tree: yaml.Node | None, keys: tuple[int | str, ...]) -> int:
    """Line (from 1) of the deepest of ``keys`` that the YAML document has."""
    line, node = 1, tree
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(key)), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            return line
    return line
