"""Which encoder a file extension and a kind of picture call for, and with which settings."""

from dataclasses import dataclass, field
from pathlib import Path

from realtime_matting.errors import InputError
from realtime_matting.sinks.base import Kind

PICTURE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp")

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_DEFAULT_PRESET = "veryfast"

_VP9_REALTIME_SPEED = 5  # libvpx: cpu-used 5…8 belong to the deadline "realtime", 0…4 to "good"
_QP_TO_LAMBDA = 118  # FFmpeg's FF_QP2LAMBDA

CONTAINERS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov", ".webm": "webm"}
"""FFmpeg's name of the container of each extension."""


@dataclass(frozen=True)
class VideoFormat:
    """How to encode.

    Attributes:
        container: FFmpeg's name of the container.
        codec: FFmpeg's name of the encoder.
        pixel_format: what the encoder is given.
        options: the encoder's options.
        container_options: the container's options.
        even_size: width and height must be even.
    """

    container: str
    codec: str
    pixel_format: str
    options: dict[str, str]
    container_options: dict[str, str] = field(default_factory=dict)
    even_size: bool = False


def extensions_for(kind: Kind) -> tuple[str, ...]:
    """The video extensions that can carry ``kind``, the one for the most codecs of sound first."""
    return (".mov", ".webm") if kind == "rgba" else (".mkv", ".mov", ".mp4", ".webm")


def video_format(uri: str, kind: Kind, crf: int | None, preset: str | None) -> VideoFormat:
    """The format for a video file.

    - ``.mp4``, ``.mkv``, ``.mov``: H.264 in yuv420p, which plays everywhere (crf 18, preset veryfast).
    - ``.webm``: VP9 (crf 24); with ``rgba`` its alpha goes in a second picture, which browsers show but many readers
      drop.
    - ``.mov`` with ``rgba``: ProRes 4444, 10 bits and 16 bits of alpha, for editing; it knows no crf and no preset.

    Args:
        uri: path of the file; its extension decides.
        kind: what is written.
        crf: quality, lower is better and larger; 0…51 for H.264, 0…63 for VP9. None for the default.
        preset: an x264 preset name; VP9 is given the ``cpu-used`` of like speed. None for veryfast.

    Raises:
        InputError: the extension is not known, cannot carry the kind, or has no such setting.
    """
    extension = Path(uri).suffix.lower()
    if extension in CONTAINERS and extension not in extensions_for(kind):
        raise InputError(
            f"{uri}: {extension} cannot carry transparency; use .mov (ProRes 4444), .webm (VP9) or a folder of PNG"
        )
    if preset is not None and preset not in PRESETS:
        raise InputError(f"unknown preset {preset}: use one of {' '.join(PRESETS)}")
    if kind == "rgba" and extension == ".mov":
        if crf is not None or preset is not None:
            raise InputError(f"{uri}: ProRes 4444 has no crf and no preset; leave them out, or use .webm")
        # A fixed quantiser spares the search for one: 23 instead of 104 ms (1280x720, one core), 52 dB of the colours.
        options = {"profile": "4444", "alpha_bits": "16", "flags": "+qscale", "global_quality": str(2 * _QP_TO_LAMBDA)}
        return VideoFormat("mov", "prores_ks", "yuva444p10le", options)
    if extension == ".webm":
        _check_crf(uri, crf, 63)
        speed = max(1, len(PRESETS) - 1 - PRESETS.index(preset or _DEFAULT_PRESET))
        options = {
            "crf": str(24 if crf is None else crf),
            "b": "0",
            "deadline": "realtime" if speed >= _VP9_REALTIME_SPEED else "good",
            "cpu-used": str(speed),
            "row-mt": "1",
        }
        pixel_format = "yuva420p" if kind == "rgba" else "yuv420p"
        if pixel_format == "yuva420p":
            options["auto-alt-ref"] = "0"  # frames that are not shown have no place for their alpha
        return VideoFormat("webm", "libvpx-vp9", pixel_format, options)
    if extension not in CONTAINERS:
        raise InputError(f"{uri}: unknown extension; use {_known()}")
    _check_crf(uri, crf, 51)
    return VideoFormat(
        CONTAINERS[extension],
        "libx264",
        "yuv420p",
        # Without B-frames: 30 % less time for 5 % more bits at the same PSNR (1280x720, veryfast).
        {"crf": str(18 if crf is None else crf), "preset": preset or _DEFAULT_PRESET, "bf": "0"},
        # The index goes to the front, so that a browser can begin before it has the whole file.
        {"movflags": "faststart"} if extension in (".mp4", ".mov") else {},
        even_size=True,
    )


def picture_shape(kind: Kind, width: int, height: int) -> tuple[int, ...]:
    """The array shape of a picture of ``kind``: (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey."""
    channels = {"composite": 3, "foreground": 3, "rgba": 4, "alpha": 1}[kind]
    return (height, width) if channels == 1 else (height, width, channels)


def check_picture_extension(uri: str, kind: Kind) -> str:
    """The extension of a picture, lower case, if it can carry ``kind``.

    Raises:
        InputError: not a picture's extension, or ``rgba`` into JPEG.
    """
    extension = Path(uri).suffix.lower()
    if extension not in PICTURE_EXTENSIONS:
        raise InputError(f"{uri}: unknown extension; use {_known()}")
    if kind == "rgba" and extension in (".jpg", ".jpeg"):
        raise InputError(f"{uri}: JPEG cannot carry transparency; use .png or .webp")
    return extension


def _check_crf(uri: str, crf: int | None, highest: int) -> None:
    if crf is not None and not 0 <= crf <= highest:
        raise InputError(f"{uri}: crf {crf} is out of range; use 0 (best) to {highest}")


def _known() -> str:
    return f"{' '.join(CONTAINERS)}, {' '.join(PICTURE_EXTENSIONS)}, or a folder (a name that ends in /) for PNG"
