"""Checkpoint → model bundle: what ``python -m export.onnx_model`` does.

Each role is traced with free height and width, compared with PyTorch in every engine of the runtime, and only then
written. The card is YAML with the keys name, version, licence, description, training_data, metrics of model.toml.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import onnx
import yaml
from pydantic import ValidationError

from export.onnx_graph import check_graph, store_weights_as_fp16, to_onnx
from export.parity import compare
from export.roles import RoleNetwork, roles_of
from export.unpooling import Rewrite
from realtime_matting.engines import EngineName
from realtime_matting.errors import EngineError, InputError
from realtime_matting.models.bundle import Bundle, Card, Padding, Role
from train.checkpoints import load_network

Weights = Literal["fp32", "fp16"]
ENGINES: tuple[EngineName, ...] = ("onnxruntime", "openvino")


class ParityError(EngineError):
    """An engine does not give what PyTorch gives."""


def read_card(path: Path) -> Card:
    """The part of model.toml that people write.

    ``training_data`` may be the name of a YAML file beside the card that holds the list: models trained on the same
    data tell it once.

    Raises:
        InputError: the file is missing, is not YAML, or does not follow the schema.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and isinstance(name := content.get("training_data"), str):
            content["training_data"] = yaml.safe_load((path.parent / name).read_text(encoding="utf-8"))
        return Card.model_validate(content)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "content"
        raise InputError(f"{path}: {where}: {first['msg']}") from error


def export_role(role: Role, network: RoleNetwork, weights: Weights, say: Callable[[str], None]) -> onnx.ModelProto:
    """The graph of one role, after comparing it with PyTorch; ``say`` gets a line for every comparison.

    The comparison is of the graph with its weights as they were learnt. What fp16 storage and bf16 arithmetic change
    is told and not judged: it depends on the network, and the metrics of the bundle measure it.

    Raises:
        ParityError: an engine differs from PyTorch by more than rounding.
        EngineError: an engine refuses the graph.
    """
    model = to_onnx(role, network)
    check_graph(model)
    for engine in ENGINES:
        for difference in compare(role, network, model, engine, "f32"):
            say(f"{role:<8} {difference}")
            if not difference.is_small(unpooling=network.unpooling != "none"):
                raise ParityError(f"the {role} network does not give in {engine} what PyTorch gives: {difference}")
    if weights == "fp16":
        model = store_weights_as_fp16(model)
        check_graph(model)
        for difference in compare(role, network, model, "openvino", "f32"):
            say(f"{role:<8} {difference}, weights fp16")
    try:
        for difference in compare(role, network, model, "openvino", "bf16"):
            say(f"{role:<8} {difference}")
    except EngineError as error:
        say(f"{role:<8} bf16 was not compared: {error}")
    return model


def resized(roles: Mapping[Role, RoleNetwork], long_sides: Mapping[str, int]) -> dict[Role, RoleNetwork]:
    """``roles`` that see frames at other sizes; see :func:`export_bundle`."""
    for name, side in long_sides.items():
        role = next((role for role in roles if role == name), None)
        if role is None:
            raise InputError(f"--long-side {name}={side}: this network has no role {name}; it has {', '.join(roles)}")
        if side < 1 or side % roles[role].stride:
            raise InputError(f"--long-side {name}={side}: must be a multiple of {roles[role].stride}")
    return {role: replace(one, long_side=long_sides.get(role, one.long_side)) for role, one in roles.items()}


def export_bundle(
    checkpoint: Path,
    folder: Path,
    card: Card,
    *,
    rewrite: Rewrite = "up-first",
    weights: Weights = "fp32",
    long_sides: Mapping[str, int] | None = None,
    paddings: Mapping[str, Padding] | None = None,
    say: Callable[[str], None] = print,
) -> Bundle:
    """Write the bundle of a checkpoint.

    Args:
        long_sides: role → the longer side at which it sees frames, in place of the network's own.
        paddings: role → how frames are padded for it, where not mirrored as in training.

    Raises:
        InputError: the checkpoint cannot be read, its network fills no role, or not one of ``long_sides`` or
            ``paddings``, or a side is not a multiple of the role's stride.
        ParityError, EngineError: see :func:`export_role`.
        OutputError: ``folder`` cannot be written.
    """
    network, _ = load_network(checkpoint)
    specs, networks = {}, {}
    roles = resized(roles_of(network, rewrite), long_sides or {})
    if unknown := sorted((paddings or {}).keys() - roles.keys()):
        raise InputError(f"--padding {unknown[0]}: this network has no such role; it has {', '.join(roles)}")
    for role, exported in roles.items():
        networks[role] = export_role(role, exported, weights, say).SerializeToString()
        specs[role] = {
            "stride": exported.stride,
            "long_side": exported.long_side,
            "padding": (paddings or {}).get(role, "mirror"),
            "mean": exported.mean,
            "std": exported.std,
            "weights": weights,
            "unpooling": exported.unpooling,
        }
    return Bundle.write(folder, {**card.model_dump(), "roles": specs}, networks)
