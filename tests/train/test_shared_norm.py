"""Batch norm over several processes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from train.shared_norm import SharedBatchNorm2d, share_batch_norm


def make(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 3))


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_one_process_gets_what_plain_batch_norm_gives() -> None:
    plain, shared = make(), make()
    share_batch_norm(shared)
    assert isinstance(shared[1], SharedBatchNorm2d)
    for _ in range(3):
        x = torch.randn(4, 3, 9, 8)
        results = []
        for network in (plain, shared):
            y = network(x)
            network.zero_grad()
            y.square().mean().backward()
            results.append([y, *(p.grad for p in network.parameters())])
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b, atol=2e-6, rtol=1e-4)
    torch.testing.assert_close(plain.state_dict(), shared.state_dict(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(plain.eval()(x), shared.eval()(x))


HALF = """
import sys, torch, torch.distributed as dist
from torch import nn
from train.shared_norm import share_batch_norm
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 3))
share_batch_norm(network)
y = network(torch.load(f"{folder}/x.pt")[2 * rank : 2 * rank + 2])
y.square().mean().backward()
torch.save([y.detach(), *(p.grad for p in network.parameters())], f"{folder}/{rank}.pt")
dist.destroy_process_group()
"""


def test_two_processes_with_half_a_batch_each_give_what_one_with_the_whole_gives(tmp_path: Path) -> None:
    x = torch.randn(4, 3, 9, 8) + torch.arange(4)[:, None, None, None]  # halves of different mean
    torch.save(x, tmp_path / "x.pt")
    halves = [subprocess.Popen([sys.executable, "-c", HALF, str(rank), str(tmp_path)]) for rank in (0, 1)]
    assert [process.wait(100) for process in halves] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    whole = make()
    y = whole(x)
    y.square().mean().backward()
    torch.testing.assert_close(torch.cat([first[0], second[0]]), y.detach(), atol=2e-6, rtol=1e-4)
    for a, b, truth in zip(first[1:], second[1:], whole.parameters(), strict=True):
        torch.testing.assert_close((a + b) / 2, truth.grad, atol=2e-6, rtol=1e-3)
