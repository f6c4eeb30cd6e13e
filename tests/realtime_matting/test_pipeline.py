"""The offline pipeline: every frame once and in order, errors once, and no thread left, whatever happens."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime_matting.compositing.backgrounds import open_background
from realtime_matting.compositing.blend import Layer
from realtime_matting.errors import InputError, OutputError
from realtime_matting.frames import Frame
from realtime_matting.pipeline import output_picture, run_offline
from realtime_matting.profiling import Profile
from realtime_matting.sinks import open_sink
from realtime_matting.sources import open_source

WIDTH, HEIGHT, RATE = 64, 48, 25


def left_half(rgb: NDArray[np.uint8]) -> Layer:
    """A matter whose person is the left half of every picture, with one column of hair (alpha 0.5) beside it."""
    alpha = np.zeros(rgb.shape[:2], np.float32)
    middle = rgb.shape[1] // 2
    alpha[:, :middle] = 1.0
    alpha[:, middle] = 0.5
    return Layer(rgb, alpha)


def frames(count: int) -> Iterator[Frame]:
    """Grey frames, each one step brighter than the last."""
    for index in range(count):
        yield Frame(np.full((HEIGHT, WIDTH, 3), index % 256, np.uint8), index, Fraction(1, RATE), index)


class Recorder:
    """A sink that keeps what it is given."""

    def __init__(self, fails_at: int | None = None, seconds: float = 0.0) -> None:
        self.written: list[tuple[NDArray[np.uint8], Frame]] = []
        self.finished_early = 0
        self.aborted = 0
        self._fails_at = fails_at
        self._seconds = seconds

    def write(self, image: NDArray[np.uint8], frame: Frame) -> None:
        time.sleep(self._seconds)
        if len(self.written) == self._fails_at:
            raise OutputError("the disk is full; make room")
        self.written.append((image, frame))

    def finish_early(self) -> Path:
        self.finished_early += 1
        return Path("left.partial.mp4")

    def abort(self) -> None:
        self.aborted += 1


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """20 frames, each one colour."""
    path = tmp_path / "in.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(20):
            picture = np.full((HEIGHT, WIDTH, 3), 40 + 10 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_every_frame_is_written_once_and_in_order() -> None:
    sink = Recorder()
    counted: list[int] = []
    report = run_offline(frames(50), left_half, output_picture("alpha"), sink, progress=counted.append)
    assert [frame.index for _, frame in sink.written] == list(range(50))
    assert counted == list(range(1, 51))
    assert report.frames == 50
    assert not report.stopped_early
    assert report.partial is None
    assert sink.finished_early == 0


def test_a_source_without_frames_makes_an_empty_report() -> None:
    report = run_offline(iter(()), left_half, output_picture("alpha"), Recorder())
    assert (report.frames, report.milliseconds, report.stopped_early) == (0, {}, False)
    assert report.fps == 0.0


def test_the_report_has_the_milliseconds_of_each_stage_of_this_run_alone() -> None:
    profile = Profile()
    profile.seconds["decode"] = 1000.0

    def matter(rgb: NDArray[np.uint8]) -> Layer:
        with profile.stage("matting"):
            time.sleep(0.01)
        return left_half(rgb)

    report = run_offline(frames(5), matter, output_picture("alpha"), Recorder(seconds=0.02), profile=profile)
    assert set(report.milliseconds) == {"decode", "matting", "composite", "encode"}
    assert 10 <= report.milliseconds["matting"] < 100
    assert 20 <= report.milliseconds["encode"] < 200
    assert report.milliseconds["decode"] < 100
    assert report.fps == pytest.approx(5 / report.seconds)


def test_matting_does_not_wait_for_decoding_and_encoding() -> None:
    def slow_frames() -> Iterator[Frame]:
        for frame in frames(10):
            time.sleep(0.03)
            yield frame

    def slow_matter(rgb: NDArray[np.uint8]) -> Layer:
        time.sleep(0.03)
        return left_half(rgb)

    report = run_offline(slow_frames(), slow_matter, output_picture("alpha"), Recorder(seconds=0.03))
    assert report.seconds < 0.75 * 10 * 0.09, "the three stages ran one after the other"


def test_only_a_few_frames_are_in_memory_however_slow_the_sink() -> None:
    decoded: list[int] = []
    ahead: list[int] = []

    def counting_frames() -> Iterator[Frame]:
        for frame in frames(40):
            decoded.append(frame.index)
            yield frame

    class Slow(Recorder):
        def write(self, image: NDArray[np.uint8], frame: Frame) -> None:
            super().write(image, frame)
            ahead.append(len(decoded) - len(self.written))

    run_offline(counting_frames(), left_half, output_picture("alpha"), Slow(seconds=0.002))
    # Two in each queue, one in each of the three pairs of hands.
    assert max(ahead) <= 7


def test_a_matter_in_two_steps_holds_two_frames_more_at_most() -> None:
    taken: list[int] = []

    class Slow(Recorder):
        def write(self, image: NDArray[np.uint8], frame: Frame) -> None:
            super().write(image, frame)
            taken.append(max(decoded) - frame.index)

    decoded: list[int] = []

    def counting_frames() -> Iterator[Frame]:
        for frame in frames(40):
            decoded.append(frame.index)
            yield frame

    run_offline(counting_frames(), LateGrey(), output_picture("alpha"), Slow(seconds=0.002))
    assert max(taken) <= 9


def test_an_error_of_the_source_is_raised_once_in_the_caller() -> None:
    def broken() -> Iterator[Frame]:
        yield from frames(3)
        raise InputError("the video is broken after frame 3")

    with pytest.raises(InputError, match="broken after frame 3"):
        run_offline(broken(), left_half, output_picture("alpha"), Recorder())


def test_an_error_of_the_matter_is_raised_and_ends_both_threads() -> None:
    def broken(rgb: NDArray[np.uint8]) -> Layer:
        raise ValueError("the network fell over")

    with pytest.raises(ValueError, match="fell over"):
        run_offline(frames(1000), broken, output_picture("alpha"), Recorder())


@pytest.mark.parametrize("fails_at", [0, 3, 29])
def test_an_error_of_the_sink_is_raised_whether_first_or_last_frame(fails_at: int) -> None:
    sink = Recorder(fails_at=fails_at)
    with pytest.raises(OutputError, match="disk is full"):
        run_offline(frames(30), left_half, output_picture("alpha"), sink)
    assert len(sink.written) == fails_at


def test_ctrl_c_in_the_caller_ends_both_threads() -> None:
    def interrupt(count: int) -> None:
        if count == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_offline(frames(1000), left_half, output_picture("alpha"), Recorder(), progress=interrupt)


def test_stop_writes_what_is_ready_and_finishes_early() -> None:
    stop = threading.Event()
    sink = Recorder(seconds=0.005)

    def stop_after_five(count: int) -> None:
        if count == 5:
            stop.set()

    report = run_offline(frames(1000), left_half, output_picture("alpha"), sink, progress=stop_after_five, stop=stop)
    assert report.stopped_early
    assert report.frames == 5
    assert [frame.index for _, frame in sink.written] == [0, 1, 2, 3, 4]
    assert sink.finished_early == 1
    assert report.partial == Path("left.partial.mp4")


def test_stop_before_the_first_frame_leaves_nothing() -> None:
    stop = threading.Event()
    stop.set()
    sink = Recorder()
    report = run_offline(frames(10), left_half, output_picture("alpha"), sink, stop=stop)
    assert (report.frames, report.stopped_early, report.partial) == (0, True, None)
    assert (sink.aborted, sink.finished_early) == (1, 0)


def test_stop_after_the_last_frame_leaves_a_complete_file() -> None:
    stop = threading.Event()
    exhausted = threading.Event()

    def source() -> Iterator[Frame]:
        yield from frames(5)
        exhausted.set()

    class Waiting(Recorder):
        def write(self, image: NDArray[np.uint8], frame: Frame) -> None:
            super().write(image, frame)
            if frame.index == 4:
                assert exhausted.wait(5)
                time.sleep(0.05)
                stop.set()

    sink = Waiting()
    report = run_offline(source(), left_half, output_picture("alpha"), sink, stop=stop)
    assert (report.frames, report.stopped_early, sink.finished_early) == (5, False, 0)


class LateGrey:
    """A matter in two steps, ``delay`` frames late; its alpha holds the grey of the frame it was made for."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def __call__(self, rgb: NDArray[np.uint8]) -> Layer:
        raise AssertionError("a matter in two steps is not called in one")

    def drafts(self, frames: Iterable[Frame], *, delay: int) -> Iterator[tuple[Frame, float]]:
        waiting: deque[Frame] = deque()
        for frame in frames:
            self.threads.add(threading.get_ident())
            waiting.append(frame)
            if len(waiting) > delay:
                shown = waiting.popleft()
                yield shown, shown.rgb[0, 0, 0] / 255
        yield from ((frame, frame.rgb[0, 0, 0] / 255) for frame in waiting)

    def finish(self, frame: Frame, draft: float) -> Layer:
        self.threads.add(threading.get_ident())
        return Layer(frame.rgb, np.full(frame.rgb.shape[:2], draft, np.float32))


@pytest.mark.parametrize("count", [0, 1, 2, 20])
@pytest.mark.parametrize("delay", [0, 1])
def test_every_picture_is_made_of_a_frame_and_its_own_matte(count: int, delay: int) -> None:
    sink = Recorder()
    report = run_offline(frames(count), LateGrey(), output_picture("alpha"), sink, delay=delay)
    assert [frame.index for _, frame in sink.written] == list(range(count))
    assert all(image[0, 0] == frame.index for image, frame in sink.written)
    assert (report.frames, report.stopped_early) == (count, False)


def test_stop_with_a_delay_writes_the_frame_that_waits() -> None:
    stop = threading.Event()
    sink = Recorder(seconds=0.005)

    def stop_after_five(count: int) -> None:
        if count == 5:
            stop.set()

    picture = output_picture("alpha")
    report = run_offline(frames(1000), LateGrey(), picture, sink, delay=1, progress=stop_after_five, stop=stop)
    assert report.stopped_early
    # Five, what the networks have done or begun by then, and the frame that waits for its next.
    assert 6 <= report.frames <= 9
    assert [frame.index for _, frame in sink.written] == list(range(report.frames))
    assert sink.finished_early == 1


def test_the_networks_work_in_a_thread_of_their_own_beside_the_callers() -> None:
    matter = LateGrey()
    run_offline(frames(5), matter, output_picture("alpha"), Recorder())
    assert len(matter.threads) == 2
    assert threading.get_ident() in matter.threads


@pytest.mark.parametrize("fails_in", ["drafts", "finish"])
def test_an_error_of_either_step_is_raised_once_in_the_caller(fails_in: str) -> None:
    class Broken(LateGrey):
        def drafts(self, frames: Iterable[Frame], *, delay: int) -> Iterator[tuple[Frame, float]]:
            for frame, draft in super().drafts(frames, delay=delay):
                if fails_in == "drafts" and frame.index == 3:
                    raise ValueError("the network fell over")
                yield frame, draft

        def finish(self, frame: Frame, draft: float) -> Layer:
            if fails_in == "finish" and frame.index == 3:
                raise ValueError("the network fell over")
            return super().finish(frame, draft)

    with pytest.raises(ValueError, match="fell over"):
        run_offline(frames(1000), Broken(), output_picture("alpha"), Recorder())


def test_an_error_of_the_source_passes_through_both_steps() -> None:
    def broken() -> Iterator[Frame]:
        yield from frames(3)
        raise InputError("the video is broken after frame 3")

    with pytest.raises(InputError, match="broken after frame 3"):
        run_offline(broken(), LateGrey(), output_picture("alpha"), Recorder())


def test_a_delay_needs_a_matter_that_can_wait() -> None:
    with pytest.raises(ValueError, match="one frame at a time"):
        run_offline(frames(3), left_half, output_picture("alpha"), Recorder(), delay=1)


def test_opencv_is_left_with_one_thread() -> None:
    cv2.setNumThreads(2)
    run_offline(frames(1), left_half, output_picture("alpha"), Recorder())
    assert cv2.getNumThreads() == 1


def _picture_of_grey_80(kind: str, background: str | None = None) -> NDArray[np.uint8]:
    rgb = np.full((HEIGHT, WIDTH, 3), 80, np.uint8)
    opened = None if background is None else open_background(background)
    make = output_picture(kind, opened)  # type: ignore[arg-type]
    return make(Frame(rgb, 0, Fraction(1, RATE), 0), left_half(rgb))


def test_alpha_output_is_rounded_to_bytes() -> None:
    alpha = _picture_of_grey_80("alpha")
    assert alpha.shape == (HEIGHT, WIDTH)
    assert alpha.dtype == np.uint8
    assert alpha[0, [0, WIDTH // 2, WIDTH - 1]].tolist() == [255, 128, 0]


def test_foreground_output_holds_nothing_of_the_old_room() -> None:
    foreground = _picture_of_grey_80("foreground")
    assert foreground[0, [0, WIDTH // 2, WIDTH - 1], 0].tolist() == [80, 80, 0]


def test_rgba_output_is_straight_and_holds_nothing_of_the_old_room() -> None:
    rgba = _picture_of_grey_80("rgba")
    expected = [[80, 80, 80, 255], [80, 80, 80, 128], [0, 0, 0, 0]]
    assert rgba[0, [0, WIDTH // 2, WIDTH - 1]].tolist() == expected


def test_composite_output_lies_over_the_background() -> None:
    composite = _picture_of_grey_80("composite", "#000000")
    assert composite.shape == (HEIGHT, WIDTH, 3)
    assert composite[0, [0, WIDTH // 2, WIDTH - 1], 1].tolist() == [80, 40, 0]


def test_a_composite_needs_a_background() -> None:
    with pytest.raises(InputError, match="needs a background"):
        output_picture("composite")


@pytest.mark.parametrize("kind", ["alpha", "foreground", "rgba"])
def test_a_background_that_would_be_ignored_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match=f"no use with {kind}"):
        _picture_of_grey_80(kind, "#00FF00")


def test_a_video_becomes_a_video_of_the_same_length_and_times(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    with (
        open_source(str(video)) as source,
        open_sink(str(out), info=source.info, kind="composite", audio_from=None) as sink,
    ):
        picture = output_picture("composite", open_background("#000000"))
        assert run_offline(source, left_half, picture, sink).frames == 20
    with open_source(str(video)) as before, open_source(str(out)) as after:
        pairs = list(zip(before, after, strict=True))
    for old, new in pairs:
        assert new.time == pytest.approx(old.time, abs=1e-3)
        assert abs(int(new.rgb[24, 16, 0]) - int(old.rgb[24, 16, 0])) <= 4
        assert new.rgb[24, 56].max() <= 4
