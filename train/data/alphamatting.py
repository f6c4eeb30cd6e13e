"""The alphamatting.com layout: photographs with two hand-drawn trimaps each, and an alpha measured in the studio.

    input_training_lowres/GT01.png          (or _highres)
    trimap_training_lowres/Trimap1/GT01.png
    trimap_training_lowres/Trimap2/GT01.png
    gt_training_lowres/GT01.png

Rhemann et al. 2009, "A Perceptually Motivated Online Benchmark for Image Matting", CVPR. Plain folders ``input/``,
``trimap/`` and ``gt/`` are read too. `alphamatting_check` measures on it while a network is trained.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import InputError
from realtime_matting.metrics import sad, unknown_mse
from train.data.trimaps import UNKNOWN
from train.data.triples import Triple, match_triples

Resolution = Literal["lowres", "highres"]
Predict = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]


def alphamatting_triples(folder: Path, resolution: Resolution | None = None) -> list[Triple]:
    """Every picture with each of its trimaps and its alpha, trimap set by trimap set.

    Names are "GT01" with one set of trimaps, "GT01_Trimap2" and so on with several.

    Args:
        resolution: None is the low one where it is there.

    Raises:
        InputError: a folder or file is missing; the line names it.
    """
    suffixes = [f"_training_{one}" for one in ("lowres", "highres") if resolution in (None, one)]
    if resolution is None:
        suffixes.append("")
    suffix = next((one for one in suffixes if (folder / f"input{one}").is_dir()), None)
    if suffix is None:
        wanted = " or ".join(f"input{one}" for one in suffixes)
        raise InputError(f"{folder}: has no folder {wanted}; give the folder that holds it")
    images, trimaps, alphas = (folder / f"{kind}{suffix}" for kind in ("input", "trimap", "gt"))
    for needed in (trimaps, alphas):
        if not needed.is_dir():
            raise InputError(f"{needed}: no such folder beside {images.name}; get the data set again")
    sets = sorted(path for path in trimaps.iterdir() if path.is_dir() and path.name.startswith("Trimap")) or [trimaps]
    triples = []
    for drawn in sets:
        for triple in match_triples(images, trimaps=drawn, alphas=alphas):
            name = triple.name if len(sets) == 1 else f"{triple.name}_{drawn.name}"
            triples.append(Triple(name, triple.image, triple.trimap, triple.alpha))
    return triples


def is_alphamatting(folder: Path) -> bool:
    """Whether a folder looks like the layout that `alphamatting_triples` reads."""
    return any((folder / f"input{suffix}").is_dir() for suffix in ("_training_lowres", "_training_highres", ""))


def alphamatting_check(folder: Path) -> Callable[[Predict], dict[str, float]]:
    """A validation to call again and again during training.

    The files are listed at once, so that what is missing ends a training before its first step.

    Returns:
        A function of ``predict``: (uint8 RGB (H, W, 3), trimap uint8 (H, W)) → alpha float32 (H, W) in [0, 1]. It
        gives the means over all pictures and trimaps of "sad" (Σ|d|/1000) and "mse" (mean d²), in the unknown region.

    Raises:
        InputError: see `alphamatting_triples`; when called, a file that cannot be read, or a trimap without any
            unknown pixel.
    """
    triples = alphamatting_triples(folder)

    def check(predict: Predict) -> dict[str, float]:
        errors = []
        for triple in triples:
            rgb, trimap, truth = triple.read()
            assert trimap is not None  # this layout has both
            assert truth is not None
            region = trimap == UNKNOWN
            if not region.any():
                raise InputError(f"{triple.trimap}: has no unknown pixel, so there is nothing to measure; leave it out")
            alpha = predict(rgb, trimap)
            errors.append((sad(alpha, truth, region), unknown_mse(alpha, truth, region)))
        mean_sad, mean_mse = np.mean(errors, axis=0).tolist()
        return {"sad": mean_sad, "mse": mean_mse}

    return check
