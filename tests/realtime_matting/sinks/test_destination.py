"""What is left on the disk after success, failure and interruption."""

import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from realtime_matting.errors import InputError, OutputError
from realtime_matting.frames import Frame, StreamInfo
from realtime_matting.sinks import open_sink
from realtime_matting.sources import open_source

MakeInfo = Callable[..., StreamInfo]
At = Callable[..., Frame]

NOISE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
PICTURE = np.full((48, 64, 3), 90, np.uint8)


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """The system refuses to make any file of this process longer, as it would on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def frames_in(path: Path) -> int:
    with open_source(str(path)) as source:
        return len(list(source))


@pytest.mark.parametrize("name", ["full.mp4", "full.mkv", "full.webm", "frames/"])
def test_a_full_disk_is_one_clear_error_and_leaves_the_old_file(
    tmp_path: Path, info: MakeInfo, at: At, name: str
) -> None:
    target = tmp_path / name
    if not name.endswith("/"):
        target.write_bytes(b"old")

    def write() -> None:
        with open_sink(f"{tmp_path}/{name}", info=info(320, 240), kind="composite") as sink:
            for index in range(60):
                sink.write(np.roll(NOISE, 1000 * index), at(index))

    with files_limited_to(100_000), pytest.raises(OutputError) as caught:
        write()
    assert str(tmp_path / name.strip("/")) in str(caught.value)
    assert "File too large" in str(caught.value)
    assert "\n" not in str(caught.value)
    if name.endswith("/"):
        assert os.listdir(tmp_path) == []
    else:
        assert os.listdir(tmp_path) == [name]
        assert target.read_bytes() == b"old"


def test_a_disk_that_fills_up_at_the_very_end_is_noticed_too(tmp_path: Path, info: MakeInfo, at: At) -> None:
    """The pictures are still in the encoder and in buffers; only completing the file writes them."""
    sink = open_sink(str(tmp_path / "end.mkv"), info=info(320, 240), kind="composite", crf=1)
    for index in range(3):
        sink.write(NOISE, at(index))
    with files_limited_to(20_000), pytest.raises(OutputError, match="File too large"):
        sink.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["o.mp4", "o.png", "frames/"])
def test_an_exception_leaves_the_old_output_and_nothing_else(tmp_path: Path, info: MakeInfo, at: At, name: str) -> None:
    if not name.endswith("/"):
        (tmp_path / name).write_bytes(b"old")

    def write() -> None:
        with open_sink(f"{tmp_path}/{name}", info=info(), kind="composite") as sink:
            sink.write(PICTURE, at(0))
            assert len([entry for entry in os.listdir(tmp_path) if entry.startswith(".")]) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert os.listdir(tmp_path) == ([] if name.endswith("/") else [name])
    if not name.endswith("/"):
        assert (tmp_path / name).read_bytes() == b"old"


def test_a_new_file_replaces_the_old_one_when_complete(tmp_path: Path, info: MakeInfo, at: At) -> None:
    target = tmp_path / "o.mp4"
    target.write_bytes(b"old")
    with open_sink(str(target), info=info(), kind="composite") as sink:
        sink.write(PICTURE, at(0))
        sink.write(PICTURE, at(1))
        assert target.read_bytes() == b"old"
    assert frames_in(target) == 2
    assert os.listdir(tmp_path) == ["o.mp4"]


def test_the_file_has_the_permissions_a_new_file_gets(tmp_path: Path, info: MakeInfo, at: At) -> None:
    (tmp_path / "plain").touch()
    with open_sink(str(tmp_path / "o.mp4"), info=info(), kind="composite") as sink:
        sink.write(PICTURE, at(0))
    assert stat.S_IMODE((tmp_path / "o.mp4").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_symbolic_link_stays_one(tmp_path: Path, info: MakeInfo, at: At) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "real" / "o.mp4")
    with open_sink(str(tmp_path / "link.mp4"), info=info(), kind="composite") as sink:
        sink.write(PICTURE, at(0))
    assert (tmp_path / "link.mp4").is_symlink()
    assert frames_in(tmp_path / "real" / "o.mp4") == 1


@pytest.mark.parametrize("name", ["o.mp4", "o.mkv", "o.webm", "o.mov"])
@pytest.mark.parametrize("old", [False, True])
def test_finishing_early_leaves_a_playable_file(tmp_path: Path, info: MakeInfo, at: At, name: str, old: bool) -> None:
    target = tmp_path / name
    if old:
        target.write_bytes(b"old")
    with open_sink(str(target), info=info(), kind="composite") as sink:
        for index in range(10):
            sink.write(PICTURE, at(index))
        left = sink.finish_early()
    assert left == (target.with_name(f"o.partial{target.suffix}") if old else target)
    assert frames_in(left) == 10
    assert sorted(os.listdir(tmp_path)) == sorted({name, left.name})
    if old:
        assert target.read_bytes() == b"old"


def test_finishing_early_before_the_first_picture_leaves_nothing(tmp_path: Path, info: MakeInfo) -> None:
    for name in ("o.mp4", "frames/"):
        sink = open_sink(f"{tmp_path}/{name}", info=info(), kind="composite")
        with sink, pytest.raises(OutputError, match="no picture was written"):
            sink.finish_early()
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["o.mp4", "o.png"])
def test_a_closed_sink_can_be_closed_and_aborted_but_not_used(
    tmp_path: Path, info: MakeInfo, at: At, name: str
) -> None:
    sink = open_sink(str(tmp_path / name), info=info(), kind="composite")
    sink.write(PICTURE, at(0))
    sink.close()
    sink.close()
    sink.abort()
    assert frames_in(tmp_path / name) == 1
    with pytest.raises(ValueError, match="this sink is closed"):
        sink.write(PICTURE, at(1))
    with pytest.raises(ValueError, match="this sink is closed"):
        sink.finish_early()


@pytest.mark.parametrize("name", ["absent/o.mp4", "absent/o.png", "absent/frames/", "absent/a_%06d.png"])
def test_a_missing_folder_is_named(tmp_path: Path, info: MakeInfo, name: str) -> None:
    (tmp_path / "here").mkdir()
    root = tmp_path if name != "absent/a_%06d.png" else tmp_path / "gone"
    with pytest.raises(InputError, match=r"the folder .* does not exist; make it first"):
        open_sink(f"{root}/{name}", info=info(), kind="composite")


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path, info: MakeInfo) -> None:
    for name in ("o.mp4", "o.png"):
        (tmp_path / name).mkdir()
        with pytest.raises(InputError, match="is a folder; name a file in it"):
            open_sink(str(tmp_path / name), info=info(), kind="composite")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file, and a folder for pictures is needed"):
        open_sink(f"{tmp_path}/file/", info=info(), kind="composite")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path, info: MakeInfo) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        open_sink(str(tmp_path / "locked" / "o.mp4"), info=info(), kind="composite")


def make_clip(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 64, 48
        frame = av.VideoFrame.from_ndarray(PICTURE, format="rgb24")
        frame.pts = 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_the_input_is_never_overwritten_by_whatever_name(tmp_path: Path, info: MakeInfo) -> None:
    clip = make_clip(tmp_path / "in.mp4")
    content = clip.read_bytes()
    (tmp_path / "link.mp4").symlink_to(clip)
    os.link(clip, tmp_path / "hard.mp4")
    for name in ("in.mp4", "../" + tmp_path.name + "/in.mp4", "link.mp4", "hard.mp4"):
        with pytest.raises(InputError, match="is also the input, which would be overwritten"):
            open_sink(f"{tmp_path}/{name}", info=info(uri=str(clip)), kind="composite")
        with pytest.raises(InputError, match="is also the input"):
            open_sink(f"{tmp_path}/{name}", info=info(), kind="composite", audio_from=str(clip))
    assert clip.read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == ["hard.mp4", "in.mp4", "link.mp4"]
