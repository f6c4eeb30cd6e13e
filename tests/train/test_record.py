"""What a run leaves beside its checkpoints."""

from pathlib import Path

from train.record import Curve


def test_rows_after_the_step_of_the_resumed_checkpoint_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "losses.csv"
    first = Curve(path, 0)
    first.add([{"step": step, "total": 1 / step} for step in range(1, 9)])
    with path.open("a") as file:
        file.write("9,0.")  # killed here
        file.write("\n10")
    again = Curve(path, 6)
    again.add([{"step": 7, "total": 0.25}])
    lines = path.read_text().splitlines()
    assert lines[0] == "step,total"
    assert [line.split(",")[0] for line in lines[1:]] == list("1234567")
    assert lines[-1] == "7,0.25"


def test_a_run_may_be_resumed_before_its_first_row(tmp_path: Path) -> None:
    path = tmp_path / "validation.csv"
    Curve(path, 0)
    Curve(path, 5)
    again = Curve(path, 5)
    again.add([{"step": 10, "score": 3.0}])
    assert path.read_text().split() == ["step,score", "10,3"]


def test_a_new_run_starts_an_empty_curve(tmp_path: Path) -> None:
    path = tmp_path / "losses.csv"
    Curve(path, 0).add([{"step": 1, "total": 2.0}])
    Curve(path, 0)
    assert path.read_text() == ""
