"""Figures of single pictures in tables of ONE scale each; two scales never share a table."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable

from realtime_matting import metrics
from train.data.trimaps import BACKGROUND, FOREGROUND, UNKNOWN

Alpha = NDArray[np.float32]
Picture = NDArray[np.uint8]
Values = dict[str, float]

Columns = tuple[tuple[str, str, int], ...]
"""Key, heading and decimals of each column."""
UNKNOWN_COLUMNS: Columns = (("sad", "SAD", 2), ("mse", "MSE", 4), ("grad", "Grad", 2), ("conn", "Conn", 2))
WHOLE_COLUMNS: Columns = (("mad", "MAD", 2), ("mse", "MSE", 2), ("grad", "Grad", 2), ("conn", "Conn", 2))
TRIMAP_COLUMNS: Columns = (("wrong", "wrong known, ‰", 2), ("lost", "soft lost, %", 2), ("unknown", "unknown, %", 2))
UNKNOWN_LEGEND = (
    "Unknown region, scale of Xu et al. 2017: SAD Σ|d|/1000, MSE mean d², Grad and Conn Σ/1000. They do not compare "
    "with figures on whole images."
)
WHOLE_LEGEND = "Whole image, scale of Lin et al. 2021: MAD mean|d|·1e3, MSE mean d²·1e3, Grad and Conn Σ/1000."
TRIMAP_LEGEND = (
    "Wrong known: pixels called background that are sure foreground, or the reverse. Soft lost: share of the "
    "half-transparent pixels (alpha from 0.02 to 0.98) that are not called unknown."
)
# As `trimap_from_alpha` has it.
_CERTAIN = 0.02


@dataclass
class Table:
    """Figures of pictures by name, all of one scale.

    Attributes:
        key: its name in JSON.
        title: what was measured where.
        legend: what the columns are.
    """

    key: str
    title: str
    legend: str
    columns: Columns
    rows: dict[str, Values] = field(default_factory=dict)

    def mean(self) -> Values:
        """Mean over the pictures in which a figure is defined; NaN where there is none."""
        means = {}
        for key, _, _ in self.columns:
            defined = [values[key] for values in self.rows.values() if not math.isnan(values[key])]
            means[key] = float(np.mean(defined)) if defined else math.nan
        return means

    def lines(self) -> list[tuple[str, list[str]]]:
        """Every picture's formatted figures, then their mean."""
        return [
            (name, [_number(values[key], decimals) for key, _, decimals in self.columns])
            for name, values in (*self.rows.items(), (f"mean of {len(self.rows)}", self.mean()))
        ]

    def markdown(self) -> str:
        """The table under its title, with its legend."""
        headings = [heading for _, heading, _ in self.columns]
        lines = [f"## {self.title}", "", f"| | {' | '.join(headings)} |", "|---|" + "--:|" * len(headings)]
        lines += [f"| {name} | {' | '.join(numbers)} |" for name, numbers in self.lines()]
        return "\n".join([*lines, "", self.legend, ""])

    def drawn(self) -> RichTable:
        """For the terminal, without title and legend, which may be wider than it."""
        drawn = RichTable(box=SIMPLE_HEAD)
        drawn.add_column("", no_wrap=True)
        for _, heading, _ in self.columns:
            drawn.add_column(heading, justify="right")
        for name, numbers in self.lines():
            drawn.add_row(name, *numbers)
        return drawn

    def as_json(self) -> dict[str, Any]:
        """Title, mean, and the figures of each picture; null where one is undefined."""
        pictures = {name: _defined(values) for name, values in self.rows.items()}
        return {"title": self.title, "legend": self.legend, "mean": _defined(self.mean()), "pictures": pictures}


def unknown_figures(alpha: Alpha, truth: Alpha, trimap: Picture) -> Values:
    """SAD, MSE, Grad and Conn where ``trimap`` is 128; NaN where it is so nowhere."""
    if not (trimap == UNKNOWN).any():
        return dict.fromkeys(("sad", "mse", "grad", "conn"), math.nan)
    return asdict(metrics.unknown_region(alpha, truth, trimap))


def whole_figures(alpha: Alpha, truth: Alpha) -> Values:
    """MAD, MSE, Grad and Conn of the whole image."""
    return asdict(metrics.whole_image(alpha, truth))


def trimap_figures(trimap: Picture, truth: Alpha) -> Values:
    """How a predicted trimap fits a true alpha: see `TRIMAP_LEGEND`."""
    background, foreground = truth < _CERTAIN, truth > 1 - _CERTAIN
    soft = ~background & ~foreground
    wrong = ((trimap == BACKGROUND) & foreground) | ((trimap == FOREGROUND) & background)
    lost = np.count_nonzero(soft & (trimap != UNKNOWN))
    return {
        "wrong": 1e3 * float(np.mean(wrong)),
        "lost": 100 * lost / np.count_nonzero(soft) if soft.any() else math.nan,
        "unknown": 100 * float(np.mean(trimap == UNKNOWN)),
    }


def _number(value: float, decimals: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{decimals}f}"


def _defined(values: Values) -> dict[str, float | None]:
    """JSON has no NaN: null where a figure is undefined."""
    return {key: None if math.isnan(value) else round(value, 6) for key, value in values.items()}
