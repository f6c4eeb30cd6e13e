"""Real-time human video matting: a soft alpha with every hair, and a new background.

    from realtime_matting import Matter

    with Matter() as matter:
        matte = matter(rgb)                # rgb: uint8 (H, W, 3)
        picture = matte.over(background)   # background: uint8 (H, W, 3)

Everything named in ``__all__`` is loaded on first use, so that importing this package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realtime_matting.compositing.backgrounds import open_background
    from realtime_matting.compositing.blend import composite
    from realtime_matting.errors import (
        BundleError,
        EngineError,
        InputError,
        MattingError,
        MissingExtraError,
        OutputError,
    )
    from realtime_matting.frames import Frame, StreamInfo
    from realtime_matting.matting.matter import Matte, Matter
    from realtime_matting.models.registry import find_bundle, list_bundles
    from realtime_matting.pipeline import RunReport, output_picture, run_offline
    from realtime_matting.profiling import Profile
    from realtime_matting.sinks import open_sink
    from realtime_matting.sources import open_source

__version__ = "0.1.0"

__all__ = [
    "BundleError",
    "EngineError",
    "Frame",
    "InputError",
    "Matte",
    "Matter",
    "MattingError",
    "MissingExtraError",
    "OutputError",
    "Profile",
    "RunReport",
    "StreamInfo",
    "__version__",
    "composite",
    "find_bundle",
    "list_bundles",
    "open_background",
    "open_sink",
    "open_source",
    "output_picture",
    "run_offline",
]

_HOME = {
    "BundleError": "errors",
    "EngineError": "errors",
    "Frame": "frames",
    "InputError": "errors",
    "Matte": "matting.matter",
    "Matter": "matting.matter",
    "MattingError": "errors",
    "MissingExtraError": "errors",
    "OutputError": "errors",
    "Profile": "profiling",
    "RunReport": "pipeline",
    "StreamInfo": "frames",
    "composite": "compositing.blend",
    "find_bundle": "models.registry",
    "list_bundles": "models.registry",
    "open_background": "compositing.backgrounds",
    "open_sink": "sinks",
    "open_source": "sources",
    "output_picture": "pipeline",
    "run_offline": "pipeline",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
