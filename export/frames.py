"""Real frames as a network gets them: for measuring errors, and for calibrating int8."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import realtime_matting
from export.networks import ExportedNetwork, open_export_source
from export.onnx_session import open_session
from realtime_matting.errors import InputError
from realtime_matting.matting.matter import DEFAULT_MODEL
from realtime_matting.matting.trimap import resize_probabilities
from realtime_matting.models.bundle import Role
from realtime_matting.sources import open_source
from realtime_matting.sources.images import PICTURE_EXTENSIONS, read_picture

FloatArray = NDArray[np.float32]
Feed = dict[str, FloatArray]
SAMPLE = Path(realtime_matting.__file__).parent / "sample" / "talk.mp4"
# Take one frame in so many of a video: neighbours are nearly the same.
STEP = 12


def read_frames(path: Path | None, count: int) -> list[NDArray[np.uint8]]:
    """Up to ``count`` RGB frames (H, W, 3) of a video or of a folder of pictures of any sizes; None: the sample video.

    Raises:
        InputError: nothing there that frames can be read from.
    """
    path = path or SAMPLE
    if path.is_dir():
        pictures = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURE_EXTENSIONS)
        pictures = [p for p in pictures if not p.stem.endswith("_alpha")]
        if not pictures:
            raise InputError(f"{path}: no pictures in this folder; give a folder of frames, or a video")
        # Spread over the folder: neighbours in name are often of one scene.
        chosen = [pictures[i * len(pictures) // count] for i in range(count)] if len(pictures) > count else pictures
        return [read_picture(picture) for picture in chosen]
    with open_source(str(path)) as source:
        return [frame.rgb for frame in itertools.islice(source, 0, count * STEP, STEP)]


def feeds(
    networks: Mapping[Role, ExportedNetwork], frames: list[NDArray[np.uint8]], sizes: Mapping[Role, tuple[int, int]]
) -> dict[Role, list[Feed]]:
    """Inputs of every role for each frame, scaled to ``sizes`` (width, height).

    The matting network gets the trimap that the trimap network gives; where there is none, that of the default model.
    """
    made: dict[Role, list[Feed]] = {
        role: [{"rgb": normalised(frame, network, sizes[role])} for frame in frames]
        for role, network in networks.items()
    }
    if "matting" in networks:
        trimaps = networks.get("trimap") or open_export_source(DEFAULT_MODEL).networks["trimap"]
        size = sizes.get("trimap", trimaps.size)
        session = open_session(trimaps.model.SerializeToString())
        for frame, feed in zip(frames, made["matting"], strict=True):
            found = session.run(None, {"rgb": normalised(frame, trimaps, size)})[0]
            feed["trimap"] = np.ascontiguousarray(resize_probabilities(found[0], *sizes["matting"])[None])
    return made


def normalised(frame: NDArray[np.uint8], network: ExportedNetwork, size: tuple[int, int]) -> FloatArray:
    """uint8 RGB (H, W, 3) → (1, 3, height, width) as the network was trained to see it."""
    scaled = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    picture = (scaled - np.array(network.mean, np.float32)) / np.array(network.std, np.float32)
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
