"""What each part is worth: variants of one configuration, trained alike on a small budget and measured alike.

    python benchmarks/ablation.py configs/ablations/data.yaml --out runs/ablation/data

The file names a training configuration, what all variants change in it (the budget), and what each variant changes:

    config: configs/train/shm_mobile.yaml
    phases: [t_net, m_net, end_to_end]
    budget: [phases.t_net.steps=400, …]
    variants: {everything: [], no portraits: [data.backgrounds=…]}
    sets: [openpeople, real, stills, nobody]

With `start: CHECKPOINT` and `phases: [end_to_end]` every variant trains that checkpoint on, not a network of its own.

Every variant trains the phases in order, from the same seed; a run that was stopped goes on where it was. The last
checkpoint of the last phase is measured as `train.evaluate` does. The small budget is the point and the limit: it tells
what helps a short training, and differences below those of two seeds tell nothing (give a variant another seed to see).
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tables import device_name, publish

from realtime_matting.errors import InputError, MattingError
from train.config import load_config
from train.evaluation.baselines import open_predictors
from train.evaluation.measure import evaluate
from train.evaluation.sets import load_sets
from train.recipes.shm import train_shm

FIGURES = {"mad": "MAD", "edge_mad": "edge MAD", "dtssd": "dtSSD", "clean": "clean %"}


class Study(BaseModel):
    """A file of variants."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: Path
    phases: tuple[str, ...] = Field(("t_net", "m_net", "end_to_end"), min_length=1)
    start: Path | None = None
    budget: tuple[str, ...] = ()
    variants: dict[str, tuple[str, ...]] = Field(min_length=1)
    sets: tuple[str, ...] = ("openpeople", "real", "stills", "nobody")


def read_study(path: Path) -> Study:
    """InputError, in one line, where the file is missing or wrong."""
    try:
        return Study.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def folder_of(out: Path, variant: str) -> Path:
    """The run of a variant."""
    return out / "".join(c if c.isalnum() else "_" for c in variant)


def main() -> int:
    """Train, measure, print, write; 2 where the input is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs, the table and the figures")
    parser.add_argument("--only", action="append", help="train and measure this variant alone; may be repeated")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--limit", type=int, help="at most so many pictures of a set")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/validation"))
    parser.add_argument("--backgrounds", type=Path, default=Path("../shared/data/backgrounds/validation"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        study = read_study(options.study)
        chosen = options.only or list(study.variants)
        for name in chosen:
            if name not in study.variants:
                raise InputError(f"--only {name}: no such variant; there are {', '.join(study.variants)}")
        configs = {name: load_config(study.config, [*study.budget, *study.variants[name]]) for name in chosen}
        sets = load_sets(list(study.sets), options.data, options.backgrounds, limit=options.limit)
        minutes = {}
        for name, config in configs.items():
            began = time.monotonic()
            for phase in study.phases:
                print(f"== {name}: {phase}", flush=True)
                starts = {"t_net": study.start, "m_net": study.start} if phase == "end_to_end" else {}
                folder = folder_of(options.out, name)
                train_shm(config, phase, folder, resume=True, steps=None, device=options.device, **starts)
            minutes[name] = (time.monotonic() - began) / 60
        rows = []
        for name in chosen:
            checkpoint = str(folder_of(options.out, name) / study.phases[-1] / "last")
            with open_predictors([checkpoint], [], device=options.device) as predictors:
                results = evaluate(predictors, sets).sets
            row: dict[str, object] = {"variant": name, "minutes": minutes[name]}
            for result in results:
                means = result.means(checkpoint)
                row |= {f"{result.name} {label}": means[key] for key, label in FIGURES.items() if key in means}
            rows.append(row)
    except MattingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    facts = {
        "machine": device_name(torch.device("cpu")),
        "budget": "; ".join(study.budget),
        "pictures": ", ".join(f"{one.name} {one.frames}" for one in sets),
        "command": " ".join(["python", "benchmarks/ablation.py", *sys.argv[1:]]),
    }
    publish(facts, rows, options.out / "ablation.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
