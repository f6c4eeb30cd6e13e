"""Where pictures go: ``open_sink(uri, info=…, kind=…)``."""

from pathlib import Path

from realtime_matting.errors import InputError
from realtime_matting.frames import StreamInfo
from realtime_matting.sinks.audio import has_sound
from realtime_matting.sinks.base import Kind, Sink
from realtime_matting.sinks.formats import PICTURE_EXTENSIONS, video_format
from realtime_matting.sinks.images import ImageSink, is_folder
from realtime_matting.sinks.video import VideoSink

__all__ = ["ImageSink", "Kind", "Sink", "VideoSink", "open_sink"]


def open_sink(
    uri: str,
    *,
    info: StreamInfo,
    kind: Kind,
    audio_from: str | None = None,
    crf: int | None = None,
    preset: str | None = None,
    threads: int | None = None,
) -> Sink:
    """Open what ``uri`` names for writing.

    ========================================  ================================================================
    ``.mp4`` ``.mkv`` ``.mov``                H.264, yuv420p; composite, foreground, alpha (grey)
    ``.webm``                                 VP9; every kind, rgba in yuva420p
    ``.mov`` with ``rgba``                    ProRes 4444
    ``folder/``, ``shot_%06d.png``            a sequence of pictures (PNG in a folder; also .jpg .webp); every kind
    ``.png`` ``.webp`` ``.jpg``               one picture; rgba not in JPEG
    ========================================  ================================================================

    Args:
        uri: path of the output; nothing appears there before it is complete.
        info: the source's ``info``: size, time base and rate of the frames, and the input that must not be overwritten.
        kind: what is written; see ``Sink.write`` for the shapes.
        audio_from: file whose sound is copied into a video, bit for bit; pictures hold none (a warning).
        crf: quality of H.264 and VP9, lower is better and larger; None for 18 and 24.
        preset: speed of H.264 and VP9, an x264 preset name; None for veryfast.
        threads: encoder threads; None lets the encoder decide.

    Raises:
        InputError: unknown extension, a kind or sound it cannot carry, a setting it does not have, a folder that is
            missing, or the output is the input.
        OutputError: nothing can be written there.
    """
    if not uri:
        raise InputError("the name of the output is empty; name a video file, a picture, or a folder/ of pictures")
    extension = Path(uri).suffix.lower()
    if not is_folder(uri) and extension == "":
        raise InputError(f"{uri}: has no extension; add one (.mp4), or a / at the end for a folder of pictures")
    if not is_folder(uri) and extension not in PICTURE_EXTENSIONS:
        return VideoSink(
            uri,
            info=info,
            kind=kind,
            video_format=video_format(uri, kind, crf, preset),
            audio_from=audio_from,
            threads=threads,
        )
    if crf is not None or preset is not None:
        raise InputError(f"{uri}: pictures have no crf and no preset; leave them out, or write a video")
    loses_sound = audio_from is not None and has_sound(audio_from)
    sink = ImageSink(uri, info=info, kind=kind)
    if loses_sound:
        sink.warnings.append(f"{uri}: pictures hold no sound; it is left out")
    return sink
