"""Semantic Human Matting in three phases: T-Net alone, M-Net alone, both together.

    python -m train shm --phase t_net      --config configs/train/shm_mobile.yaml
    python -m train shm --phase m_net      --config configs/train/shm_mobile.yaml
    python -m train shm --phase end_to_end --config configs/train/shm_mobile.yaml

``configs/train/shm.yaml`` has the paper's networks, sizes and schedule, ``shm_mobile.yaml`` those of a CPU. Checkpoints
go to ``OUT/PHASE/{last,best}``; ``end_to_end`` starts from the other two phases' best.
Chen et al. 2018, arXiv 1809.01354, section 4.
"""

from pathlib import Path

import torch

from realtime_matting.errors import InputError
from train.checkpoints import load_weights
from train.config import TrainConfig
from train.loop import train_phase
from train.networks import build_network
from train.networks.shm import SHM
from train.recipes.shm_distillation import distillation_job
from train.recipes.shm_end_to_end import end_to_end_job
from train.recipes.shm_matting import matting_job
from train.recipes.shm_trimap import trimap_job


def train_shm(
    config: TrainConfig,
    phase_name: str,
    out: Path,
    *,
    resume: bool,
    steps: int | None,
    device: str,
    t_net: Path | None = None,
    m_net: Path | None = None,
) -> dict[str, float]:
    """Run one phase; returns its figures (see :func:`train.loop.train_phase`).

    Args:
        t_net, m_net: checkpoints from which ``end_to_end`` takes that network, in place of the best ones in ``out``;
            they may be of that phase or of an earlier end-to-end run.

    Raises:
        InputError: ``end_to_end`` without the checkpoints of the other two, or others with ``t_net`` or ``m_net``.
    """
    torch.manual_seed(config.seed)
    shm = build_network(config.network, config.network_options)
    assert isinstance(shm, SHM)
    phase = config.phase(phase_name)
    jobs = {"t_net": trimap_job, "m_net": matting_job, "end_to_end": end_to_end_job}
    if phase_name != "end_to_end" and (t_net or m_net):
        raise InputError(f"phase {phase_name} trains one network; --t-net and --m-net are for end_to_end")
    goes_on = resume and (out / phase_name / "last" / "checkpoint.json").is_file()
    if phase_name == "end_to_end" and not goes_on:
        for name, given, part in (("t_net", t_net, shm.t_net), ("m_net", m_net, shm.m_net)):
            start = given or out / name / "best"
            if not start.is_dir():
                raise InputError(f"{start} is missing: train phase {name} before end_to_end, or name a checkpoint")
            load_weights(part, start, f"{name}.")
    if phase.teacher and phase_name != "t_net":
        raise InputError(f"phase {phase_name}: only a T-Net alone learns from a teacher; move it to phase t_net")
    job = distillation_job(shm, phase, phase.teacher) if phase.teacher else jobs[phase_name](shm, phase)
    if job.check is None and phase.validate_on:
        raise InputError(f"phase {phase_name}: validate_on needs a network that takes a trimap; that is phase m_net")
    return train_phase(config, job, out / phase_name, resume=resume, steps=steps, device=device)
