"""What a network gives to a bundle: one module per role, with the inputs and outputs the bundle promises."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from export.pyramid import float_pyramids
from export.unpooling import Rewrite, has_unpooling, index_free
from realtime_matting.errors import InputError
from realtime_matting.models.bundle import Role
from train.networks.dim import DIM
from train.networks.shm import SHM
from train.networks.tnet_mobile import MobileTNet
from train.networks.u2net import NestedU

# Phases after which only a part of the network has been trained, and the part.
PARTS = {"t_net": "T-Net", "m_net": "M-Net"}
# Stages of Deep Image Matting in which the refinement counts; before, it has not been trained.
REFINED_STAGES = ("stage2", "stage3")
DIM_LONG_SIDE = 1024


@dataclass(frozen=True)
class RoleNetwork:
    """One role, ready to export; the fields are those of :class:`realtime_matting.models.bundle.RoleSpec`."""

    module: nn.Module
    stride: int
    long_side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    unpooling: str


class TrimapOf(nn.Module):
    """The T-Net's class probabilities.

    Those of the light T-Net at half of its size, where its logits are computed: they are interpolated to another size
    afterwards anyway, and to do so once, after the softmax, saves a twelfth of the network's time.
    """

    def __init__(self, t_net: nn.Module) -> None:
        super().__init__()
        self.t_net = t_net

    def forward(self, rgb: Tensor) -> Tensor:
        logits = self.t_net.half_logits(rgb) if isinstance(self.t_net, MobileTNet) else self.t_net(rgb)
        return torch.softmax(logits, dim=1)


class AlphaOf(nn.Module):
    """The fused output of a U²-Net, as alpha."""

    def __init__(self, network: NestedU) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor) -> Tensor:
        return torch.sigmoid(self.network(rgb)[0])


class MattingOf(nn.Module):
    """Deep Image Matting as a bundle's matting network: a trimap of three probabilities, and the alpha that counts.

    The network's own trimap channel is 0, 0.5, 1 for background, unknown, foreground; the probabilities give its
    expectation. Sizes are multiples of the stride here, so that the network's padding is left out of the graph.

    Args:
        refined: the alpha after the refinement, or that of the encoder-decoder.
    """

    def __init__(self, network: DIM, *, refined: bool) -> None:
        super().__init__()
        self.encoder_decoder = network.encoder_decoder
        self.refinement = network.refinement if refined else None

    def forward(self, rgb: Tensor, trimap: Tensor) -> Tensor:
        channel = trimap[:, 2:3] + 0.5 * trimap[:, 1:2]
        alpha: Tensor = self.encoder_decoder(torch.cat([rgb, 2 * channel - 1], dim=1))
        if self.refinement is None:
            return alpha
        refined: Tensor = (alpha + self.refinement(rgb, alpha)).clamp(0, 1)
        return refined


def roles_of(network: nn.Module, rewrite: Rewrite, phase: str = "end_to_end") -> dict[Role, RoleNetwork]:
    """The roles ``network`` can fill, in evaluation mode and free of pooling indices.

    Args:
        phase: the phase of training that made its weights; it tells which alpha of Deep Image Matting counts.

    Raises:
        InputError: the network fills no role, or ``phase`` trained a part of it only.
    """
    if isinstance(network, SHM) and phase in PARTS:
        raise InputError(
            f"phase {phase} has trained the {PARTS[phase]} alone, and a bundle needs both;"
            " export the checkpoint of phase end_to_end"
        )
    if isinstance(network, DIM):
        module = MattingOf(network, refined=phase in (*REFINED_STAGES, "end_to_end"))
        return {"matting": _role(module, network, DIM_LONG_SIDE, rewrite)}
    if isinstance(network, SHM):
        return {
            "trimap": _role(TrimapOf(network.t_net), network.t_net, network.trimap_long_side, rewrite),
            "matting": _role(network.m_net, network.m_net, network.matting_long_side, rewrite),
        }
    if isinstance(network, NestedU):
        return {"alpha": _role(AlphaOf(network), network, network.long_side, rewrite)}
    raise InputError(
        f"{type(network).__name__}: this network fills no role of a bundle; export an SHM, a DIM or a U2Net"
    )


def _role(module: nn.Module, described: nn.Module, long_side: int, rewrite: Rewrite) -> RoleNetwork:
    """``described`` has the stride, mean and std of ``module``; ``long_side`` is cut to a multiple of the stride."""
    stride: int = described.stride  # type: ignore[assignment]
    return RoleNetwork(
        float_pyramids(index_free(module, rewrite)).eval(),
        stride,
        long_side // stride * stride,
        described.mean,  # type: ignore[arg-type]
        described.std,  # type: ignore[arg-type]
        rewrite if has_unpooling(module) else "none",
    )
