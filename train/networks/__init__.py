"""Networks by the name that configurations and checkpoints use."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from realtime_matting.errors import InputError


def _shm() -> nn.Module:
    from train.networks.shm import shm

    return shm()


def _shm_mobile(**options: Any) -> nn.Module:
    from train.networks.shm import shm_mobile

    return shm_mobile(**options)


def _dim(**options: Any) -> nn.Module:
    from train.networks.dim import DIM

    return DIM(**options)


def _u2net() -> nn.Module:
    from train.networks.u2net import U2Net

    return U2Net()


def _u2netp() -> nn.Module:
    from train.networks.u2net import U2NetP

    return U2NetP()


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "shm": _shm,
    "shm-mobile": _shm_mobile,
    "dim": _dim,
    "u2net": _u2net,
    "u2netp": _u2netp,
}


def build_network(name: str, options: Mapping[str, Any] | None = None) -> nn.Module:
    """A network with random weights.

    Raises:
        InputError: an unknown name, or options that this network does not take.
    """
    if name not in NETWORKS:
        raise InputError(f"unknown network {name!r}; known: {', '.join(NETWORKS)}")
    try:
        return NETWORKS[name](**(options or {}))
    except (TypeError, ValueError) as error:
        raise InputError(f"network_options of {name}: {error}") from error
