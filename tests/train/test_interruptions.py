"""Runs as a person starts them: killed, out of disk, or shared by several processes."""

import csv
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from train.checkpoints import read_checkpoint

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(config: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "train", "shm", "--phase", "m_net", "--config", str(config), "--out", str(out),
            "--device", "cpu", *options]  # fmt: skip


def train(config: Path, out: Path, *options: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(config, out, *options), capture_output=True, text=True, env=ENVIRONMENT, timeout=120, **settings,
    )  # type: ignore[call-overload, no-any-return]  # fmt: skip


def totals(out: Path) -> list[float]:
    with (out / "m_net/losses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, len(rows) + 1))
    return [float(row["total"]) for row in rows]


@pytest.fixture(scope="module")
def uninterrupted(toy_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """Losses of 20 steps in one go, one loader process."""
    out = tmp_path_factory.mktemp("whole")
    done = train(toy_file, out, "--set", "workers=1")
    assert done.returncode == 0, done.stderr
    return totals(out)


def test_a_killed_run_goes_on_with_the_losses_it_would_have_had(
    toy_file: Path, uninterrupted: list[float], tmp_path: Path
) -> None:
    options = ("--set", "workers=1", "--set", "phases.m_net.save_every=5", "--set", "phases.m_net.validate_every=1000")
    process = subprocess.Popen(
        command(toy_file, tmp_path, *options), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    saved = tmp_path / "m_net/last/checkpoint.json"
    deadline = time.monotonic() + 100
    while not saved.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    about = read_checkpoint(saved.parent)
    assert 5 <= about.step < 20

    done = train(toy_file, tmp_path, *options, "--resume")
    assert done.returncode == 0, done.stderr
    assert totals(tmp_path) == pytest.approx(uninterrupted, rel=1e-5)


def test_a_full_disk_ends_in_one_line_and_keeps_the_checkpoint_before(toy_file: Path, tmp_path: Path) -> None:
    assert train(toy_file, tmp_path, "--steps", "10").returncode == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "m_net/last").iterdir()}

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = train(toy_file, tmp_path, "--resume", preexec_fn=small_files)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "could not be saved" in errors[0]
    assert "Traceback" not in done.stderr
    assert {p.name: p.read_bytes() for p in (tmp_path / "m_net/last").iterdir()} == before
    assert read_checkpoint(tmp_path / "m_net/best").step == 10

    resumed = train(toy_file, tmp_path, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert read_checkpoint(tmp_path / "m_net/last").step == 20


def test_two_processes_train_as_one_with_the_same_batch(toy_file: Path, tmp_path: Path) -> None:
    options = ("--set", "phases.m_net.batch_size=4", "--set", "phases.m_net.steps=12")
    done = train(toy_file, tmp_path / "one", *options)
    assert done.returncode == 0, done.stderr
    _, *arguments = command(toy_file, tmp_path / "two", *options)
    shared = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--rdzv_backend=c10d",
         "--rdzv_endpoint=localhost:0", *arguments],
        capture_output=True, text=True, env=ENVIRONMENT, timeout=200,
    )  # fmt: skip
    assert shared.returncode == 0, shared.stderr
    one, two = totals(tmp_path / "one"), totals(tmp_path / "two")
    assert len(one) == 12
    # What sums in another order add up to: next to nothing at first, then each step's start differs a little.
    assert two[:3] == pytest.approx(one[:3], rel=1e-3)
    assert two == pytest.approx(one, rel=5e-3)
    assert shared.stdout.count("done;") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--device", "cuda"), "--device cuda"),
        (("--set", "phases.m_net.accumulate=3"), "batch_size 2 cannot be shared"),
        (("--set", "precision=16-mixed"), "needs a GPU"),
        (("--set", "phases.m_net.start=imagenet"), "phase m_net cannot start from imagenet"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    toy_file: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    done = train(toy_file, tmp_path, *options)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert [message in line for line in done.stderr.splitlines() if line.startswith("error:")] == [True]
