"""What a checkpoint can do, whatever its network and phase: make a trimap, fill one in, or make a matte at once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from realtime_matting.errors import EngineError, InputError
from train.checkpoints import Checkpoint, load_network, load_weights
from train.networks import build_network
from train.networks.shm import SHM, normalize
from train.networks.u2net import NestedU

# With a trimap given, alpha is a matter of detail, and the M-Net and DIM have learnt from crops at the pictures' own
# scale; without one, a network also has to see who is a person, for which it must see what it was trained to see.
LONG_SIDE_WITH_TRIMAP = 1600


@dataclass(frozen=True)
class Parts:
    """A network as what it can do; every tensor is float32, ``rgb`` (1, 3, H, W) in [0, 1].

    Attributes:
        long_side: the longer side of the pictures that the network is meant for without a given trimap.
        trimap: rgb → class probabilities (1, 3, h, w): background, unknown, foreground.
        matting: rgb, class probabilities (1, 3, H, W) → alpha (1, 1, H, W) of the unknown region.
        matte: rgb → alpha (1, 1, H, W) of everything.
    """

    long_side: int
    trimap: Callable[[Tensor], Tensor] | None = None
    matting: Callable[[Tensor, Tensor], Tensor] | None = None
    matte: Callable[[Tensor], Tensor] | None = None


def load_parts(folder: Path, about: Checkpoint, device: torch.device) -> Parts:
    """What the checkpoint in ``folder``, which says ``about`` of itself, has learnt; on ``device``.

    Raises:
        InputError: its weights cannot be read, or its phase is unknown.
    """
    if about.network in ("shm", "shm-mobile"):
        return _shm_parts(folder, about, device)
    network, _ = load_network(folder)
    network.to(device)
    if isinstance(network, NestedU):

        def matte(rgb: Tensor) -> Tensor:
            return torch.sigmoid(network(normalize(rgb, network.mean, network.std))[0])

        return Parts(network.long_side, matte=matte)
    phases = {"stage0": 0, "stage1": 0, "stage2": 1, "stage3": 1}
    if about.phase not in phases:
        raise InputError(f"{folder}: {about.network} has no phase {about.phase}; it has {', '.join(phases)}")
    counts = phases[about.phase]

    def matting(rgb: Tensor, trimap: Tensor) -> Tensor:
        # One channel: background 0, unknown ½, foreground 1.
        levels = trimap[:, 2:3] + 0.5 * trimap[:, 1:2]
        alpha: Tensor = network(normalize(rgb, network.mean, network.std), levels)[counts]  # type: ignore[arg-type]
        return alpha

    return Parts(LONG_SIDE_WITH_TRIMAP, matting=matting)


def find_device(name: str) -> torch.device:
    """The device called "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N".

    Raises:
        InputError: another name.
        EngineError: there is no such GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"{name}: no such device; there are auto, cpu, cuda and cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"{name}: no such device; there are auto, cpu, cuda and cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(f"{name}: there is no such GPU here; use --device cpu, or install PyTorch for CUDA")
    return device


def _shm_parts(folder: Path, about: Checkpoint, device: torch.device) -> Parts:
    """A phase before the last has learnt one of the two networks, and its checkpoint holds that one only."""
    network = build_network(about.network, about.options)
    assert isinstance(network, SHM)
    trained = {"t_net": ("t_net",), "m_net": ("m_net",), "end_to_end": ("t_net", "m_net")}
    if about.phase not in trained:
        raise InputError(f"{folder}: {about.network} has no phase {about.phase}; it has {', '.join(trained)}")
    for name in trained[about.phase]:
        load_weights(network.get_submodule(name), folder, f"{name}.")
    network.eval().to(device)

    def trimap(rgb: Tensor) -> Tensor:
        return torch.softmax(network.trimap_logits(rgb).float(), dim=1)

    def matting(rgb: Tensor, probabilities: Tensor) -> Tensor:
        m_net = network.m_net
        alpha: Tensor = m_net(normalize(rgb, m_net.mean, m_net.std), probabilities)
        return alpha

    return Parts(
        network.trimap_long_side if about.phase == "t_net" else network.matting_long_side,
        trimap=None if about.phase == "m_net" else trimap,
        matting=None if about.phase == "t_net" else matting,
    )
