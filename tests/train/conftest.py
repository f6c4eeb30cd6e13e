"""Toy training data, drawn: discs as people, noise as backgrounds."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from train.config import TrainConfig

torch.set_num_threads(1)  # toy sizes: several threads only wait for each other


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``people`` (four RGBA, two colour + alpha), ``backgrounds`` (three) and ``images`` + ``masks``."""
    root = tmp_path_factory.mktemp("toy")
    rng = np.random.default_rng(0)
    for name in ("people", "backgrounds", "images", "masks"):
        (root / name).mkdir()
    y, x = np.mgrid[:96, :80].astype(np.float32)
    for number in range(6):
        distance = np.hypot(x - 40, y - 48) + 3 * np.sin(x / (2 + number))
        alpha = (np.clip((34 - distance) / 6, 0, 1) * 255).astype(np.uint8)
        color = np.broadcast_to(np.uint8([40 + 30 * number, 200, 60]), (96, 80, 3)).copy()
        color[::7] //= 2
        if number < 4:
            cv2.imwrite(str(root / f"people/P{number % 2:03d}_{number}.png"), np.dstack([color, alpha]))
        else:
            cv2.imwrite(str(root / f"people/pair{number}.png"), color)
            cv2.imwrite(str(root / f"people/pair{number}_alpha.png"), alpha)
    for number in range(3):
        noise = cv2.resize(rng.integers(0, 255, (9, 12, 3), np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / f"backgrounds/room_{number}.png"), noise)
    mask = np.zeros((120, 160), np.uint8)
    cv2.circle(mask, (80, 60), 40, 128, -1)
    cv2.circle(mask, (80, 60), 30, 255, -1)
    cv2.imwrite(str(root / "images/frame.png"), np.repeat(mask[..., None], 3, 2))
    cv2.imwrite(str(root / "masks/frame.png"), mask)
    return root


@pytest.fixture(scope="session")
def toy_config(toy_data: Path) -> TrainConfig:
    """Three tiny phases of shm-mobile on the toy data."""
    phase = {
        "steps": 20, "batch_size": 2, "learning_rate": 2e-3, "warmup_steps": 2, "crop": 64, "size": [64, 64],
        "ema": 0.9, "log_every": 10, "validate_every": 10, "save_every": 10, "validate_samples": 2,
        "loss": {"laplacian": 1.0, "gradient": 0.5},
    }  # fmt: skip
    return TrainConfig.model_validate(
        {
            "network": "shm-mobile",
            "workers": 0,
            "holdout": 0.0,
            "data": {
                "foregrounds": [{"path": str(toy_data / "people"), "group": r"P\d+", "white_clothes": True}],
                "backgrounds": [{"path": str(toy_data / "backgrounds")}],
                "masks": [{"images": str(toy_data / "images"), "masks": str(toy_data / "masks")}],
                "masks_share": 0.25,
                "backlit_share": 0.2,
                "dim_share": 0.2,
                "wall_colour_share": 0.2,
                "h264_share": 0.2,
            },
            "phases": {"t_net": {**phase, "sizes": [[64, 64], [96, 64]]}, "m_net": phase, "end_to_end": phase},
        }
    )


@pytest.fixture(scope="session")
def toy_file(toy_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``toy_config`` as a YAML file, for command lines."""
    path = tmp_path_factory.mktemp("config") / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_config.model_dump(mode="json"), sort_keys=False))
    return path


@pytest.fixture(scope="session")
def toy_u2net(toy_config: TrainConfig) -> TrainConfig:
    """Both stages of U2NetP on the toy data, in plain light: twenty steps are few."""
    phase = toy_config.phase("m_net").model_copy(update={"sizes": ((64, 64),)})
    phases = {"coarse": phase, "fine": phase.model_copy(update={"easy_to_hard": 0.5})}
    plain = {"backlit_share": 0.0, "dim_share": 0.0, "wall_colour_share": 0.0, "h264_share": 0.0}
    data = toy_config.data.model_copy(update=plain)
    return toy_config.model_copy(update={"network": "u2netp", "phases": phases, "data": data})
