"""What can be measured: a bundle through `Matter`, a checkpoint, or one of MediaPipe's segmenters as a baseline."""

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from realtime_matting.errors import InputError, MissingExtraError
from realtime_matting.models.registry import find_bundle, list_bundles
from train.evaluation.framing import Alpha, Picture

BASELINES = ("mediapipe:landscape", "mediapipe:square", "mediapipe:pose")


class Predictor(Protocol):
    """Makes an alpha of each frame of one stream."""

    @property
    def name(self) -> str:
        """What its rows in the tables are called."""
        ...

    @property
    def needs_trimap(self) -> bool:
        """Whether it can make no alpha without being given a trimap."""
        ...

    def __call__(self, rgb: Picture, trimap: Picture | None = None) -> Alpha:
        """uint8 RGB (H, W, 3) → float32 (H, W) in [0, 1]; ``trimap`` uint8 (H, W) where it needs one, else None."""
        ...

    def reset(self) -> None:
        """Forget the stream: the next frame is the first of another one."""
        ...


class BundlePredictor:
    """A model bundle run by `Matter`, exactly as the runtime does."""

    needs_trimap = False

    def __init__(self, model: str, stack: ExitStack, *, window: bool = True) -> None:
        """Open the bundle ``model`` (name or folder); ``stack`` closes it. ``window``: see `Matter`.

        Raises:
            BundleError: there is none, or it is damaged.
        """
        from realtime_matting.matting.matter import Matter

        self.name = model
        self._matter = stack.enter_context(Matter(model, foreground=False, window=window))

    def __call__(self, rgb: Picture, trimap: Picture | None = None) -> Alpha:
        alpha: Alpha = self._matter(rgb).alpha
        return alpha

    def reset(self) -> None:
        self._matter.reset()


class CheckpointPredictor:
    """A checkpoint on whole pictures of the size its network is meant for; it keeps nothing between frames."""

    def __init__(self, folder: str, device: str) -> None:
        """Open the checkpoint in ``folder`` on ``device``.

        Raises:
            InputError: it cannot be read, or gives no alpha.
            EngineError: the device is not there.
        """
        from train.inference import open_checkpoint

        self.name = folder
        self._predictor = open_checkpoint(Path(folder), device=device)
        if not self._predictor.gives_alpha:
            raise InputError(f"{folder}: gives a trimap and no alpha; test it with python -m train.test")
        self.needs_trimap = self._predictor.needs_trimap

    def __call__(self, rgb: Picture, trimap: Picture | None = None) -> Alpha:
        alpha = self._predictor.predict(rgb, trimap).alpha
        assert alpha is not None  # seen to when it was opened
        return alpha

    def reset(self) -> None:
        """Nothing is kept; here for the `Predictor` protocol."""


class MediaPipePredictor:
    """A MediaPipe segmenter (``mp.solutions``, 0.10.14); its mask, resized bilinearly to the frame, is the alpha.

    ``landscape`` and ``square`` are the selfie segmenters (256×144 and 256×256), which keep nothing between frames.
    ``pose`` is the mask of the pose solution, which tracks and smooths over a stream; on the first frame after
    `reset` it detects anew, which equals its static image mode. Where it finds nobody, alpha is 0.
    """

    needs_trimap = False

    def __init__(self, kind: str, stack: ExitStack) -> None:
        """Open ``kind``: landscape, square or pose; ``stack`` closes it.

        Raises:
            MissingExtraError: MediaPipe is not installed.
        """
        try:
            import mediapipe  # type: ignore[import-untyped]
        except ImportError as error:
            raise MissingExtraError("the MediaPipe baseline", "mediapipe") from error
        # MediaPipe 0.10.14 reads its results through a call that protobuf 4 has deprecated.
        warnings.filterwarnings("ignore", r"SymbolDatabase\.GetPrototype\(\) is deprecated", UserWarning)
        self.name = f"mediapipe:{kind}"
        self._tracks = kind == "pose"
        self._solution: Any
        with _native_log_discarded():
            if self._tracks:
                self._solution = mediapipe.solutions.pose.Pose(enable_segmentation=True)
            else:
                segmentation = mediapipe.solutions.selfie_segmentation.SelfieSegmentation
                self._solution = segmentation(model_selection=int(kind == "landscape"))
            # Its threads log when they start, so wait for a first result here.
            self._solution.process(np.zeros((64, 64, 3), np.uint8))
        stack.enter_context(self._solution)
        self._first = True

    def __call__(self, rgb: Picture, trimap: Picture | None = None) -> Alpha:
        if self._first:
            with _native_log_discarded():
                if self._tracks:
                    self._solution.reset()
                mask = self._solution.process(rgb).segmentation_mask
            self._first = False
        else:
            mask = self._solution.process(rgb).segmentation_mask
        height, width = rgb.shape[:2]
        if mask is None:
            return np.zeros((height, width), np.float32)
        if mask.shape != (height, width):
            mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(np.clip(mask, 0, 1), np.float32)

    def reset(self) -> None:
        # The graph starts anew with the next frame, where its log can be kept off the terminal.
        self._first = self._first or self._tracks


def baseline_name(name: str) -> str:
    """The full name of a baseline: one of `BASELINES`; ``mediapipe`` stands for ``mediapipe:landscape``.

    Raises:
        InputError: there is no such baseline.
    """
    full_name = "mediapipe:landscape" if name == "mediapipe" else name
    if full_name not in BASELINES:
        raise InputError(f"{name}: no such baseline; there are {', '.join(BASELINES)}")
    return full_name


def is_checkpoint(model: str) -> bool:
    """Whether ``model`` is the folder of a checkpoint, and not the name of a built-in bundle."""
    return model not in list_bundles() and (Path(model) / "checkpoint.json").is_file()


@contextmanager
def open_predictors(
    models: list[str], baselines: list[str], *, trimaps: bool = False, device: str = "auto", window: bool = True
) -> Iterator[list[Predictor]]:
    """Open all, models first, and close them in the end.

    Args:
        models: names or folders of bundles, and folders of checkpoints.
        baselines: as `baseline_name` takes them.
        trimaps: whether what is measured comes with trimaps.
        device: of checkpoints.
        window: whether bundles are shown a window around people, as the runtime does; see `Matter`.

    Raises:
        InputError: an unknown baseline or bundle, a checkpoint that gives no alpha or needs a trimap that it will not
            get, or nothing to measure.
        EngineError: the device is not there.
        MissingExtraError: MediaPipe is needed and not installed.
    """
    full_names = [baseline_name(name) for name in baselines]
    if not models and not full_names:
        raise InputError("nothing to evaluate: name a bundle or a checkpoint, or a baseline with --baseline")
    for model in models:
        if not is_checkpoint(model):
            find_bundle(model)  # a wrong name is told before anything slow is loaded
    with ExitStack() as stack:
        predictors: list[Predictor] = []
        for model in dict.fromkeys(models):
            one = (
                CheckpointPredictor(model, device)
                if is_checkpoint(model)
                else BundlePredictor(model, stack, window=window)
            )
            if one.needs_trimap and not trimaps:
                raise InputError(
                    f"{model}: needs a trimap, so its figures cannot stand in one table with those of mattes made "
                    "without help; measure all of them in the unknown region, with --scale unknown"
                )
            predictors.append(one)
        predictors += [MediaPipePredictor(name.partition(":")[2], stack) for name in dict.fromkeys(full_names)]
        yield predictors


@contextmanager
def _native_log_discarded() -> Iterator[None]:
    """Discard standard error while MediaPipe starts a graph.

    It logs two lines of no consequence at every start, below Python and without a switch; failures come as exceptions.
    """
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
