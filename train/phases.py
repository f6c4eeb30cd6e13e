"""Names of the recipes, of the phases in which each trains, and of what a phase's samples are."""

from typing import Literal

Recipe = Literal["shm", "dim", "u2net"]
SampleKind = Literal["trimap", "crop", "whole"]
NetworkName = Literal["shm", "shm-mobile", "dim", "u2net", "u2netp"]

PHASES: dict[Recipe, dict[str, SampleKind]] = {
    # Semantic Human Matting (Chen et al. 2018, section 4)
    "shm": {"t_net": "trimap", "m_net": "crop", "end_to_end": "whole"},
    # Deep Image Matting (Xu et al. 2017, section 4): alpha loss; both losses; refinement alone; everything
    "dim": {"stage0": "crop", "stage1": "crop", "stage2": "crop", "stage3": "crop"},
    # U²-Net for human matting: coarse mattes first, then composites that go from easy to hard
    "u2net": {"coarse": "whole", "fine": "whole"},
}
"""What the samples of every phase are: whole pictures for a trimap, crops around soft pixels, or whole pictures."""

RECIPE_OF: dict[NetworkName, Recipe] = {
    "shm": "shm",
    "shm-mobile": "shm",
    "dim": "dim",
    "u2net": "u2net",
    "u2netp": "u2net",
}
MASK_PHASES = ("t_net", "coarse")
"""Phases that may learn from coarse masks; an alpha loss must never see one."""
