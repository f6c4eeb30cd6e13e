"""Checkpoints: a folder of safetensors and JSON, replaced as a whole; nothing in it can execute.

model.safetensors       the weights that are used: the running mean where there is one
raw.safetensors         the weights the optimiser was at (only with a running mean)
optimizer.safetensors   the optimiser's state
checkpoint.json         network, phase, step, configuration, metrics
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from realtime_matting.errors import InputError
from train.networks import build_network

FORMAT = 1


@dataclass
class Checkpoint:
    """What a checkpoint folder holds besides the tensors.

    ``options``: of the network's variant. ``hard``: state of :class:`train.hard.HardPeople`.
    """

    network: str
    phase: str
    step: int
    config: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    hard: list[list[float]] = field(default_factory=list)


def save_checkpoint(
    folder: Path,
    about: Checkpoint,
    weights: dict[str, Tensor],
    raw: dict[str, Tensor] | None,
    optimizer: torch.optim.Optimizer | None,
) -> None:
    """Write beside ``folder``, then swap: a full disk or a kill leaves the checkpoint that was there."""
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        save_file(_plain(weights), fresh / "model.safetensors")
        if raw is not None:
            save_file(_plain(raw), fresh / "raw.safetensors")
        if optimizer is not None:
            save_file(_flatten(optimizer), fresh / "optimizer.safetensors")
        (fresh / "checkpoint.json").write_text(json.dumps({"format": FORMAT, **vars(about)}, indent=1, default=str))
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def read_checkpoint(folder: Path) -> Checkpoint:
    """The JSON part.

    Raises:
        InputError: not a checkpoint, or of another format.
    """
    path = folder / "checkpoint.json"
    if not path.is_file():
        raise InputError(f"{folder}: no checkpoint here (checkpoint.json is missing)")
    try:
        raw = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: damaged ({error})") from error
    if raw.pop("format", None) != FORMAT:
        raise InputError(f"{path}: made by another version of rtmatte")
    return Checkpoint(**raw)


def load_weights(module: nn.Module, folder: Path, prefix: str = "", file: str = "model.safetensors") -> None:
    """Load the tensors whose names begin with ``prefix`` into ``module`` (all of them must fit).

    Raises:
        InputError: missing file, or weights of another network.
    """
    path = folder / file
    if not path.is_file():
        raise InputError(f"{path}: missing; is {folder} a checkpoint?")
    tensors = {k.removeprefix(prefix): v for k, v in load_file(path).items() if k.startswith(prefix)}
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        what = " ".join(str(error).splitlines()[1].split())[:120]
        raise InputError(f"{path}: weights of another network: {what}…") from error


def load_optimizer(optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Restore what :func:`save_checkpoint` wrote of an optimiser over the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in load_file(folder / "optimizer.safetensors").items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def load_network(folder: Path) -> tuple[nn.Module, Checkpoint]:
    """Network with the weights of a checkpoint, in evaluation mode, and what the checkpoint says of itself.

    Raises:
        InputError: not a checkpoint, or of an unknown network.
    """
    about = read_checkpoint(folder)
    network = build_network(about.network, about.options)
    load_weights(network, folder)
    return network.eval(), about


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}


def _flatten(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return _plain({f"{i}.{k}": torch.as_tensor(v) for i, values in state.items() for k, v in values.items()})
