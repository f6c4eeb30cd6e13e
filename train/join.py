"""A T-Net and an M-Net of two checkpoints as one.

    python -m train.join runs/tenth/t_net/last runs/shipped --out runs/joined

For a T-Net that was trained by itself and is to stand before an M-Net as it is; trained together they come out of phase
``end_to_end`` as one.
"""

from pathlib import Path
from typing import Annotated

import typer

from realtime_matting.errors import InputError, OutputError
from train.checkpoints import Checkpoint, load_weights, read_checkpoint, save_checkpoint
from train.cli import run
from train.networks import build_network
from train.networks.shm import SHM

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    t_net: Annotated[Path, typer.Argument(help="checkpoint whose T-Net is taken")],
    m_net: Annotated[Path, typer.Argument(help="checkpoint whose M-Net is taken")],
    out: Annotated[Path, typer.Option(help="folder for the checkpoint that is made")],
) -> None:
    """Make one checkpoint of two."""
    join(t_net, m_net, out)
    typer.echo(f"{out}: the T-Net of {t_net} before the M-Net of {m_net}")


def join(t_net: Path, m_net: Path, out: Path) -> None:
    """Write a checkpoint of Semantic Human Matting, as phase ``end_to_end`` does, with the options of ``t_net``.

    Args:
        t_net: folder of a checkpoint of phase ``t_net`` or ``end_to_end``.
        m_net: folder of one of phase ``m_net`` or ``end_to_end``.

    Raises:
        InputError: one is missing, is of another kind of network or lacks the part.
        OutputError: ``out`` cannot be written.
    """
    about, other = read_checkpoint(t_net), read_checkpoint(m_net)
    network = build_network(about.network, about.options)
    if not isinstance(network, SHM) or other.network != about.network:
        raise InputError(f"{t_net} is of {about.network} and {m_net} of {other.network}; name two of shm or shm-mobile")
    load_weights(network.t_net, t_net, "t_net.")
    load_weights(network.m_net, m_net, "m_net.")
    config = {**about.config, "t_net_of": str(t_net), "m_net_of": str(m_net)}
    made = Checkpoint(about.network, "end_to_end", about.step, config, {}, about.options)
    try:
        save_checkpoint(out, made, network.state_dict(), None, None)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); free some space or choose another") from error


if __name__ == "__main__":
    run(app, extra="train")
