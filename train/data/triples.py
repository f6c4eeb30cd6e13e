"""Pictures with their trimap and their true alpha, as files: what matting is tested on.

Three ways they lie on disk: files or folders that the user names, matched by stem (`match_triples`), the layout of
Composition-1k (`composition_triples`), and that of alphamatting.com (`train.data.alphamatting`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.errors import InputError
from realtime_matting.sources.images import read_picture as read_rgb
from train.data.records import PICTURES, read_picture
from train.data.trimaps import BACKGROUND, FOREGROUND, UNKNOWN

Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]

# What a lossy file makes of 0, 128 and 255 is this near to them.
_TOLERANCE = 8
# With more pixels than this share in between, it is no trimap but an alpha or a photograph.
_ODD_SHARE = 0.02


@dataclass(frozen=True)
class Triple:
    """One picture's files; ``trimap`` and ``alpha`` are None where there is none."""

    name: str
    image: Path
    trimap: Path | None = None
    alpha: Path | None = None

    def read(self) -> tuple[Picture, Picture | None, Alpha | None]:
        """Decode: (uint8 RGB (H, W, 3), trimap uint8 (H, W), alpha float32 (H, W) in [0, 1]).

        Raises:
            InputError: a file is missing, broken, no trimap, or of another size than the picture.
        """
        rgb = read_rgb(self.image)
        trimap = None if self.trimap is None else read_trimap(self.trimap)
        alpha = None if self.alpha is None else read_alpha(self.alpha)
        for path, plane in ((self.trimap, trimap), (self.alpha, alpha)):
            if plane is not None and plane.shape != rgb.shape[:2]:
                raise InputError(
                    f"{path}: is {plane.shape[1]}x{plane.shape[0]} but {self.image} is "
                    f"{rgb.shape[1]}x{rgb.shape[0]}; both must have one size"
                )
        return rgb, trimap, alpha


def read_alpha(path: Path) -> Alpha:
    """A true alpha: float32 (H, W) in [0, 1], from a grey picture, or the alpha channel of a transparent one.

    Raises:
        InputError: missing or undecodable.
    """
    stored = read_picture(path, cv2.IMREAD_UNCHANGED)
    if stored.ndim == 3:
        # Grey is also stored as RGB, and as RGBA without any transparency.
        transparent = stored.shape[2] == 4 and stored[..., 3].min() < 255
        stored = stored[..., 3 if transparent else 0]
    return stored.astype(np.float32) / np.float32(255)


def read_trimap(path: Path) -> Picture:
    """A trimap: uint8 (H, W), 0 background, 128 unknown, 255 foreground.

    Values within 8 of those count as them, for JPEG blurs; what few others there are lie on borders and are unknown.

    Raises:
        InputError: missing or undecodable, or more than 2 % of the pixels are none of the three.
    """
    stored = read_picture(path, cv2.IMREAD_GRAYSCALE)
    trimap = np.full(stored.shape, UNKNOWN, np.uint8)
    trimap[stored <= BACKGROUND + _TOLERANCE] = BACKGROUND
    trimap[stored >= FOREGROUND - _TOLERANCE] = FOREGROUND
    odd = (trimap == UNKNOWN) & (np.abs(stored.astype(np.int16) - UNKNOWN) > _TOLERANCE)
    share = np.count_nonzero(odd) / odd.size
    if share > _ODD_SHARE:
        raise InputError(
            f"{path}: is no trimap, for {100 * share:.0f} % of its pixels are none of 0, 128 and 255; "
            "if it is an alpha, give it as one"
        )
    return trimap


def pictures_at(source: Path) -> list[Path]:
    """One picture, or those of a folder in order of their names.

    Hidden files are left out, and ``NAME_alpha`` and ``NAME_trimap``, which belong to a picture.

    Raises:
        InputError: nothing there, no picture in it, or two of one stem.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"{source}: no such file or folder; check the name")
    found = [path for path in _pictures(source) if not path.stem.endswith(("_alpha", "_trimap"))]
    if not found:
        raise InputError(f"{source}: no pictures in this folder; name another folder or a file")
    refuse_namesakes(found)
    return found


def refuse_namesakes(pictures: Iterable[Path]) -> None:
    """Raise InputError where two pictures have one stem, since results are named after it."""
    seen: dict[str, Path] = {}
    for path in pictures:
        other = seen.setdefault(path.stem, path)
        if other != path:
            raise InputError(f"{other} and {path} have the same name but for folder or ending; rename one of them")


def match_triples(images: Path, *, trimaps: Path | None = None, alphas: Path | None = None) -> list[Triple]:
    """Pictures with what belongs to them: a file to a file, or in a folder the file of the same stem.

    An alpha may also be called ``NAME_alpha``, and a trimap ``NAME_trimap``.

    Raises:
        InputError: something is missing; the line names the picture.
    """
    found = pictures_at(images)
    of_trimap, of_alpha = (
        [None] * len(found) if partners is None else _partners(found, images, partners, kind)
        for partners, kind in ((trimaps, "trimap"), (alphas, "alpha"))
    )
    return [Triple(one.stem, one, *rest) for one, *rest in zip(found, of_trimap, of_alpha, strict=True)]


def composition_triples(folder: Path) -> list[Triple]:
    """Composition-1k as it is unpacked and composited (Xu et al. 2017, section 3.2).

    ``merged/NAME_3.png``, ``trimaps/NAME_3.png``, and ``alpha/NAME_3.png`` or, since all composites of a foreground
    share it, ``alpha/NAME.png``. ``image``, ``trimap`` and ``alpha_copy`` are taken for the folders' names too.

    Raises:
        InputError: a folder or file is missing.
    """
    merged = _subfolder(folder, "merged", "image")
    trimaps, alphas = _subfolder(folder, "trimaps", "trimap"), _subfolder(folder, "alpha", "alpha_copy")
    by_trimap, by_alpha = _by_stem(trimaps), _by_stem(alphas)
    triples = []
    for image in pictures_at(merged):
        alpha = by_alpha.get(image.stem) or by_alpha.get(re.sub(r"_\d+$", "", image.stem))
        if alpha is None:
            raise InputError(f"{image}: no alpha of this name in {alphas}")
        if image.stem not in by_trimap:
            raise InputError(f"{image}: no trimap of this name in {trimaps}")
        triples.append(Triple(image.stem, image, by_trimap[image.stem], alpha))
    return triples


def is_composition(folder: Path) -> bool:
    """Whether a folder looks like the layout that `composition_triples` reads."""
    return any((folder / name).is_dir() for name in ("merged", "image")) and any(
        (folder / name).is_dir() for name in ("trimaps", "trimap")
    )


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith("."))


def _by_stem(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in _pictures(folder)}


def _subfolder(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise InputError(f"{folder}: has no folder {' or '.join(names)}; give the folder that holds it")


def _partners(found: list[Path], images: Path, partners: Path, kind: str) -> list[Path]:
    """The partner of each picture of ``images``, a file or a folder as it is."""
    if partners.is_file():
        if images.is_file():
            return [partners]
        raise InputError(f"{partners}: is one {kind}, but {images} is a folder; name a folder of {kind}s")
    if not partners.is_dir():
        raise InputError(f"{partners}: no such file or folder; check the name")
    by_stem = _by_stem(partners)
    matched = []
    for image in found:
        # The suffix first: in a folder that holds both, NAME is the picture itself.
        partner = by_stem.get(f"{image.stem}_{kind}") or by_stem.get(image.stem)
        if partner is None or partner == image:
            raise InputError(f"{image}: no {kind} of this name in {partners}")
        matched.append(partner)
    return matched
