"""Pictures to a video file, through PyAV: exact time stamps, truthful colour tags, the sound copied beside."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from realtime_matting.errors import OutputError
from realtime_matting.frames import Frame, StreamInfo
from realtime_matting.sinks.audio import AudioCopy, refused_sound
from realtime_matting.sinks.base import Kind
from realtime_matting.sinks.destination import FileDestination, cannot_write
from realtime_matting.sinks.formats import VideoFormat, picture_shape

_BT709 = 1  # ITU-T H.273: the number of its primaries, of its transfer and of its matrix
_FALLBACK_RATE = Fraction(25)

# SWS_BILINEAR | SWS_FULL_CHR_H_INP: as good as bilinear alone, 0.8 instead of 1.5 ms for 1280x720, and right at odd
# widths in every FFmpeg. (OpenCV's I420 takes 0.3 ms, but is BT.601 only and does not average chroma.)
_SCALER = 2 | 0x4000
_LUMA = np.rint(16 + np.arange(256, dtype=np.float32) * (219 / 255)).astype(np.uint8)
_NEUTRAL = 128


class VideoSink:
    """Writes one video file (a ``Sink``).

    - Colours are BT.709 in limited range, converted and tagged so; an alpha video is grey in the same range.
    - Time stamps are written in the source's own time base: exact in MP4 and MOV, to the millisecond in MKV and WebM.
      Where sound copied into MKV or WebM begins before 0 (AAC's priming), sound and pictures are moved alike.
    - H.264 cannot carry odd sizes: the last column and row are repeated to make them even.
    - Sound is copied, not encoded anew; all of it, also where it is longer than the pictures.
    """

    def __init__(
        self,
        uri: str,
        *,
        info: StreamInfo,
        kind: Kind,
        video_format: VideoFormat,
        audio_from: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Reserve the temporary file and write the header.

        Args:
            uri: path of the file to make.
            info: size, time base and rate of the frames to come.
            kind: what the pictures are; decides their shape.
            video_format: codec and container, from ``formats.video_format``.
            audio_from: file whose sound is copied; None for a silent video.
            threads: encoder threads; None lets the encoder decide.

        Raises:
            InputError: ``uri`` is one of the inputs, or the container cannot carry the sound.
            OutputError: the file cannot be written there.
        """
        self.warnings: list[str] = []
        self._uri = uri
        self._kind = kind
        self._format = video_format
        self._size = (info.width, info.height)
        self._rate = info.average_rate or _FALLBACK_RATE
        self._time_base = info.time_base
        self._swscale = VideoReformatter()
        self._last_time: Fraction | None = None
        self._audio: AudioCopy | None = None
        self._open = True
        self._destination = FileDestination(uri, [info.uri] + ([audio_from] if audio_from else []))
        self._container = av.open(
            f"file:{self._destination.temporary}",
            "w",
            format=video_format.container,
            container_options=video_format.container_options,
        )
        try:
            self._start(audio_from, threads)
        except BaseException:
            self.abort()
            raise

    def _start(self, audio_from: str | None, threads: int | None) -> None:
        """Set up the encoder and the sound, and write the header, which finds out whether they fit the container."""
        self._stream = _add_encoder(self._container, self._format, self._rate)
        width, height = self._size
        if self._format.even_size:
            width, height = width + width % 2, height + height % 2
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = self._format.pixel_format
        context = self._stream.codec_context
        context.time_base = self._time_base
        context.thread_count = threads or 0
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG
        if audio_from is not None:
            self._audio = AudioCopy(audio_from, self._container, self._uri, self._kind)
        if self._format.container in ("mp4", "mov"):
            rates = self._audio.rates if self._audio is not None else []
            self._container.container_options["movie_timescale"] = str(_movie_timescale(self._time_base, rates))
        try:
            context.open()
        except av.FFmpegError as error:
            raise OutputError(
                f"{self._uri}: {self._format.codec} does not take pictures of {width}x{height} ({error.strerror}); "
                "scale the input, or choose another extension"
            ) from error
        try:
            self._container.start_encoding()
        except (av.FFmpegError, OSError) as error:
            if isinstance(error, OSError) or self._audio is None:
                raise cannot_write(self._uri, error) from error
            raise refused_sound(self._uri, self._audio.codecs, self._kind) from error

    def write(self, image: NDArray[np.uint8], frame: Frame) -> None:
        """Encode one picture; see ``Sink.write``."""
        time = frame.pts * frame.time_base
        self._check(image, time)
        with self._failures():
            picture = self._encodable(image)
            picture.pts, picture.time_base = frame.pts, frame.time_base
            if hasattr(picture, "color_primaries"):  # not in PyAV 14; ProRes tags each picture with them
                picture.color_primaries = picture.color_trc = _BT709
            for packet in self._stream.encode(picture):
                self._mux(packet)
        self._last_time = time

    def _check(self, image: NDArray[np.uint8], time: Fraction) -> None:
        if not self._open:
            raise ValueError(f"{self._uri}: this sink is closed")
        shape = picture_shape(self._kind, *self._size)
        if image.shape != shape or image.dtype != np.uint8:
            raise ValueError(f"{self._kind} pictures are uint8 {shape}, not {image.dtype} {image.shape}")
        if self._last_time is not None and time <= self._last_time:
            raise ValueError(f"a picture at {float(time)} s came after one at {float(self._last_time)} s")

    def _encodable(self, image: NDArray[np.uint8]) -> av.VideoFrame:
        """The picture in the encoder's pixel format, in memory of its own."""
        width, height = self._stream.width, self._stream.height
        if image.shape[:2] != (height, width):
            below, right = height - image.shape[0], width - image.shape[1]
            image = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), dtype=np.uint8)
        if image.ndim == 2:
            return _grey_picture(image)
        given = av.VideoFrame.from_numpy_buffer(
            np.ascontiguousarray(image), format="rgba" if image.shape[2] == 4 else "rgb24"
        )
        return self._swscale.reformat(
            given,
            format=self._format.pixel_format,
            src_colorspace=_BT709,
            dst_colorspace=_BT709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=_SCALER,
        )

    def _mux(self, packet: "Packet[VideoStream]") -> None:
        """Mux a packet of pictures after the sound that belongs before it."""
        if self._audio is not None and packet.dts is not None:
            self._container.mux(list(self._audio.until(packet.dts * packet.time_base)))
        self._container.mux(packet)

    def close(self) -> None:
        """Complete the file and put it at its destination; see ``Sink.close``."""
        if not self._open:
            return
        self._refuse_empty()
        self._finish(audio_until=None)
        with self._failures():
            self._destination.commit()
        self._open = False

    def finish_early(self) -> Path:
        """Complete what was written so far, the sound up to there; see ``Sink.finish_early``."""
        self._refuse_empty()
        self._finish(audio_until=self._last_time)
        with self._failures():
            left = self._destination.commit_partial()
        self._open = False
        return left

    def _refuse_empty(self) -> None:
        if not self._open:
            raise ValueError(f"{self._uri}: this sink is closed")
        if self._last_time is None:
            self.abort()
            raise OutputError(f"{self._uri}: not made, since no picture was written; check that the input has frames")

    def _finish(self, audio_until: Fraction | None) -> None:
        """Flush the encoder, copy what is left of the sound, and write the end of the file."""
        with self._failures():
            one_frame = max(1, round(1 / (self._rate * self._time_base)))
            for packet in self._stream.encode(None):
                if not packet.duration:  # the last one's is what the file's length is reckoned from
                    packet.duration = one_frame
                self._mux(packet)
            if self._audio is not None:
                for packet in self._audio.until(audio_until):
                    self._container.mux(packet)
                self.warnings += [f"{self._uri}: {text}" for text in self._audio.warnings()]
                self._audio.close()
            self._container.close()

    def abort(self) -> None:
        """Throw away what was written; see ``Sink.abort``."""
        if not self._open:
            return
        self._open = False
        if self._audio is not None:
            self._audio.close()
        # Closing completes the file, which may fail as the writing before it did, and for MP4 copies all of it once
        # more; with the name gone first, where the system allows that, there is nothing to copy.
        for step in (self._destination.discard, self._container.close, self._destination.discard):
            with suppress(av.FFmpegError, OSError):
                step()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn a failure of FFmpeg or the system into an aborted sink and one clear error."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            self.abort()
            raise cannot_write(self._uri, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()


def _add_encoder(container: OutputContainer, video_format: VideoFormat, rate: Fraction) -> VideoStream:
    stream = container.add_stream(video_format.codec, rate=rate, options=video_format.options)
    if not isinstance(stream, VideoStream):
        raise TypeError(f"{video_format.codec} is no video encoder")
    return stream


def _movie_timescale(time_base: Fraction, sample_rates: Iterable[int]) -> int:
    """Units per second in which MP4 says when a track starts; fine enough to say it exactly, if that fits 31 bits."""
    scale = 1000
    for units in (time_base.denominator, *sample_rates):
        common = math.lcm(scale, units)
        scale = common if common < 2**31 else scale
    return scale


def _grey_picture(alpha: NDArray[np.uint8]) -> av.VideoFrame:
    """Limited-range yuv420p of a grey picture; 0.4 ms where swscale takes 1.7 from grey (1280x720)."""
    height, width = alpha.shape
    picture = av.VideoFrame(width, height, "yuv420p")
    luma, *chroma = (np.frombuffer(memoryview(plane), np.uint8) for plane in picture.planes)
    rows = luma.reshape(height, picture.planes[0].line_size)[:, :width]
    rows[:] = cv2.LUT(alpha, _LUMA)
    for plane in chroma:
        plane[:] = _NEUTRAL
    return picture
