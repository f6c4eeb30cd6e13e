"""What engines are built from: the networks of a checkpoint or of a bundle, as float32 graphs ready for TensorRT."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from export.graph_edit import plain_constants
from export.onnx_session import open_session
from export.rewriting import find_up_first, to_key
from realtime_matting.errors import BundleError, InputError
from realtime_matting.matting.matter import DEFAULT_MODEL
from realtime_matting.models import Bundle
from realtime_matting.models.bundle import MANIFEST, ROLE_INPUTS, ROLE_OUTPUT, Role, RoleSpec
from realtime_matting.models.registry import find_bundle

if TYPE_CHECKING:
    from export.roles import RoleNetwork

FloatArray = NDArray[np.float32]
# The frame whose working size is taken where no other is asked for.
USUAL_FRAME = (1280, 720)


@dataclass(frozen=True)
class ExportedNetwork:
    """One role.

    Attributes:
        model: float32 graph with plain constants.
        sha256: of the role's file in the bundle; of the traced graph for a checkpoint.
        size: (width, height) at which it works on a 1280×720 frame.
        unpooling: how the graph unpools, and how often: ``"key ×4"``, or ``"none"``.
        reference: what the network is to give: PyTorch on the checkpoint, or the bundle's own file.
    """

    role: Role
    model: onnx.ModelProto
    sha256: str
    stride: int
    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    unpooling: str
    reference: Callable[[Mapping[str, FloatArray]], FloatArray]


@dataclass(frozen=True)
class ExportSource:
    """``name`` for file names, ``sha256`` of what the networks come from."""

    name: str
    sha256: str
    networks: dict[Role, ExportedNetwork]

    @property
    def strides(self) -> dict[Role, int]:
        """Role → stride."""
        return {role: network.stride for role, network in self.networks.items()}


def open_export_source(
    path: str | Path | None = None,
    *,
    unpooling: Literal["key", "up-first"] = "key",
    say: Callable[[str], None] = lambda _: None,
) -> ExportSource:
    """The networks of a checkpoint folder, of a bundle's folder, or of a built-in bundle; None is the default model.

    Raises:
        InputError: not a checkpoint or bundle, of an unknown network, or of a phase that trained only a part.
        BundleError: the bundle is damaged.
    """
    path = DEFAULT_MODEL if path is None else path
    if (Path(path) / "checkpoint.json").is_file():
        return _from_checkpoint(Path(path), unpooling, say)
    return _from_bundle(find_bundle(path), unpooling)


def load_graph(path: Path, role: Role) -> onnx.ModelProto:
    """The checked ONNX file of ``role``.

    Raises:
        BundleError: it is not ONNX, or not a network of that role.
    """
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's and the checker's exceptions have no common base
        what = " ".join(str(error).split())[:120] or type(error).__name__
        raise BundleError(f"{path}: not a valid ONNX file ({what}); export the model again") from error
    names = [value.name for value in model.graph.input], [value.name for value in model.graph.output]
    if sorted(names[0]) != sorted(ROLE_INPUTS[role]) or names[1] != [ROLE_OUTPUT[role]]:
        raise BundleError(
            f"{path}: takes {', '.join(names[0])} and gives {', '.join(names[1])}; a {role} network takes"
            f" {', '.join(ROLE_INPUTS[role])} and gives {ROLE_OUTPUT[role]}; export the model again"
        )
    return model


class _OnnxFile:
    """Runs an ONNX file as it is; opened at the first call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session: Any = None

    def __call__(self, feed: Mapping[str, FloatArray]) -> FloatArray:
        if self._session is None:
            self._session = open_session(self._path.read_bytes())
        result: FloatArray = self._session.run(None, dict(feed))[0]
        return result


class _Torch:
    """Runs the module that was traced."""

    def __init__(self, role: Role, exported: "RoleNetwork") -> None:
        self._names, self._module = ROLE_INPUTS[role], exported.module

    def __call__(self, feed: Mapping[str, FloatArray]) -> FloatArray:
        import torch

        with torch.inference_mode():
            result: FloatArray = self._module(*(torch.from_numpy(feed[name]) for name in self._names)).numpy()
        return result


def _from_bundle(bundle: Bundle, unpooling: str) -> ExportSource:
    networks: dict[Role, ExportedNetwork] = {}
    for role, spec in bundle.roles.items():
        model, told = plain_constants(load_graph(bundle.path(role), role)), spec.unpooling
        count = len(find_up_first(model.graph))
        if unpooling == "key" and spec.unpooling == "up-first":
            model, count = to_key(model)
            told = "key"
            if count == 0:
                raise BundleError(
                    f"{bundle.path(role)}: its unpooling is not of the form this version writes;"
                    " export the checkpoint again, or build from the checkpoint"
                )
        size = spec.working_size(*USUAL_FRAME)
        counted = f"{told} ×{count}" if count else told
        networks[role] = ExportedNetwork(
            role, model, spec.sha256, spec.stride, size, spec.mean, spec.std, counted, _OnnxFile(bundle.path(role))
        )
    digest = hashlib.sha256((bundle.folder / MANIFEST).read_bytes()).hexdigest()
    return ExportSource(bundle.manifest.name, digest, networks)


def _from_checkpoint(folder: Path, unpooling: Literal["key", "up-first"], say: Callable[[str], None]) -> ExportSource:
    # torch takes seconds to import, and a bundle does without it.
    from export.onnx_graph import check_graph, to_onnx
    from export.roles import roles_of
    from train.checkpoints import load_network
    from train.networks.pooling import MaxUnpool

    network, about = load_network(folder)
    networks: dict[Role, ExportedNetwork] = {}
    try:
        roles = roles_of(network, unpooling, about.phase)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    unpoolings = sum(isinstance(module, MaxUnpool) for module in network.modules())
    for role, exported in roles.items():
        say(f"{role}: tracing {about.network}")
        model = to_onnx(role, exported)
        check_graph(model)
        spec = RoleSpec(
            file=f"{role}.onnx",
            sha256=hashlib.sha256(model.SerializeToString()).hexdigest(),
            stride=exported.stride,
            long_side=exported.long_side,
            mean=exported.mean,
            std=exported.std,
        )
        counted = f"{exported.unpooling} ×{unpoolings}" if exported.unpooling != "none" else "none"
        networks[role] = ExportedNetwork(
            role,
            plain_constants(model),
            spec.sha256,
            spec.stride,
            spec.working_size(*USUAL_FRAME),
            spec.mean,
            spec.std,
            counted,
            _Torch(role, exported),
        )
    digest = hashlib.sha256()
    for file in ("checkpoint.json", "model.safetensors"):
        digest.update((folder / file).read_bytes())
    # Other checkpoints have the same network, and so may a bundle: their engines lie side by side.
    return ExportSource(f"{about.network}-{digest.hexdigest()[:8]}", digest.hexdigest(), networks)
