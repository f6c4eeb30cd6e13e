"""What a network gives to a bundle: one module per role, with the inputs and outputs the bundle promises."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from export.unpooling import Rewrite, has_unpooling, index_free
from realtime_matting.errors import InputError
from realtime_matting.models.bundle import Role
from train.networks.shm import SHM
from train.networks.u2net import NestedU


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
    """The T-Net's class probabilities."""

    def __init__(self, t_net: nn.Module) -> None:
        super().__init__()
        self.t_net = t_net

    def forward(self, rgb: Tensor) -> Tensor:
        return torch.softmax(self.t_net(rgb), dim=1)


class AlphaOf(nn.Module):
    """The fused output of a U²-Net, as alpha."""

    def __init__(self, network: NestedU) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor) -> Tensor:
        return torch.sigmoid(self.network(rgb)[0])


def roles_of(network: nn.Module, rewrite: Rewrite) -> dict[Role, RoleNetwork]:
    """The roles ``network`` can fill, in evaluation mode and free of pooling indices.

    Raises:
        InputError: the network fills no role.
    """
    if isinstance(network, SHM):
        return {
            "trimap": _role(TrimapOf(network.t_net), network.t_net, network.trimap_long_side, rewrite),
            "matting": _role(network.m_net, network.m_net, network.matting_long_side, rewrite),
        }
    if isinstance(network, NestedU):
        return {"alpha": _role(AlphaOf(network), network, network.long_side, rewrite)}
    raise InputError(f"{type(network).__name__}: this network fills no role of a bundle; export an SHM or a U2Net")


def _role(module: nn.Module, described: nn.Module, long_side: int, rewrite: Rewrite) -> RoleNetwork:
    """``described`` has the stride, mean and std of ``module``; ``long_side`` is cut to a multiple of the stride."""
    stride: int = described.stride  # type: ignore[assignment]
    return RoleNetwork(
        index_free(module, rewrite).eval(),
        stride,
        long_side // stride * stride,
        described.mean,  # type: ignore[arg-type]
        described.std,  # type: ignore[arg-type]
        rewrite if has_unpooling(module) else "none",
    )
