"""A model taken apart: its trimap, then its alpha at the network's size, with any trimap put between.

    with open_stages("shm-balanced") as stages:
        trimap = stages.trimap(rgb)             # float32 (3, h, w), at the T-Net's size
        small = stages.alpha(rgb, trimap)       # float32 (h, w), at the M-Net's size, fused
        alpha = enlarge(small, rgb)             # float32 (H, W), as the runtime has it of a first frame

A bundle runs on the runtime's engines and with its resizing, on whole frames (no `matting.window`), a checkpoint as
`train.inference` runs whole pictures.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from realtime_matting.engines import Engine, open_engine
from realtime_matting.errors import InputError
from realtime_matting.matting.fusion import fuse
from realtime_matting.matting.networks import BAND, network_input, pad, resize, unpadded
from realtime_matting.matting.refine import at_picture_size
from realtime_matting.matting.trimap import probabilities_from_alpha, resize_probabilities
from realtime_matting.models.bundle import Bundle, Role
from realtime_matting.models.registry import find_bundle
from realtime_matting.resampling import scaled_to
from train.evaluation.baselines import is_checkpoint
from train.evaluation.framing import Alpha, Picture, Size

if TYPE_CHECKING:  # bundles are taken apart without PyTorch
    from torch import Tensor

Probabilities = NDArray[np.float32]
# A bundle does not say what band it was trained with; this is the default of `train.config.PhaseConfig`.
TRIMAP_RADIUS = 0.012


class Stages(Protocol):
    """A model, stage by stage.

    Attributes:
        name: what its rows in tables are called.
        radius: half width of the unknown band it was trained with, as a share of (h + w)/2.
        fills_trimaps: whether it makes a trimap and fills it in; otherwise it makes alpha in one step.
    """

    name: str
    radius: float
    fills_trimaps: bool

    def trimap(self, rgb: Picture) -> Probabilities:
        """Class probabilities float32 (3, h, w) at the T-Net's size; only where it ``fills_trimaps``."""
        ...

    def alpha(self, rgb: Picture, trimap: Probabilities | None) -> Alpha:
        """Alpha float32 (h, w) at the network's size, fused with ``trimap`` (any size) where it ``fills_trimaps``."""
        ...

    def size(self, rgb: Picture) -> Size:
        """(width, height) of `alpha` for this picture."""
        ...


class BundleStages:
    """A bundle's networks on the engine the runtime would choose."""

    def __init__(self, bundle: Bundle, name: str, stack: ExitStack) -> None:
        """Open the networks; ``stack`` closes them.

        Raises:
            EngineError: no engine takes them.
        """
        self.name = name
        self.radius = TRIMAP_RADIUS
        self.fills_trimaps = "matting" in bundle.roles
        self._roles = bundle.roles
        self._engines: dict[Role, Engine] = {}
        for role in bundle.roles:
            self._engines[role] = open_engine(bundle.path(role))
            stack.callback(self._engines[role].close)

    def trimap(self, rgb: Picture) -> Probabilities:
        small = self._shrunk(rgb)
        if "trimap" in self._engines:
            return np.asarray(self._run("trimap", small)[0], np.float32)
        alpha = self._run("alpha", small)[0, 0]
        return probabilities_from_alpha(alpha, max(1, round(BAND * alpha.shape[1])))

    def alpha(self, rgb: Picture, trimap: Probabilities | None) -> Alpha:
        small = self._shrunk(rgb)
        if trimap is None:
            return np.asarray(self._run("alpha", small)[0, 0], np.float32)
        spec = self._roles["matting"]
        at_size = resize_probabilities(trimap, *spec.scaled_size(small.shape[1], small.shape[0]))
        size = spec.working_size(small.shape[1], small.shape[0])
        padded = pad(at_size.transpose(1, 2, 0), size, mirrored=spec.padding == "mirror").transpose(2, 0, 1)
        raw = self._run("matting", small, trimap=np.ascontiguousarray(padded)[None])[0, 0]
        return fuse(at_size, raw)

    def size(self, rgb: Picture) -> Size:
        small = self._shrunk(rgb)
        return self._roles["matting" if self.fills_trimaps else "alpha"].scaled_size(small.shape[1], small.shape[0])

    def _shrunk(self, rgb: Picture) -> Picture:
        """At the larger of the networks' sizes, from which the smaller one's is made: as in training."""
        return resize(rgb, max(spec.scaled_size(rgb.shape[1], rgb.shape[0]) for spec in self._roles.values()))

    def _run(self, role: Role, rgb: Picture, **others: Probabilities) -> Any:
        spec = self._roles[role]
        outputs = self._engines[role]({"rgb": network_input(rgb, spec), **others})
        # The engine's own memory is only valid until its next call.
        return np.array(unpadded(next(iter(outputs.values())), rgb, spec), np.float32)


class CheckpointStages:
    """A checkpoint on pictures of the size its network is meant for."""

    def __init__(self, folder: str, device: str) -> None:
        """Load it.

        Raises:
            InputError: it cannot be read, gives no alpha, or makes no trimap of its own.
            EngineError: the device is not there.
        """
        from train.checkpoints import read_checkpoint
        from train.parts import find_device, load_parts

        self.name = folder
        self._device = find_device(device)
        about = read_checkpoint(Path(folder))
        self._parts = load_parts(Path(folder), about, self._device)
        if self._parts.matte is None and (self._parts.trimap is None or self._parts.matting is None):
            raise InputError(
                f"{folder}: {about.network} ({about.phase}) is one stage alone, so its error cannot be split; give a "
                "checkpoint that makes its alpha without help"
            )
        self.fills_trimaps = self._parts.matte is None
        phase = about.config.get("phases", {}).get(about.phase, {})
        self.radius = float(phase.get("trimap_radius", TRIMAP_RADIUS))

    def trimap(self, rgb: Picture) -> Probabilities:
        import torch

        assert self._parts.trimap is not None  # asked only where it fills trimaps
        with torch.inference_mode():
            return np.asarray(self._parts.trimap(self._tensor(rgb))[0].float().cpu().numpy(), np.float32)

    def alpha(self, rgb: Picture, trimap: Probabilities | None) -> Alpha:
        import torch

        with torch.inference_mode():
            if trimap is None:
                assert self._parts.matte is not None
                alpha = self._parts.matte(self._tensor(rgb))
                return np.asarray(alpha[0, 0].float().clamp(0, 1).cpu().numpy(), np.float32)
            assert self._parts.matting is not None
            at_size = resize_probabilities(trimap, *self.size(rgb))
            planes = torch.from_numpy(np.ascontiguousarray(at_size))[None].to(self._device)
            alpha = self._parts.matting(self._tensor(rgb), planes)[0, 0]
            return fuse(at_size, np.asarray(alpha.float().clamp(0, 1).cpu().numpy(), np.float32))

    def size(self, rgb: Picture) -> Size:
        height, width = rgb.shape[:2]
        return scaled_to(self._parts.long_side, width, height)

    def _tensor(self, rgb: Picture) -> "Tensor":
        import torch

        planes = np.ascontiguousarray(resize(rgb, self.size(rgb)).transpose(2, 0, 1))
        return torch.from_numpy(planes)[None].to(self._device, torch.float32).div_(255)


def enlarge(alpha: Alpha, rgb: Picture) -> Alpha:
    """An alpha at its picture's size, as the runtime brings it there.

    Args:
        alpha: float32 (h, w) in [0, 1].
        rgb: uint8 (H, W, 3).
    """
    return at_picture_size(np.asarray(np.clip(alpha, 0, 1), np.float32), rgb)


@contextmanager
def open_stages(models: list[str], *, device: str = "auto") -> Iterator[list[Stages]]:
    """Open bundles (names or folders) and checkpoints (folders), and close them in the end.

    Args:
        device: of checkpoints.

    Raises:
        InputError, BundleError, EngineError: none is named, or one is not there, damaged, or only one stage.
    """
    if not models:
        raise InputError("no model whose error could be split: name a bundle or a checkpoint")
    bundles = {model: find_bundle(model) for model in dict.fromkeys(models) if not is_checkpoint(model)}
    with ExitStack() as stack:
        yield [
            BundleStages(bundles[model], model, stack) if model in bundles else CheckpointStages(model, device)
            for model in dict.fromkeys(models)
        ]
