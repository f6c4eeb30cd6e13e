"""Makers of the small videos the source tests read."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., str]:
    """``make_video(name, pictures, …)`` encodes RGB uint8 pictures losslessly or nearly so and returns the path."""

    def make(
        name: str,
        pictures: Sequence[np.ndarray],
        *,
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        pts: Sequence[int] | None = None,
        time_base: Fraction = Fraction(1, 25),
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
        pixel_aspect: Fraction | None = None,
        matrix: int = 2,
        value_range: int = 0,
        transfer: int = 2,
    ) -> str:
        path = tmp_path / name
        default_options = {"libx264": {"crf": "4", "preset": "ultrafast"}}.get(codec, {})
        with av.open(str(path), "w", container_options=container_options or {}) as container:
            stream: Any = container.add_stream(codec, rate=25, options=default_options | (options or {}))
            height, width = pictures[0].shape[:2]
            stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
            context = stream.codec_context
            context.time_base = time_base
            context.colorspace, context.color_range, context.color_trc = matrix, value_range, transfer
            if pixel_aspect is not None:
                context.sample_aspect_ratio = pixel_aspect
            for index, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24" if picture.ndim == 3 else "gray")
                if pixel_format not in ("rgb24", "gray"):
                    frame = frame.reformat(
                        format=pixel_format,
                        dst_colorspace={1: 1, 9: 9}.get(matrix, 5),
                        src_color_range=2,
                        dst_color_range=value_range or 1,
                        interpolation=2 | 0x4000,  # full chroma input: right at odd widths in every FFmpeg
                    )
                frame.colorspace, frame.color_range = matrix, value_range
                frame.pts = index if pts is None else pts[index]
                frame.time_base = time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return str(path)

    return make


@pytest.fixture
def patches() -> Callable[..., list[np.ndarray]]:
    """``patches(count, width, height)``: pictures of flat coloured quarters that change from picture to picture."""

    def make(count: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
        generator = np.random.default_rng(7)
        pictures = []
        for _ in range(count):
            picture = np.empty((height, width, 3), np.uint8)
            colours = generator.integers(20, 236, (4, 3))
            half_height, half_width = height // 4 * 2, width // 4 * 2  # even: chroma samples do not straddle
            picture[:half_height, :half_width], picture[:half_height, half_width:] = colours[0], colours[1]
            picture[half_height:, :half_width], picture[half_height:, half_width:] = colours[2], colours[3]
            pictures.append(picture)
        return pictures

    return make
