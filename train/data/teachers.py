"""Coarse masks for videos without alpha, from networks that were trained on real people.

MediaPipe's pose segmentation is the most accurate of the three on people who stand or sit (whole figures), its two
selfie networks see every person in the picture. Where all agree the label is certain; elsewhere it is marked as not
sure (128) and no loss looks there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from realtime_matting.errors import InputError, MissingExtraError

BACKGROUND_BELOW, PERSON_ABOVE = 0.15, 0.85


class Teachers:
    """All three networks on one video; call it with its frames in order."""

    def __init__(self) -> None:
        try:
            import mediapipe
        except ImportError as error:
            raise MissingExtraError("labels from teachers", "mediapipe") from error
        solutions: Any = mediapipe.solutions
        self.pose = solutions.pose.Pose(enable_segmentation=True, model_complexity=1)
        self.selfies = [solutions.selfie_segmentation.SelfieSegmentation(model_selection=i) for i in (0, 1)]

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """uint8 (H, W, 3) → uint8 (H, W): 0 background, 128 not sure, 255 person; None if no pose was found."""
        pose = self.pose.process(rgb).segmentation_mask
        if pose is None:
            return None
        masks = np.stack([pose, *(s.process(rgb).segmentation_mask for s in self.selfies)])
        label = np.full(rgb.shape[:2], 128, np.uint8)
        # The pose network decides on the person's own outline; the selfie networks may veto the background, since
        # they alone see a second person.
        others = masks[1:].mean(axis=0)
        label[(masks[0] > PERSON_ABOVE) & (others > 0.3)] = 255
        label[(masks[0] < BACKGROUND_BELOW) & (others < 0.4)] = 0
        return label


def frames_of(video: Path, every: int) -> Iterator[NDArray[np.uint8]]:
    """Every n-th frame, RGB."""
    capture = cv2.VideoCapture(str(video))
    if not capture.isOpened():
        raise InputError(f"{video}: cannot be opened as a video")
    try:
        number = 0
        while True:
            ok, bgr = capture.read()
            if not ok:
                return
            if number % every == 0:
                yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[misc]
            number += 1
    finally:
        capture.release()


def teach(
    videos: Annotated[list[Path], typer.Argument(help="videos with people in them")],
    out: Annotated[Path, typer.Option(help="folder to write; images/ and masks/ are made in it")],
    every: Annotated[int, typer.Option(min=1, help="take every n-th frame")] = 4,
) -> None:
    """Label videos with the teachers: picture + mask pairs (0, 128 = not sure, 255) for the T-Net."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    (out / "masks").mkdir(exist_ok=True)
    written = refused = 0
    for video in videos:
        teachers = Teachers()
        for number, rgb in enumerate(frames_of(video, every)):
            label = teachers(rgb)
            if label is None or (label == 128).mean() > 0.15:
                refused += 1
                continue
            name = f"{video.stem}_{number:04d}"
            cv2.imwrite(str(out / "images" / f"{name}.jpg"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
            cv2.imwrite(str(out / "masks" / f"{name}.png"), label)
            written += 1
    typer.echo(f"{out}: {written} labelled pictures; {refused} left out (no person found, or teachers disagree)")
