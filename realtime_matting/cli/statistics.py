"""What ``rtmatte video --stats FILE`` writes: one line a frame, as a table or as a picture."""

import csv
from pathlib import Path
from typing import Any

from realtime_matting.errors import InputError, MissingExtraError, OutputError
from realtime_matting.frames import Frame
from realtime_matting.matting.matter import Matte

_TABLE = ".csv"
_PICTURES = (".png", ".svg", ".pdf")
STAGES = ("look", "motion", "trimap", "matting", "stability", "refine", "foreground")
COLUMNS = ("frame", "seconds", "why", "refresh", "band", "matted", *(f"{stage}_ms" for stage in STAGES))


class Statistics:
    """Collects what is known of each frame; `write` puts it into a file.

    Args:
        path: ``.csv`` for the table; ``.png``, ``.svg`` or ``.pdf`` for a plot.

    Raises:
        InputError: another kind of file.
        MissingExtraError: a plot, and Matplotlib is not installed.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        suffix = self._path.suffix.lower()
        if suffix not in (_TABLE, *_PICTURES):
            raise InputError(f"{path}: no such kind of statistics; name it .csv for a table, or .png for a plot")
        if suffix != _TABLE:
            _matplotlib()
        self._rows: list[dict[str, Any]] = []

    def add(self, frame: Frame, matte: Matte) -> None:
        """The next frame and its matte."""
        self._rows.append(
            {
                "frame": frame.index,
                "seconds": round(frame.time, 4),
                "why": matte.why,
                "refresh": int(matte.why.startswith("refresh")),
                "band": round(matte.band, 4),
                "matted": round(matte.matted, 4),
                **{f"{stage}_ms": round(matte.milliseconds.get(stage, 0.0), 3) for stage in STAGES},
            }
        )

    def write(self) -> None:
        """Write the file; OutputError where that fails."""
        try:
            if self._path.suffix.lower() == _TABLE:
                with self._path.open("w", newline="", encoding="utf-8") as file:
                    writer = csv.DictWriter(file, COLUMNS)
                    writer.writeheader()
                    writer.writerows(self._rows)
            else:
                self._plot()
        except OSError as error:
            raise OutputError(
                f"{self._path}: the statistics cannot be written ({error.strerror}); choose another place"
            ) from error

    def _plot(self) -> None:
        figure = _matplotlib().Figure(figsize=(12, 6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        frames = [row["frame"] for row in self._rows]
        times = [[row[f"{stage}_ms"] for row in self._rows] for stage in STAGES]
        above.stackplot(frames, times, labels=STAGES, step="mid")
        above.set_ylabel("ms a frame")
        above.legend(loc="upper right", ncols=len(STAGES), fontsize="small")
        below.plot(frames, [row["band"] for row in self._rows], label="unknown band")
        below.plot(frames, [row["matted"] for row in self._rows], label="given to the matting network")
        reasons = sorted({row["why"] for row in self._rows if row["refresh"]})
        for number, why in enumerate(reasons):
            at = [row["frame"] for row in self._rows if row["why"] == why]
            below.plot(at, [-0.04] * len(at), "|", color=f"C{number + 2}", markersize=10, label=why)
        below.set(xlabel="frame", ylabel="share of the picture", ylim=(-0.08, None))
        below.legend(loc="upper right", ncols=4, fontsize="small")
        figure.savefig(self._path)


def _matplotlib() -> Any:
    try:
        from matplotlib import figure
    except ImportError as error:
        raise MissingExtraError("a plot of the statistics", "plots") from error
    return figure
