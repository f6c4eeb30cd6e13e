"""What a preset opens."""

from pathlib import Path

import numpy as np
import pytest

from realtime_matting.presets import opening
from realtime_matting.presets.preset import Preset


@pytest.mark.parametrize(
    ("model", "reuse", "live", "cores", "given", "threads"),
    [
        ("shm-fast", "files", False, 2, None, 1),
        ("shm-fast", "files", False, 8, None, 7),
        ("shm-fast", "files", False, 1, None, 1),
        ("shm-fast", "files", False, 2, 2, 2),
        ("shm-fast", "files", True, 2, None, None),
        ("shm-fast", "never", False, 2, None, None),
        ("shm-fast", "always", True, 2, None, None),
        ("shm-fast", "always", False, 4, None, 3),
        ("shm-balanced", "files", False, 2, None, None),
    ],
)
def test_small_networks_leave_a_core_to_the_rest_where_mattes_are_carried_in_a_file(
    model: str,
    reuse: str,
    live: bool,
    cores: int,
    given: int | None,
    threads: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, object] = {}
    monkeypatch.setattr(opening, "core_count", lambda: cores)
    monkeypatch.setattr(opening, "Matter", lambda model, **options: asked.update(options))
    opening.open_matter(Preset().overridden(model=model, reuse=reuse), live=live, threads=given)
    assert asked["threads"] == threads


@pytest.mark.parametrize(("reuse", "reuses"), [("files", "reuse: moved along"), ("never", "refresh: every frame")])
def test_a_live_run_takes_the_trimap_of_a_calm_frame_unless_nothing_is_to_be_reused(
    reuse: str, reuses: str, green_bundle: Path
) -> None:
    room = np.full((90, 160, 3), 90, np.uint8)
    with opening.open_matter(Preset(model=str(green_bundle)).overridden(reuse=reuse), live=True, threads=1) as matter:
        matter(room)
        assert matter(room).why == reuses
