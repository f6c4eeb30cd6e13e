"""A bundle's networks, and frames as these want them."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime_matting.engines import Engine, EngineName, Precision, open_engine
from realtime_matting.matting.part import columns_of_band, part_width
from realtime_matting.matting.trimap import probabilities_from_alpha, resize_probabilities
from realtime_matting.models.bundle import ROLE_INPUTS, Bundle, Role, RoleSpec
from realtime_matting.native import normalised, padded
from realtime_matting.resampling import NEARLY, shrunk
from realtime_matting.tiles import Rectangle

FloatArray = NDArray[np.float32]
Picture = TypeVar("Picture", NDArray[np.uint8], NDArray[np.float32])
# Width of the unknown region that is laid around the matte of a one-step network, as a share of the picture's width.
BAND = 0.012
# Tiles in a batch. Per pixel, on two cores, against the whole frame: tiles of 128 pixels 2.1 one by one, 1.5 by twos,
# 1.25 by fours, 1.15 by eights; tiles of 192 pixels 1.4 and 1.15, but they cover more that nobody asked for.
_TOGETHER = 4


class Networks:
    """The networks of one bundle, opened.

    Args:
        bundle: what to open.
        engine, threads, precision: see `open_engine`.
    """

    def __init__(self, bundle: Bundle, *, engine: EngineName, threads: int | None, precision: Precision | None) -> None:
        self.roles: Mapping[Role, RoleSpec] = bundle.roles
        self._engines: dict[Role, Engine] = {}
        with ExitStack() as opened:
            for role in bundle.roles:
                self._engines[role] = open_engine(
                    bundle.path(role), engine=engine, threads=threads, precision=precision
                )
                opened.callback(self._engines[role].close)
            opened.pop_all()

    def sized(self, roles: Mapping[Role, RoleSpec]) -> "Networks":
        """The same networks, on the same engines, for pictures of other sizes. Only the original is to be closed."""
        other = copy.copy(self)
        other.roles = roles
        return other

    @property
    def engines(self) -> list[str]:
        """The names of the engines, each once."""
        return list(dict.fromkeys(engine.name for engine in self._engines.values()))

    @property
    def takes_tiles(self) -> bool:
        """Whether parts of a frame are matted faster than the whole: not on a GPU, which has room for all at once."""
        return "matting" in self._engines and "CPU" in self._engines["matting"].name

    def work_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) at which a frame's alpha comes from the networks."""
        return self.roles["matting" if "matting" in self.roles else "alpha"].scaled_size(width, height)

    def shrink(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The frame halved as often as that leaves it large enough for all networks, or the frame itself.

        All sizes are made from this one. To make the smaller from the larger would be as fast, but interpolating twice
        costs 2.6 % of the MAD (61 pictures, shm-balanced).
        """
        height, width = rgb.shape[:2]
        needed = max(
            spec.scaled_size(width, height)[0] * (NEARLY if role == "matting" else 1)
            for role, spec in self.roles.items()
        )
        while height % 2 == width % 2 == 0 and width >= 2 * needed:
            height, width = height // 2, width // 2
        return resize(rgb, (width, height))

    def begin(self, width: int, height: int) -> None:
        """Let the matting network be compiled for frames of this size while another one is compiled and run first.

        So the first matte comes a quarter of a second sooner. Engines that compile nothing ignore it.
        """
        if "matting" in self.roles and len(self.roles) > 1:
            spec = self.roles["matting"]
            across, down = spec.working_size(*spec.scaled_size(width, height))
            self._engines["matting"].prepared(dict.fromkeys(ROLE_INPUTS["matting"], (1, 3, down, across)))

    def trimap(self, rgb: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray | None]:
        """Class probabilities (3, h, w); and the alpha (h, w) if that is what the network gives."""
        if "trimap" in self._engines:
            return self._run("trimap", rgb)[0], None
        alpha = self._run("alpha", rgb)[0, 0]
        return probabilities_from_alpha(alpha, max(1, round(BAND * alpha.shape[1]))), alpha

    def matting(
        self, rgb: NDArray[np.uint8], probabilities: FloatArray, *, streamed: bool = False
    ) -> tuple[FloatArray, float]:
        """The matting network's alpha (h, w) before fusion, and the share of the picture that it was given.

        Args:
            rgb: uint8, the frame, which may be of another size.
            probabilities: float32 (3, h, w), of the network's own size.
            streamed: more frames of this size will follow: the network is given only the columns that hold the unknown
                band, as soon as the engine is prepared for that. Elsewhere the likelier known class decides.
        """
        height, width = probabilities.shape[1:]
        spec, engine = self.roles["matting"], self._engines["matting"]
        across, down = spec.working_size(width, height)
        picture = resize(rgb, (width, height))
        part = slice(0, across)
        if streamed and self.takes_tiles:
            columns = columns_of_band(probabilities, across, spec.stride)
            if columns is not None:
                shape = (1, 3, down, columns.stop - columns.start)
                part = columns if engine.prepared({"rgb": shape, "trimap": shape}) else part
        inputs = np.empty((2, 1, 3, down, part.stop - part.start), np.float32)
        normalise(picture[:, part], spec, inputs[0, 0])
        for plane, target in zip(probabilities, inputs[1, 0], strict=True):
            padded(plane[:, part], target, mirrored=spec.padding == "mirror")
        answer = next(iter(engine({"rgb": inputs[0], "trimap": inputs[1]}).values()))[0, 0, :height]
        alpha: FloatArray = answer[:, :width]
        if alpha.shape[1] == width:
            return alpha, 1.0
        alpha = (probabilities[2] > probabilities[0]).astype(np.float32)
        alpha[:, part] = answer[:, : width - part.start]
        return alpha, (part.stop - part.start) / across

    def ready(self, width: int, height: int) -> bool:
        """Whether frames of this size would be taken without a pause; if not, the engines begin to prepare for them."""
        asked = []
        for role, spec in self.roles.items():
            across, down = spec.working_size(width, height)
            asked.append(self._engines[role].prepared(dict.fromkeys(ROLE_INPUTS[role], (1, 3, down, across))))
        return all(asked)

    def warm_up(self, width: int, height: int) -> None:
        """Compile all networks for a stream of frames of this size, wholes and parts, so that no frame waits for it."""
        self.begin(width, height)
        for role, spec in self.roles.items():
            across, down = spec.working_size(width, height)
            widths = {across}
            if role == "matting" and self.takes_tiles:
                widths.add(part_width(across, spec.stride))
            for each in widths:
                nothing = np.zeros((1, 3, down, each), np.float32)
                self._engines[role](dict.fromkeys(ROLE_INPUTS[role], nothing))

    def matting_tiles(
        self, rgb: NDArray[np.uint8], probabilities: FloatArray, areas: Sequence[Rectangle]
    ) -> list[FloatArray]:
        """The same for areas of one size of a frame that is of the network's own size already.

        Several at a time where the engine takes batches: one, two or four, for each number is compiled anew.
        """
        engine, spec = self._engines["matting"], self.roles["matting"]
        together = _TOGETHER if engine.name.startswith("OpenVINO") else 1
        width, height = spec.working_size(rgb.shape[1], rgb.shape[0])
        planes = np.empty((6, height, width), np.float32)
        normalise(rgb, spec, planes[:3])
        for plane, target in zip(probabilities, planes[3:], strict=True):
            padded(plane, target, mirrored=spec.padding == "mirror")
        answers: list[FloatArray] = []
        while len(answers) < len(areas):
            left = len(areas) - len(answers)
            # One too few is filled up: that costs less than running the rest by twos and ones.
            size = together if left >= together - 1 else min(left, together)
            group = areas[len(answers) : len(answers) + size]
            tiles = [planes[(slice(None), *group[min(index, len(group) - 1)].slices())] for index in range(size)]
            inputs = {"rgb": np.stack([tile[:3] for tile in tiles]), "trimap": np.stack([tile[3:] for tile in tiles])}
            alphas = next(iter(engine(inputs).values()))
            answers += [alphas[index, 0].copy() for index in range(len(group))]
        return answers

    def _run(self, role: Role, rgb: NDArray[np.uint8]) -> FloatArray:
        spec = self.roles[role]
        outputs = self._engines[role]({"rgb": network_input(rgb, spec)})
        return unpadded(next(iter(outputs.values())), rgb, spec)

    def close(self) -> None:
        """Free the networks."""
        for engine in self._engines.values():
            engine.close()


def at_size(probabilities: FloatArray, size: tuple[int, int]) -> FloatArray:
    """(3, h, w) → (3, height, width) of ``size`` (width, height), never an engine's own memory."""
    resized = resize_probabilities(probabilities, *size)
    return resized.copy() if resized is probabilities else resized


def network_input(rgb: NDArray[np.uint8], spec: RoleSpec) -> FloatArray:
    """The frame at the network's size and normalised: float32 (1, 3, h, w)."""
    scaled = resize(rgb, spec.scaled_size(rgb.shape[1], rgb.shape[0]))
    width, height = spec.working_size(rgb.shape[1], rgb.shape[0])
    planes = np.empty((1, 3, height, width), np.float32)
    normalise(scaled, spec, planes[0])
    return planes


def unpadded(answer: FloatArray, rgb: NDArray[np.uint8], spec: RoleSpec) -> FloatArray:
    """The part of an answer (N, C, H, W) that shows the frame; a trimap network may answer at half of its size."""
    width, height = spec.scaled_size(rgb.shape[1], rgb.shape[0])
    ratio = spec.working_size(rgb.shape[1], rgb.shape[0])[0] // answer.shape[-1]
    return answer[..., : height // ratio, : width // ratio]


def normalise(rgb: NDArray[np.uint8], spec: RoleSpec, planes: FloatArray) -> None:
    """uint8 (h, w, 3) with the network's mean and deviation into ``planes``, float32 (3, H, W), and padded."""
    mean, std = np.asarray(spec.mean, np.float32), np.asarray(spec.std, np.float32)
    normalised(rgb, np.float32(1 / 255) / std, -mean / std, planes, mirrored=spec.padding == "mirror")


def resize(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) → (height, width, 3) of ``size`` (width, height); averages where it shrinks."""
    return np.asarray(shrunk(rgb, size[1], size[0]), np.uint8)


def pad(picture: Picture, size: tuple[int, int], *, mirrored: bool) -> Picture:
    """(h, w, C) → (height, width, C) of ``size`` (width, height), see `RoleSpec.padding`."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    border = (0, size[1] - height, 0, size[0] - width)
    kind = cv2.BORDER_REFLECT_101 if mirrored else cv2.BORDER_REPLICATE
    return cv2.copyMakeBorder(picture, *border, kind)  # type: ignore[return-value]
