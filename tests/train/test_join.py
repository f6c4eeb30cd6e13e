"""A T-Net and an M-Net of two checkpoints."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from realtime_matting.errors import InputError, OutputError
from train.checkpoints import Checkpoint, load_network, save_checkpoint
from train.join import app, join
from train.networks import build_network
from train.networks.shm import SHM

HIDDEN = [32, 96, 64, 144, 96, 240, 0, 128, 480, 336, 0, 672, 64, 0, 1152, 576]


def checkpoint(folder: Path, seed: int, part: str = "", **options: object) -> Path:
    """A checkpoint of shm-mobile with weights of its own; with ``part``, of that one only, as its phase writes it."""
    torch.manual_seed(seed)
    network = build_network("shm-mobile", options)
    weights = {name: value for name, value in network.state_dict().items() if name.startswith(part)}
    phase = {"t_net.": "t_net", "m_net.": "m_net"}.get(part, "end_to_end")
    save_checkpoint(
        folder, Checkpoint("shm-mobile", phase, seed, {"seed": seed}, {}, dict(options)), weights, None, None
    )
    return folder


def test_the_t_net_of_one_stands_before_the_m_net_of_the_other(tmp_path: Path) -> None:
    t_net = checkpoint(tmp_path / "a", 1, "t_net.", trimap_hidden=HIDDEN)
    m_net = checkpoint(tmp_path / "b", 2)
    done = CliRunner().invoke(app, [str(t_net), str(m_net), "--out", str(tmp_path / "joined")])
    assert done.exit_code == 0, done.output
    made = load_file(tmp_path / "joined/model.safetensors")
    for folder, part in ((t_net, "t_net."), (m_net, "m_net.")):
        given = {
            name: value for name, value in load_file(folder / "model.safetensors").items() if name.startswith(part)
        }
        assert given
        assert all(torch.equal(made[name], value) for name, value in given.items())
    network, about = load_network(tmp_path / "joined")
    assert isinstance(network, SHM)
    assert about.phase == "end_to_end"
    assert about.options == {"trimap_hidden": HIDDEN}
    assert (about.config["t_net_of"], about.config["m_net_of"]) == (str(t_net), str(m_net))


def test_what_cannot_be_joined_is_told_in_one_line(tmp_path: Path) -> None:
    one = checkpoint(tmp_path / "one", 1)
    with pytest.raises(InputError, match="no checkpoint here"):
        join(one, tmp_path / "none", tmp_path / "out")
    with pytest.raises(InputError, match="weights of another network"):
        join(checkpoint(tmp_path / "m", 2, "m_net."), one, tmp_path / "out")
    other = tmp_path / "u2netp"
    save_checkpoint(other, Checkpoint("u2netp", "fine", 1, {}), build_network("u2netp").state_dict(), None, None)
    with pytest.raises(InputError, match="name two of shm or shm-mobile"):
        join(one, other, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        join(one, one, tmp_path / "file" / "out")
