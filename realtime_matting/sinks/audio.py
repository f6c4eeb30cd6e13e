"""Copying sound from one file to another, packet by packet, without decoding it."""

import io
from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from realtime_matting.errors import InputError
from realtime_matting.sinks.base import Kind
from realtime_matting.sinks.formats import CONTAINERS, extensions_for
from realtime_matting.sources.video import open_container

_NEW_RECORDING = Fraction(1)  # seconds; a step back by more is where recordings were joined, by less a rounding


def has_sound(uri: str) -> bool:
    """Whether the media file ``uri`` has an audio stream; raises ``InputError`` if it cannot be read."""
    with open_container(uri) as container:
        return bool(container.streams.audio)


class AudioClock:
    """Keeps the times of one stream's packets in order, as containers demand.

    Attributes:
        moved: how many packets ran backwards and were moved.
    """

    def __init__(self) -> None:
        self._last: Fraction | None = None
        self._shift = Fraction(0)
        self._duration = Fraction(0)
        self.moved = 0

    def place(self, time: Fraction | None, duration: Fraction, step: Fraction) -> Fraction:
        """When the next packet starts, at least ``step`` after the one before; all in seconds.

        A time that is late enough is kept exactly. One that is a little early, or equal, is moved to the earliest
        allowed. A packet that is far too early begins a new recording: it, and what follows, goes on where the one
        before ended. A packet without a time starts where the one before ended.
        """
        if self._last is None:
            placed = time or Fraction(0)
        elif time is None:
            placed = self._last + max(self._duration, step)
        else:
            placed = time + self._shift
            if placed < self._last + step:
                self.moved += 1
                follows = self._last + max(self._duration, step)
                if self._last - placed > _NEW_RECORDING:
                    self._shift += follows - placed
                    placed = follows
                else:
                    placed = self._last + step
        self._last, self._duration = placed, duration
        return placed


class AudioCopy:
    """Copies all sound of a file in step with the pictures, payloads and times unchanged.

    Packets are read only as far as the pictures have got, so memory does not grow with the length of the file, and
    the sound lies beside its pictures in the output.
    """

    def __init__(self, uri: str, output: OutputContainer, output_uri: str, kind: Kind) -> None:
        """Open ``uri`` and add its audio streams to ``output``, whose header must not have been written.

        Args:
            uri: the file with the sound.
            output: where the sound goes.
            output_uri: name of the output, for errors.
            kind: what the pictures beside the sound are; an error names another container for both.

        Raises:
            InputError: ``uri`` cannot be read, or the output's container cannot carry one of its audio codecs.
        """
        self._input = open_container(uri)
        try:
            self._streams = {
                source.index: _add_copy(source, output, output_uri, kind) for source in self._input.streams.audio
            }
        except BaseException:
            self._input.close()
            raise
        self._clocks = {index: AudioClock() for index in self._streams}
        # Matroska's times are whole milliseconds, and packets may share one; MP4's must differ.
        self._may_be_equal = output.format.name in ("matroska", "webm")
        self._damaged = False
        self._packets = self._read()
        self._reached: Fraction | None = None

    @property
    def codecs(self) -> list[str]:
        """The codecs that are copied, one for each stream."""
        return [stream.codec_context.name for stream in self._streams.values()]

    @property
    def rates(self) -> list[int]:
        """Samples per second of each stream, where it is known."""
        known = (stream.codec_context.sample_rate for stream in self._streams.values())
        return [rate for rate in known if rate]

    def warnings(self) -> list[str]:
        """One line for each thing that was repaired or left out so far."""
        moved = sum(clock.moved for clock in self._clocks.values())
        lines = [f"{moved} pieces of sound ran backwards in time and were moved"] if moved else []
        if self._damaged:
            lines.append("the sound of the input is damaged or cut off; what could be read was copied")
        return lines

    def until(self, time: Fraction | None) -> Iterator["Packet[Stream]"]:
        """The packets that come next, ready to be muxed, up to and including the first after ``time`` seconds.

        With that one more the muxer can write at once what it would hold back to sort. All that are left for None.
        """
        while time is None or self._reached is None or self._reached <= time:
            packet = next(self._packets, None)
            if packet is None:
                return
            yield packet

    def close(self) -> None:
        """Close the input; calling it twice is harmless."""
        self._packets.close()
        self._input.close()

    def _read(self) -> Generator["Packet[Stream]"]:
        if not self._streams:
            return
        demuxed = self._input.demux(*self._input.streams.audio)
        while True:
            try:
                packet = next(demuxed, None)
            except (av.FFmpegError, OSError):  # the pictures before the damage are still worth having
                self._damaged = True
                return
            if packet is None:
                return
            if packet.is_corrupt:
                self._damaged = True
            elif packet.size > 0:  # empty ones mark the end of a stream
                stream = self._streams[packet.stream_index]
                self._reached = self._place(packet, stream)
                packet.stream = stream
                yield packet

    def _place(self, packet: "Packet[Stream]", stream: AudioStream) -> Fraction:
        """Put the packet in its stream's order and return its time in seconds; its stamps stay if they are good."""
        unit = packet.time_base
        stamp = packet.pts if packet.dts is None else packet.dts
        time = None if stamp is None else stamp * unit
        duration = (packet.duration or 0) * unit
        finest = stream.time_base or unit
        step = Fraction(0) if self._may_be_equal else finest
        placed = self._clocks[packet.stream_index].place(time, duration, step)
        if placed != time or packet.pts is None or packet.dts is None:
            lead = 0 if packet.pts is None or stamp is None else (packet.pts - stamp) * unit
            packet.time_base = finest
            packet.dts, packet.pts = round(placed / finest), round((placed + lead) / finest)
            packet.duration = round(duration / finest)
        return placed


def _add_copy(source: AudioStream, output: OutputContainer, output_uri: str, kind: Kind) -> AudioStream:
    try:
        copy = output.add_stream_from_template(source)
    except (ValueError, AttributeError) as error:  # the latter where FFmpeg does not know the codec at all
        name = "of an unknown codec" if source.codec_context is None else source.codec_context.name
        raise refused_sound(output_uri, [name], kind) from error
    copy.metadata.update({key: source.metadata[key] for key in ("language", "title") if key in source.metadata})
    return copy


def refused_sound(output_uri: str, codecs: Sequence[str], kind: Kind) -> InputError:
    """The error for sound that the output's container cannot carry; it names one that can."""
    extension = Path(output_uri).suffix.lower()
    able = next((other for other in extensions_for(kind) if other != extension and _carries(other, codecs)), None)
    instead = f"use {able}, or " if able else ""
    return InputError(
        f"{output_uri}: {extension} cannot carry the sound ({', '.join(codecs)}); "
        f"{instead}leave the sound out (--no-audio)"
    )


def _carries(extension: str, codecs: Sequence[str]) -> bool:
    with av.open(io.BytesIO(), "w", format=CONTAINERS[extension]) as container:
        return container.supported_codecs.issuperset(codecs)
