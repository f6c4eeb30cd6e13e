"""All engines that were built from one network: for several sizes, there may be several."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from realtime_matting.engines.base import FloatArray
from realtime_matting.engines.checks import check_inputs
from realtime_matting.engines.engine_file import EngineFile
from realtime_matting.engines.shapes import Profile, Range, refuse_shapes
from realtime_matting.engines.tensorrt import TensorRtEngine
from realtime_matting.errors import MattingError


class BuiltEngines:
    """Gives each call to the first of some engines that takes its sizes and runs here; opens them when needed.

    Args:
        files: engines of one network, the preferred first; at least one.

    Raises:
        MissingExtraError, EngineError: why the first does not run here, where none does.
    """

    def __init__(self, files: Sequence[EngineFile]) -> None:
        self._files = list(files)
        self._opened: dict[Path, TensorRtEngine] = {}
        self._refused: dict[Path, MattingError] = {}
        refusals = []
        while self._files and not self._opened:
            try:
                self._open(self._files[0])
            except MattingError as error:
                refusals.append(error)
                del self._files[0]
        if not self._opened:
            raise refusals[0]
        self.name = self._opened[self._files[0].path].name

    def __call__(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run once; the arrays returned are valid until the next call."""
        check_inputs(inputs, self._files[0].record.profiles, self.name)
        shapes = {name: array.shape for name, array in inputs.items()}
        refusals = []
        for file in self._files:
            if not all(_profile(file)[name].takes(shape) for name, shape in shapes.items()):
                continue
            if file.path in self._refused:
                refusals.append(self._refused[file.path])
                continue
            try:
                engine = self._open(file)
            except MattingError as error:
                self._refused[file.path] = error  # it is not tried again for every frame
                refusals.append(error)
                continue
            return engine({name: inputs[name] for name in engine.inputs})
        raise refusals[0] if refusals else refuse_shapes([_profile(file) for file in self._files], shapes, self.name)

    def prepared(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Always: engines were built for all shapes that they take."""
        return True

    def _open(self, file: EngineFile) -> TensorRtEngine:
        if file.path not in self._opened:
            self._opened[file.path] = TensorRtEngine(file.path)
        return self._opened[file.path]

    def close(self) -> None:
        """Free the GPU; calling it twice is harmless."""
        for engine in self._opened.values():
            engine.close()


def _profile(file: EngineFile) -> Profile:
    return {name: Range(sizes.min, sizes.opt, sizes.max) for name, sizes in file.record.profiles.items()}
