"""The heart: frames of ONE stream in, mattes out."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.engines import Engine, EngineName, Precision, open_engine
from realtime_matting.errors import InputError
from realtime_matting.matting.foreground import blur_fusion
from realtime_matting.matting.fusion import fuse
from realtime_matting.matting.refine import fast_guided_filter
from realtime_matting.matting.trimap import probabilities_from_alpha, resize_probabilities, trimap_picture
from realtime_matting.models.bundle import Role, RoleSpec
from realtime_matting.models.registry import find_bundle
from realtime_matting.profiling import Profile

FloatArray = NDArray[np.float32]
Picture = TypeVar("Picture", NDArray[np.uint8], NDArray[np.float32])
DEFAULT_MODEL = "shm-mobile"
SMALLEST_SIDE = 16
"""Pixels a side that a frame needs at least."""
# Width of the unknown region that is laid around the matte of a one-step network, as a share of the picture's width.
BAND = 0.012


@dataclass(frozen=True, eq=False)
class Matte:
    """What is known of one frame.

    Attributes:
        alpha: float32 (H, W) in [0, 1]; 0 background, 1 person.
        foreground: uint8 (H, W, 3) RGB, colours of the person without the old background; meaningful where alpha > 0.
        trimap: uint8 (H, W); 0 background, 128 unknown, 255 foreground.
        why: how the trimap of this frame came about, for people: "refresh: every frame".
    """

    alpha: FloatArray
    foreground: NDArray[np.uint8]
    trimap: NDArray[np.uint8]
    why: str


class Matter:
    """Mattes the frames of one stream, in order.

        matter = Matter()
        matte = matter(rgb)              # uint8 (H, W, 3), RGB
        matte.alpha                      # float32 (H, W)

    Not for several threads at once: one object, one stream.

    Args:
        model: name of a built-in bundle, or a bundle's folder.
        engine: "auto", "openvino" or "onnxruntime".
        threads: how many threads the networks may use; None: as many as there are cores.
        precision: of the networks' arithmetic; None is the engine's own choice for this CPU.
        profile: where the time of each stage is added up.
        foreground: estimate foreground colours; without, :attr:`Matte.foreground` is the frame itself.

    Raises:
        BundleError, EngineError, MissingExtraError: one line that says what is wrong and what to do.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        engine: EngineName = "auto",
        threads: int | None = None,
        precision: Precision | None = None,
        profile: Profile | None = None,
        foreground: bool = True,
    ) -> None:
        self.bundle = find_bundle(model)
        self.profile = profile or Profile()
        self._estimate_foreground = foreground
        self._engines: dict[Role, Engine] = {}
        if threads is None and hasattr(os, "sched_getaffinity"):  # Linux: the cores this process may use
            threads = len(os.sched_getaffinity(0))
        with ExitStack() as opened:
            for role in self.bundle.roles:
                path = self.bundle.path(role)
                self._engines[role] = open_engine(path, engine=engine, threads=threads, precision=precision)
                opened.callback(self._engines[role].close)
            opened.pop_all()

    def __call__(self, rgb: NDArray[np.uint8]) -> Matte:
        """Matte of the next frame.

        Args:
            rgb: uint8 (H, W, 3), RGB, at least ``SMALLEST_SIDE`` pixels a side. Not kept and not changed.

        Raises:
            InputError: another dtype or shape.
            EngineError: a network failed.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise InputError(f"a frame is uint8 (H, W, 3) RGB, not {rgb.dtype} {rgb.shape}; convert it first")
        if min(rgb.shape[:2]) < SMALLEST_SIDE:
            raise InputError(
                f"a frame needs at least {SMALLEST_SIDE} pixels a side, not {rgb.shape[1]}x{rgb.shape[0]}; scale it up"
            )
        height, width = rgb.shape[:2]
        with self.profile.stage("trimap"):
            small = self._shrink(rgb)
            probabilities, alpha = self._trimap(small)
        if "matting" in self._engines:
            with self.profile.stage("matting"):
                alpha = self._matting(small, probabilities)
        assert alpha is not None  # a bundle without matting has an alpha network
        with self.profile.stage("refine"):
            if alpha.shape[0] < height and alpha.shape[1] < width:
                alpha = fast_guided_filter(rgb, alpha)
            elif alpha.shape != (height, width):
                alpha = np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA), np.float32)
        with self.profile.stage("foreground"):
            foreground = blur_fusion(rgb, alpha) if self._estimate_foreground else rgb
        return Matte(alpha, foreground, trimap_picture(probabilities, width, height), "refresh: every frame")

    def _shrink(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The frame at the larger of the networks' sizes, from which the smaller one's is made: as in training."""
        sizes = [spec.scaled_size(rgb.shape[1], rgb.shape[0]) for spec in self.bundle.roles.values()]
        return resize(rgb, max(sizes))

    def _trimap(self, rgb: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray | None]:
        """Class probabilities (3, h, w); and the alpha (h, w) if that is what the network gives."""
        if "trimap" in self._engines:
            return self._run("trimap", rgb)[0], None
        alpha = self._run("alpha", rgb)[0, 0]
        return probabilities_from_alpha(alpha, max(1, round(BAND * alpha.shape[1]))), alpha

    def _matting(self, rgb: NDArray[np.uint8], probabilities: FloatArray) -> FloatArray:
        """Fused alpha (h, w) at the matting network's size."""
        spec = self.bundle.roles["matting"]
        size = spec.scaled_size(rgb.shape[1], rgb.shape[0])
        trimap = resize_probabilities(probabilities, *size)
        padded = pad(trimap.transpose(1, 2, 0), spec.working_size(rgb.shape[1], rgb.shape[0])).transpose(2, 0, 1)
        return fuse(trimap, self._run("matting", rgb, trimap=np.ascontiguousarray(padded)[None])[0, 0])

    def _run(self, role: Role, rgb: NDArray[np.uint8], **others: FloatArray) -> FloatArray:
        spec = self.bundle.roles[role]
        outputs = self._engines[role]({"rgb": network_input(rgb, spec), **others})
        width, height = spec.scaled_size(rgb.shape[1], rgb.shape[0])
        return next(iter(outputs.values()))[..., :height, :width]

    def reset(self) -> None:
        """Forget the stream: the next frame is treated as the first of a new one.

        Nothing is carried from frame to frame while the trimap is refreshed every frame.
        """

    def describe(self) -> str:
        """One line for people: which model runs on what."""
        engines = " + ".join(dict.fromkeys(engine.name for engine in self._engines.values()))
        return f"{self.bundle.manifest.name} {self.bundle.manifest.version} on {engines}"

    def close(self) -> None:
        """Free the networks; the object cannot be used afterwards."""
        for engine in self._engines.values():
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def network_input(rgb: NDArray[np.uint8], spec: RoleSpec) -> FloatArray:
    """The frame at the network's size and normalised: float32 (1, 3, h, w)."""
    width, height = spec.working_size(rgb.shape[1], rgb.shape[0])
    rgb = resize(rgb, spec.scaled_size(rgb.shape[1], rgb.shape[0]))
    rgb = pad(rgb, (width, height))
    planes = np.empty((1, 3, height, width), np.float32)
    for channel in range(3):
        scale = 1 / (255 * spec.std[channel])
        np.multiply(rgb[..., channel], np.float32(scale), out=planes[0, channel])
        if spec.mean[channel]:
            planes[0, channel] -= np.float32(spec.mean[channel] / spec.std[channel])
    return planes


def resize(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) → (height, width, 3) of ``size`` (width, height); the area filter where it shrinks."""
    if size == (rgb.shape[1], rgb.shape[0]):
        return rgb
    shrinks = size[0] <= rgb.shape[1] and size[1] <= rgb.shape[0]
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)  # type: ignore[return-value]


def pad(picture: Picture, size: tuple[int, int]) -> Picture:
    """(h, w, C) → (height, width, C) of ``size`` (width, height) by repeating the right and the bottom edge."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    border = (0, size[1] - height, 0, size[0] - width)
    return cv2.copyMakeBorder(picture, *border, cv2.BORDER_REPLICATE)  # type: ignore[return-value]
