"""One checkpoint over a list of pictures: what `python -m train.test` does between reading and reporting."""

import zlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.compositing.backgrounds import Background
from realtime_matting.compositing.blend import composite
from realtime_matting.errors import InputError
from realtime_matting.matting.foreground import blur_fusion
from train.data.trimaps import trimap_from_alpha
from train.data.triples import Triple
from train.evaluation import tables
from train.evaluation.progress import progress_bar
from train.evaluation.sheets import grey, open_behind, refuse_overwriting, row, stack, to_bytes, write_picture
from train.evaluation.tables import Table
from train.inference import Predictor, Result

Alpha = NDArray[np.float32]
Picture = NDArray[np.uint8]
# A sheet of more rows is too large to look at, and to hold.
_SHEET_ROWS = 24
_ROW_HEIGHT = 240


@dataclass(frozen=True)
class Radii:
    """How trimaps are made from true alphas; each radius is drawn from its range, both ends included, in pixels."""

    erosion: tuple[int, int]
    dilation: tuple[int, int]
    seed: int

    def trimap(self, name: str, alpha: Alpha) -> Picture:
        """The trimap of the picture ``name``, the same in every run whatever else is tested."""
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        erosion, dilation = (int(rng.integers(low, high + 1)) for low, high in (self.erosion, self.dilation))
        return trimap_from_alpha(alpha, erosion, dilation)

    def __str__(self) -> str:
        spans = ["–".join(map(str, dict.fromkeys(span))) for span in (self.erosion, self.dilation)]
        return f"made from the true alpha, erosion {spans[0]} px, dilation {spans[1]} px, seed {self.seed}"


@dataclass(frozen=True)
class Trial:
    """What came of it; ``tables`` is empty where no true alpha is known."""

    pictures: int
    tables: list[Table]


def run_trial(
    predictor: Predictor, triples: list[Triple], radii: Radii, *, automatic: bool, behind: str, out: Path | None
) -> Trial:
    """Predict every picture, measure it where the true alpha is known, and save what was made of it in ``out``.

    Args:
        automatic: no network is given a trimap that can do without.
        behind: of the composites, as `open_behind` takes it.
        out: None saves nothing.

    Raises:
        InputError: a picture cannot be read, the network needs a trimap and there is none, or nothing would come of it.
        OutputError: ``out`` cannot be written.
    """
    first = triples[0]
    if predictor.needs_trimap and first.trimap is None and first.alpha is None:
        raise InputError(
            f"{predictor.about.network} ({predictor.about.phase}) needs trimaps; give --trimap, or --alpha to make them"
        )
    if out is None and first.alpha is None:
        raise InputError("nothing to measure and nowhere to save; give --alpha, --out, or both")
    if out is not None:
        read = [path for triple in triples for path in (triple.image, triple.trimap, triple.alpha) if path is not None]
        kinds = ("alpha", "trimap", "composite")
        refuse_overwriting((_target(out, kind, triple) for triple in triples for kind in kinds), [*read, Path(behind)])
    gives = predictor.takes_trimap and not automatic
    measured = _tables(predictor, first, radii, gives)
    sheet: list[Picture] = []
    with closing(open_behind(behind)) as background, progress_bar() as progress:
        task = progress.add_task("pictures", total=len(triples))
        for triple in triples:
            rgb, trimap, truth = triple.read()
            if trimap is None and truth is not None:
                trimap = radii.trimap(triple.name, truth)
            result = predictor.predict(rgb, trimap if gives else None)
            _measure(measured, triple.name, result, trimap, truth)
            if out is not None:
                shown = _save(out, triple, rgb, result, truth, background, given=gives and trimap is not None)
                if len(sheet) < _SHEET_ROWS:
                    picture, *others = shown.values()
                    text = _heading(triple.name, measured)
                    sheet.append(row([picture, *others], text, _ROW_HEIGHT, tuple(shown)[1:]))
            progress.advance(task)
    if out is not None:
        write_picture(out / "sheet.png", stack(sheet))
    return Trial(len(triples), list(measured.values()))


def _tables(predictor: Predictor, first: Triple, radii: Radii, gives: bool) -> dict[str, Table]:
    """Empty tables, by scale, of what can be measured."""
    if first.alpha is None:
        return {}
    if not predictor.gives_alpha:
        title = "Trimap against the true alpha, whole image"
        return {"trimap": Table("trimap", title, tables.TRIMAP_LEGEND, tables.TRIMAP_COLUMNS)}
    origin = str(radii) if first.trimap is None else "as given in files"
    used = "given to the network" if gives else "not seen by the network, which works by itself"
    title = f"Unknown region (trimap {origin}; {used})"
    found = {"unknown_region": Table("unknown_region", title, tables.UNKNOWN_LEGEND, tables.UNKNOWN_COLUMNS)}
    if not gives:
        # With a given trimap most of the picture is right beforehand, so the whole image would flatter.
        found["whole_image"] = Table("whole_image", "Whole image", tables.WHOLE_LEGEND, tables.WHOLE_COLUMNS)
    return found


def _measure(
    measured: dict[str, Table], name: str, result: Result, trimap: Picture | None, truth: Alpha | None
) -> None:
    if truth is None:
        return
    if "trimap" in measured and result.trimap is not None:
        measured["trimap"].rows[name] = tables.trimap_figures(result.trimap, truth)
    if result.alpha is None:
        return
    if "unknown_region" in measured and trimap is not None:
        measured["unknown_region"].rows[name] = tables.unknown_figures(result.alpha, truth, trimap)
    if "whole_image" in measured:
        measured["whole_image"].rows[name] = tables.whole_figures(result.alpha, truth)


def _save(
    out: Path, triple: Triple, rgb: Picture, result: Result, truth: Alpha | None, background: Background, given: bool
) -> dict[str, Picture]:
    """Write what the network made; returns the cells of the picture's row in the sheet."""
    cells = {"picture": rgb}
    if result.trimap is not None:
        cells["trimap"] = grey(result.trimap)
        if not given:
            write_picture(_target(out, "trimap", triple), result.trimap)
    if result.alpha is not None:
        write_picture(_target(out, "alpha", triple), to_bytes(result.alpha))
        cells["alpha"] = grey(result.alpha)
    if truth is not None:
        cells["true alpha"] = grey(truth)
    if result.alpha is not None:
        foreground = blur_fusion(rgb, result.alpha)
        put = composite(foreground, result.alpha, background.at(0.0, rgb, result.alpha))
        write_picture(_target(out, "composite", triple), put)
        cells["composite"] = put
    # The row is small anyway, and full pictures would stay in memory.
    scale = min(1.0, 2 * _ROW_HEIGHT / rgb.shape[0])
    return {
        name: np.asarray(cv2.resize(cell, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        for name, cell in cells.items()
    }


def _target(out: Path, kind: str, triple: Triple) -> Path:
    return out / kind / f"{triple.name}.png"


def _heading(name: str, measured: dict[str, Table]) -> str:
    table = next(iter(measured.values()), None)
    if table is None or name not in table.rows:
        return name
    key, heading, decimals = table.columns[0]
    return f"{name}   {heading.partition(',')[0]} {table.rows[name][key]:.{decimals}f}"
