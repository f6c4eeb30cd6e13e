"""Frames to write, and files with sound to copy it from."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from realtime_matting.frames import Frame, StreamInfo


@pytest.fixture
def info() -> Callable[..., StreamInfo]:
    """``info(width, height, time_base)``: a stream's description."""

    def make(
        width: int = 64, height: int = 48, time_base: Fraction = Fraction(1, 25), uri: str = "camera"
    ) -> StreamInfo:
        return StreamInfo(width, height, time_base, Fraction(25), None, uri)

    return make


@pytest.fixture
def at() -> Callable[..., Frame]:
    """``at(pts, time_base)``: a frame that only tells a time."""

    def make(pts: int, time_base: Fraction = Fraction(1, 25)) -> Frame:
        return Frame(rgb=np.zeros((1, 1, 3), np.uint8), pts=pts, time_base=time_base, index=0)

    return make


@pytest.fixture
def make_sound(tmp_path: Path) -> Callable[..., str]:
    """``make_sound(name, codec, …)``: a video file with ``seconds`` of noise beginning at ``start`` seconds."""

    def make(
        name: str,
        codec: str = "aac",
        *,
        seconds: float = 2.0,
        start: float = 0.0,
        pictures: int = 25,
        rate: int = 48000,
        tracks: int = 1,
    ) -> str:
        path = tmp_path / name
        generator = np.random.default_rng(1)
        with av.open(str(path), "w") as container:
            codec_of_pictures = "libvpx-vp9" if path.suffix == ".webm" else "libx264"
            video: Any = container.add_stream(codec_of_pictures, rate=25)
            video.width, video.height = 32, 32
            streams: list[Any] = [container.add_stream(codec, rate=rate) for _ in range(tracks)]
            packets: list[Any] = []
            for index in range(pictures):
                picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), index, np.uint8), format="rgb24")
                picture.pts = index
                packets += video.encode(picture)
            packets += video.encode(None)
            for stream in streams:
                stream.layout, stream.bit_rate = "stereo", 128_000
                resampler = av.AudioResampler(stream.format, "stereo", rate)
                size = 1024 if codec in ("aac", "pcm_s16le") else 960
                for index in range(int(seconds * rate / size)):
                    noise = (generator.normal(size=(2, size)) * 0.1).astype(np.float32)
                    samples = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
                    samples.sample_rate, samples.time_base = rate, Fraction(1, rate)
                    samples.pts = round(start * rate) + size * index
                    for resampled in resampler.resample(samples):
                        packets += stream.encode(resampled)
                packets += stream.encode(None)
            container.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
        return str(path)

    return make
