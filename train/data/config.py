"""The ``data`` section of a training configuration."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """An unknown key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ForegroundSource(Strict):
    """A folder or list file of foregrounds (RGBA, or colour with NAME_alpha.png).

    ``weight``: how often to draw from it, relative to the others. ``group``: regular expression on the file name that
    names the person, so that people are drawn evenly, not files. ``white_clothes``: dye pale clothing at random.
    """

    path: Path
    weight: float = Field(1.0, gt=0)
    group: str | None = None
    white_clothes: bool = False


class MaskSource(Strict):
    """Pictures with coarse masks of the same stem (0, 255, 128 for "not sure"), for trimaps and coarse mattes only."""

    images: Path
    masks: Path
    weight: float = Field(1.0, gt=0)


class BackgroundSource(Strict):
    """A folder or list file of pictures without people; ``match`` keeps only file names the expression is found in."""

    path: Path
    weight: float = Field(1.0, gt=0)
    match: str | None = None


class DataConfig(Strict):
    """Where samples come from and how they are made.

    ``masks_share``: share of samples taken from ``masks`` (only in phases that learn from coarse masks). ``max_side``:
    pictures are kept in memory no larger than this. ``on_error``: a broken file stops the run, or is skipped and
    counted. ``resident``: keep the whole set in the memory of the training device and make the samples there.
    """

    foregrounds: tuple[ForegroundSource, ...] = Field(min_length=1)
    backgrounds: tuple[BackgroundSource, ...] = Field(min_length=1)
    masks: tuple[MaskSource, ...] = ()
    masks_share: float = Field(0.0, ge=0, le=1)
    max_side: int = Field(800, ge=64)
    on_error: Literal["stop", "skip"] = "stop"
    resident: bool = False
    empty_share: float = Field(0.04, ge=0, le=1, description="share of pictures with nobody in them")
    second_person_share: float = Field(0.15, ge=0, le=1)
    in_front_share: float = Field(0.0, ge=0, le=1, description="share of people behind a table, a laptop, a screen")
    lower_clothes_share: float = Field(0.0, ge=0, le=1, description="share of people in trousers of another colour")
    plain_background_share: float = Field(0.08, ge=0, le=1)
    blurred_background_share: float = Field(0.3, ge=0, le=1)
    motion_share: float = Field(0.12, ge=0, le=1, description="share of people who move, whole or in part")
    backlit_share: float = Field(0.0, ge=0, le=1, description="share of pictures against the light")
    dim_share: float = Field(0.0, ge=0, le=1, description="share of dim, noisier pictures")
    wall_colour_share: float = Field(0.0, ge=0, le=1, description="share of people in about the wall's colour")
    h264_share: float = Field(0.0, ge=0, le=1, description="share of pictures compressed as a video call's are")
