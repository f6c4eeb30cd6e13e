"""Frames from a video file, through PyAV: exact time stamps, upright, right colours, square pixels."""

import os
import re
from collections.abc import Generator, Iterator
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.stream import Stream
from av.video.stream import VideoStream

from realtime_matting.errors import InputError
from realtime_matting.frames import Frame, StreamInfo
from realtime_matting.sources.colour import RgbConverter, is_known_matrix, square_pixel_size
from realtime_matting.sources.orientation import UPRIGHT, Orientation, from_display_matrix
from realtime_matting.sources.timeline import Timeline

_FALLBACK_RATE = Fraction(25)
_MATROSKA_DURATION = re.compile(r"(\d+):(\d+):(\d+\.?\d*)")
_ATTACHED_PICTURE = 0x400  # the disposition of a cover picture in a sound file; PyAV 14 does not tell it
_HDR_TRANSFERS = (16, 18)  # ITU-T H.273: PQ and HLG


class VideoSource:
    """The frames of a file's main video stream (a ``Source``).

    - Time stamps are the stream's own, in its own time base, whether the frame rate is constant or not; missing or
      backward ones are repaired (see ``Timeline``) and counted in ``warnings``.
    - Frames are upright (display matrix) and have square pixels: an anamorphic picture is stretched, never shrunk.
    - The matrix (BT.601, BT.709, BT.2020 …) and the range (limited, full) the stream is tagged with are used; every
      bit depth and chroma format becomes 8-bit RGB; transparency is dropped. HDR is not tone-mapped (a warning).
    - All frames have the size of the first; a stream that changes size under way is scaled to it (a warning).
    - A file cut off or damaged gives the frames that can be decoded, then ends with a warning.

    The first frame is decoded when the file is opened, so a file that opens has at least one.
    """

    def __init__(self, uri: str, *, threads: int | None = None) -> None:
        """Open ``uri``, the path of a video file.

        Args:
            uri: path of the file.
            threads: decoder threads; None lets the decoder take as many as there are cores.

        Raises:
            InputError: no such file, a directory, empty, not a video, or no frame of it can be decoded.
        """
        self.warnings: list[str] = []
        self._uri = uri
        self._container = open_container(uri)
        try:
            self._stream = _main_video_stream(self._container, uri)
            self._stream.thread_type = "AUTO"
            self._stream.codec_context.thread_count = threads or 0
            self._pictures = self._decode()
            first = next(self._pictures, None)
            if first is None or first.width == 0 or first.height == 0:
                raise InputError(
                    f"{uri}: no frame of its video could be decoded (codec {self._stream.codec_context.name}); "
                    "the file is damaged or cut off, export it again"
                )
            self._frames = self._convert(first)
        except BaseException:
            self._container.close()
            raise

    def _convert(self, first: av.VideoFrame) -> Generator[Frame]:
        """Set up what depends on the first picture, and return the iterator over all frames."""
        stream, rate = self._stream, _rate_of(self._stream)
        time_base = first.time_base or stream.time_base or Fraction(1, 90000)
        stored_size = square_pixel_size(first.width, first.height, stream.sample_aspect_ratio)
        orientation = _orientation_of(first)
        width, height = orientation.size(*stored_size)
        self.info = StreamInfo(
            width=width,
            height=height,
            time_base=time_base,
            average_rate=rate,
            frames=_expected_frames(self._container, stream, rate),
            uri=self._uri,
        )
        self._warn_of_colours(first)
        return self._upright_frames(
            first, RgbConverter(*stored_size), orientation, Timeline(time_base, rate or _FALLBACK_RATE)
        )

    def _upright_frames(
        self, first: av.VideoFrame, to_rgb: RgbConverter, orientation: Orientation, timeline: Timeline
    ) -> Generator[Frame]:
        first_size = (first.width, first.height)
        picture: av.VideoFrame | None = first
        index = 0
        resized = 0
        while picture is not None:
            resized += (picture.width, picture.height) != first_size
            yield Frame(
                rgb=orientation.apply(to_rgb(picture)),
                pts=timeline.place(picture.pts, picture.dts),
                time_base=self.info.time_base,
                index=index,
            )
            index += 1
            picture = next(self._pictures, None)
        if resized:
            self._warn(f"{resized} frames of another size were scaled to {self.info.width}x{self.info.height}")
        if timeline.repaired:
            self._warn(f"{timeline.repaired} time stamps ran backwards and were moved")
        if timeline.filled and self._stream.duration is not None:  # a bare stream (.h264) has none by design
            self._warn(f"{timeline.filled} frames had no time stamp; the frame rate was used")

    def _decode(self) -> Generator[av.VideoFrame]:
        """Every picture that can be decoded; what could not is told in ``warnings`` at the end.

        A damaged picture is kept inside the stream, where the next ones build on it, but not as the last one: there
        it is the half of a picture at which the file was cut.
        """
        packets = failures = 0
        cut = False
        doubtful: av.VideoFrame | None = None
        end: Fraction | None = None
        for packet in self._packets():
            cut = packet is None or packet.is_corrupt or (cut and packet.size == 0)
            if packet is not None:
                if packet.stream.index != self._stream.index:  # the empty ones at the end have no stream_index
                    continue
                packets += packet.size > 0
            try:
                pictures = self._stream.decode(packet)
            except (av.FFmpegError, OSError):
                failures += 1
                continue
            for picture in pictures:
                if doubtful is not None:
                    yield doubtful
                doubtful = picture if picture.is_corrupt else None
                if doubtful is None:
                    yield picture
                if picture.pts is not None and picture.time_base:
                    end = picture.pts * picture.time_base
        failures -= cut and failures > 0  # the piece at the cut has its own warning
        if failures:
            self._warn(f"{failures} damaged pieces could not be decoded and were skipped")
        if cut or doubtful is not None or self._ends_early(packets, end):
            self._warn("the file is cut off or damaged at its end; the frames before that were used")

    def _packets(self) -> Iterator["Packet[Stream] | None"]:
        """Every packet of the file. An empty one, or None where reading failed, flushes the decoder."""
        demuxed = self._container.demux()
        while True:
            try:
                packet = next(demuxed, None)
            except (av.FFmpegError, OSError):
                yield None
                return
            if packet is None:
                return
            yield packet

    def _ends_early(self, packets: int, end: Fraction | None) -> bool:
        """Whether the stream holds clearly less than its header announces."""
        if self._stream.frames:
            return packets < self._stream.frames - max(1, self._stream.frames // 50)
        announced = _announced_end(self._container, self._stream)
        return announced is not None and end is not None and end < announced - max(Fraction(1, 2), announced / 50)

    def _warn_of_colours(self, picture: av.VideoFrame) -> None:
        if self._stream.codec_context.color_trc in _HDR_TRANSFERS:
            self._warn("HDR video: its colours are not tone-mapped and will look flat")
        if not is_known_matrix(picture.colorspace):
            self._warn(f"its colour matrix (H.273 number {picture.colorspace}) is not supported; colours will be off")

    def _warn(self, text: str) -> None:
        self.warnings.append(f"{self._uri}: {text}")

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def close(self) -> None:
        """Close the file and end the frames; calling it twice is harmless."""
        self._frames.close()
        self._pictures.close()  # before the container: reading from a closed one crashes
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_container(uri: str) -> InputContainer:
    """Open a media file for reading.

    Raises:
        InputError: no such file, a directory, empty, not readable, or of no known format.
    """
    if not os.path.exists(uri):
        raise InputError(f"{uri}: no such file; check the name")
    if os.path.isdir(uri):
        raise InputError(f"{uri}: is a folder, not a video; name a file in it")
    if os.path.isfile(uri) and os.path.getsize(uri) == 0:
        raise InputError(f"{uri}: the file is empty; copy or export it again")
    try:
        # Without "file:", a name with a colon would be taken as a network address. Titles may be in any encoding.
        container = av.open(f"file:{uri}", metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        if isinstance(error, PermissionError):
            raise InputError(f"{uri}: may not be read (permission denied); change its permissions") from error
        raise InputError(
            f"{uri}: is not a video, or is cut off before its index ({error.strerror}); "
            "check that it plays, or export it again"
        ) from error
    if container.format.name == "tty":  # FFmpeg would draw a text file as a picture of its letters
        container.close()
        raise InputError(f"{uri}: is not a video but text; name a video file")
    return container


def _main_video_stream(container: InputContainer, uri: str) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or int(getattr(stream, "disposition", 0)) & _ATTACHED_PICTURE:
        raise InputError(f"{uri}: has no video stream (only {_kinds_of(container)}); name a video file")
    if stream.codec_context is None:
        raise InputError(f"{uri}: its video codec is not known here; convert the file to H.264 first")
    return stream


def _kinds_of(container: InputContainer) -> str:
    return ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"


def _rate_of(stream: VideoStream) -> Fraction | None:
    """Frames per second on average; None where the container does not tell."""
    return stream.average_rate or stream.guessed_rate or None


def _orientation_of(picture: av.VideoFrame) -> Orientation:
    matrix = picture.side_data.get("DISPLAYMATRIX")
    return from_display_matrix(bytes(matrix)) if isinstance(matrix, SideData) else UPRIGHT


def _announced_end(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Seconds at which the header says the video ends, where it speaks of the video alone."""
    tag = _MATROSKA_DURATION.fullmatch(stream.metadata.get("DURATION", ""))
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])
    if container.duration is not None and len(container.streams) == 1:
        return Fraction(container.duration + (container.start_time or 0), av.time_base)
    return None


def _expected_frames(container: InputContainer, stream: VideoStream, rate: Fraction | None) -> int | None:
    if stream.frames:
        return stream.frames
    if rate is None or container.duration is None:
        return None
    return round(Fraction(container.duration, av.time_base) * rate)
