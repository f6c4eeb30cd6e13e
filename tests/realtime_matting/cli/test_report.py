"""Tables, memory readings and the progress bar."""

import resource

import pytest

from realtime_matting.cli.report import MemoryLog, format_table, progress_bar, resident_mebibytes, stage_table
from realtime_matting.pipeline import RunReport


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    table = format_table(("name", "ms"), [("a", "1.5"), ("longer", "10.25")], right_aligned={1})
    assert table.splitlines() == ["name       ms", "a         1.5", "longer  10.25"]


def test_the_stage_table_ends_with_frames_per_second_in_all() -> None:
    report = RunReport(50, 2.0, {"decode": 3.0, "matting": 21.5}, stopped_early=False, partial=None)
    lines = stage_table(report).splitlines()
    assert lines[1].split() == ["decode", "3.00"]
    assert lines[2].split() == ["matting", "21.50"]
    assert lines[3].split() == ["all,", "overlapped", "40.00"]
    assert lines[4] == "50 frames in 2.00 s: 25.0 fps"


def test_memory_now_is_no_more_than_the_most_ever() -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    assert 1 < resident_mebibytes() <= peak + 1


def test_memory_is_read_at_the_start_at_frame_500_and_at_the_end() -> None:
    log = MemoryLog()
    for frames in range(1, 700):
        log.frame_done(frames)
    line = log.line()
    assert [part.split(" MiB at ")[1] for part in line.removeprefix("memory (RSS): ").split(", ")] == [
        "start",
        "frame 500",
        "end",
    ]


def test_there_is_no_progress_bar_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(10) as update:
        update(5)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_frames_and_their_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bar(10) as update:
        for frames in range(1, 6):
            update(frames)
    shown = capsys.readouterr().err
    assert "10" in shown
    assert "fps" in shown
