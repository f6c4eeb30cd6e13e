"""A video and pictures with a green person, and a way to run ``rtmatte`` in this process."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from subprocess import CompletedProcess

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.cli import main

WIDTH, HEIGHT, RATE = 128, 96, 25
PERSON = (20, 230, 30)
ROOM = (120, 110, 130)


def green_person() -> NDArray[np.uint8]:
    """RGB uint8 (HEIGHT, WIDTH, 3): a green ball in a grey room."""
    rgb = np.full((HEIGHT, WIDTH, 3), ROOM, np.uint8)
    return cv2.circle(rgb, (WIDTH // 2, HEIGHT // 2), HEIGHT // 3, PERSON, -1, cv2.LINE_AA)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """15 frames of the green person in H.264, with a tone beside them."""
    path = tmp_path / "in.mp4"
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono")
        picture = av.VideoFrame.from_ndarray(green_person(), format="rgb24")
        for index in range(15):
            picture.pts = index
            picture.time_base = Fraction(1, RATE)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        wave = np.sin(np.arange(15 * 16000 // RATE, dtype=np.float32) * 0.2)[np.newaxis]
        tone = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        tone.sample_rate = 16000
        container.mux(audio.encode(tone))
        container.mux(audio.encode(None))
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A PNG of the green person."""
    path = tmp_path / "in.png"
    assert cv2.imwrite(str(path), green_person()[:, :, ::-1])
    return path


@pytest.fixture
def rtmatte(capsys: pytest.CaptureFixture[str]) -> Callable[..., CompletedProcess[str]]:
    """Run ``rtmatte`` with the given words, in this process."""

    def run(*words: object) -> CompletedProcess[str]:
        arguments = [str(word) for word in words]
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        printed = capsys.readouterr()
        return CompletedProcess(arguments, int(left.value.code or 0), printed.out, printed.err)

    return run
