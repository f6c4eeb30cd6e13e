"""`python -m train.evaluate` on a toy validation folder in which people are discs."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from realtime_matting.errors import InputError, MissingExtraError
from realtime_matting.models.bundle import Bundle
from train import evaluate as command
from train.cli import run
from train.evaluation.baselines import open_predictors
from train.evaluation.framing import Camera, frame_person
from train.evaluation.measure import evaluate
from train.evaluation.report import rows, write_report
from train.evaluation.sets import SET_NAMES, load_sets

SIZE = (160, 90)


def draw_person(path: Path, width: int, height: int, center: tuple[int, int], radius: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    alpha = np.zeros((height, width), np.uint8)
    cv2.circle(alpha, center, radius, 255, -1, cv2.LINE_AA)
    cv2.imwrite(str(path), np.full((height, width, 3), (60, 90, 220), np.uint8))
    cv2.imwrite(str(path.with_name(f"{path.stem}_alpha.png")), alpha)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A validation folder with two people in each set of stills, sequences of three frames, four backgrounds."""
    validation = tmp_path / "validation"
    for number in range(2):
        draw_person(validation / "openpeople" / f"P{number}.jpg", 60, 60, (30, 40), 25)
        draw_person(validation / "real" / f"man_{number}.jpg", 30, 80, (15, 40), 12)
        draw_person(validation / "rendered" / "stills" / f"webcam_{number}.jpg", 64, 36, (20 + 9 * number, 25), 14)
    for frame in range(3):
        draw_person(validation / "dancer" / f"{frame:03}.jpg", 96, 54, (30 + 3 * frame, 40), 20)
        draw_person(validation / "rendered" / "clip_1" / f"{frame:03}.jpg", 96, 54, (50 - 3 * frame, 40), 20)
    (validation / "rendered" / "clips.jsonl").write_text('{"name": "clip_1", "motion": "turn"}\n')
    backgrounds = tmp_path / "backgrounds" / "validation"
    backgrounds.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for number in range(4):
        picture = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (80, 60), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(backgrounds / f"room_{number}.jpg"), picture)
    return validation


def load(data: Path, names: tuple[str, ...] = SET_NAMES, limit: int | None = None):
    return load_sets(list(names), data, data.parent / "backgrounds" / "validation", size=SIZE, limit=limit)


class Oracle:
    """Knows the truth of every picture, and notes what it is asked."""

    name = "oracle"
    needs_trimap = False

    def __init__(self, sets) -> None:
        samples = [clip.sample(i) for one in sets for clip in one.clips for i in range(clip.frames)]
        self.truths = {sample.image.tobytes(): sample.truth for sample in samples}
        self.streams: list[int] = []

    def __call__(self, rgb, trimap=None):
        assert trimap is None
        self.streams[-1] += 1
        return self.truths[rgb.tobytes()]

    def reset(self) -> None:
        self.streams.append(0)


class Constant:
    needs_trimap = False

    def __init__(self, value: float) -> None:
        self.name, self.value = f"constant/{value}", value

    def __call__(self, rgb, trimap=None):
        assert trimap is None
        return np.full(rgb.shape[:2], self.value, np.float32)

    def reset(self) -> None:
        pass


def test_the_truth_itself_scores_zero_in_every_set(data):
    sets = load(data)
    result = evaluate([Oracle(sets)], sets)
    assert [one.name for one in result.sets] == list(SET_NAMES)
    for one in result.sets:
        means = one.means("oracle")
        best, value = ("iou", 1) if one.people else ("clean", 100)
        assert means.pop(best) == value
        assert max(means.values()) == pytest.approx(0, abs=1e-9), one.name
        assert ("dtssd" in means) == (one.name in ("dancer", "clips"))


def test_errors_are_those_of_the_alpha_that_was_predicted(data):
    sets = load(data, ("openpeople", "dancer", "nobody"))
    stills, dancer, nobody = evaluate([Constant(0.0), Constant(1.0)], sets).sets
    covered = 1e3 * np.mean([clip.sample(0).truth.mean(dtype=np.float64) for clip in sets[0].clips])
    assert stills.means("constant/0.0")["mad"] == pytest.approx(covered, rel=1e-5)
    assert stills.means("constant/1.0")["mad"] == pytest.approx(1000 - covered, rel=1e-5)
    assert stills.means("constant/0.0")["iou"] == 0
    assert dancer.means("constant/0.0")["dtssd"] > 1
    assert nobody.means("constant/1.0") == {"share": 100.0, "mean_alpha": 1000.0, "clean": 0.0}


def test_each_picture_and_each_sequence_is_a_stream_of_its_own(data):
    sets = load(data, ("real", "clips", "dancer"))
    oracle = Oracle(sets)
    evaluate([oracle], sets)
    assert oracle.streams == [1] * 6 + [3] + [3, 3]


def test_every_predictor_and_every_run_sees_the_same_pictures(data):
    first, second = (evaluate([Constant(0.0), Constant(1.0)], load(data)) for _ in range(2))
    assert [one.digest for one in first.sets] == [one.digest for one in second.sets]
    assert len({one.digest for one in first.sets}) == len(SET_NAMES)


def test_a_limit_changes_how_many_pictures_there_are_but_not_the_pictures(data):
    whole = {clip.name: clip for one in load(data) for clip in one.clips}
    for one in load(data, limit=2):
        assert one.frames == (2 * len(one.clips) if one.name in ("dancer", "clips") else 2)
        for clip in one.clips:
            assert np.array_equal(clip.sample(1 % clip.frames).image, whole[clip.name].sample(1 % clip.frames).image)


def test_pictures_have_the_asked_size_and_sequences_their_own(data):
    for one in load(data):
        expected = (54, 96) if one.name in ("dancer", "clips") else SIZE[::-1]
        for clip in one.clips:
            sample = clip.sample(0)
            assert sample.image.shape == (*expected, 3)
            assert sample.truth.shape == expected
            assert sample.truth.dtype == np.float32


def test_the_dancers_background_moves_in_one_of_the_two_sequences(data):
    (dancer,) = load(data, ("dancer",))
    changes = []
    for clip in dancer.clips:
        corner = [clip.sample(i).image[:15, 70:].astype(np.float32) for i in (0, 2)]
        changes.append(np.abs(cv2.blur(corner[1], (5, 5)) - cv2.blur(corner[0], (5, 5))).mean())
    assert changes[1] > 2 * changes[0]


@given(
    sides=st.sets(st.sampled_from(["left", "top", "right", "bottom"])),
    width=st.integers(20, 120),
    height=st.integers(20, 120),
    seed=st.integers(0, 99),
    full_frame=st.booleans(),
)
def test_sides_at_which_a_person_is_cut_lie_on_the_frames_edge(sides, width, height, seed, full_frame):
    rgba = np.zeros((height, width, 4), np.uint8)
    y0, x0 = (0 if side in sides else 5 for side in ("top", "left"))
    y1, x1 = (end if side in sides else end - 5 for side, end in (("bottom", height), ("right", width)))
    rgba[y0:y1, x0:x1] = 255
    _, alpha = frame_person(np.random.default_rng(seed), rgba, (256, 144), full_frame=full_frame)
    touched = {"top": alpha[0].max(), "bottom": alpha[-1].max(), "left": alpha[:, 0].max(), "right": alpha[:, -1].max()}
    for side in sides & {"top", "bottom"}:
        assert touched[side] == 255
    across = sorted((touched["left"], touched["right"]))
    if {"left", "right"} <= sides:
        assert across == [255, 255]
    elif sides & {"left", "right"}:
        assert across[1] == 255  # which of the two depends on the mirroring


@given(seed=st.integers(0, 99))
def test_shoulders_that_run_out_of_both_sides_are_left_below_the_frame(seed):
    rgba = np.zeros((100, 100, 4), np.uint8)
    rgba[20:, 35:65] = 255
    rgba[90:] = 255
    _, alpha = frame_person(np.random.default_rng(seed), rgba, (256, 144), full_frame=False)
    assert alpha[-1].max() == 255
    assert alpha[:, [0, -1]].max() <= 255 * (np.count_nonzero(alpha[-1]) < 256)
    assert np.count_nonzero(alpha[-1]) < 144  # the head alone, not the shoulders


@given(seed=st.integers(0, 99))
def test_a_whole_person_fits_in_the_frame(seed):
    rgba = np.zeros((100, 40, 4), np.uint8)
    rgba[10:90, 10:30] = 255
    _, alpha = frame_person(np.random.default_rng(seed), rgba, (256, 144), full_frame=False)
    seen = np.flatnonzero(alpha.max(axis=1) > 127)
    assert 0.7 * 144 < len(seen) < 144
    assert np.count_nonzero(alpha > 127) / len(seen) == pytest.approx(len(seen) / 4, abs=2)  # its own aspect


def test_a_camera_picture_of_the_frames_aspect_keeps_its_framing():
    rgba = np.zeros((36, 64, 4), np.uint8)
    rgba[9:, 8:24] = 255
    _, alpha = frame_person(np.random.default_rng(3), rgba, (256, 144), full_frame=True)
    expected = np.kron(rgba[..., 3], np.ones((4, 4), np.uint8))
    error = min(np.abs(alpha.astype(int) - side).mean() for side in (expected, expected[:, ::-1]))
    assert error < 4


def test_blur_and_noise_reach_person_and_background_alike():
    grey = np.full((200, 200, 3), 128, np.uint8)
    alpha = np.zeros((200, 200), np.uint8)
    alpha[:, :100] = 255
    sample = Camera(blur=1.0, noise=4 / 255).shoot(np.random.default_rng(0), grey, alpha, grey)
    person, background = sample.image[:, :95].std(), sample.image[:, 105:].std()
    assert person == pytest.approx(background, rel=0.03)
    assert person > 2
    assert 0.5 < sample.truth[100, 99] < 0.9


def test_the_report_is_written_as_markdown_json_and_sheets(data, tmp_path):
    predictors = [Constant(0.5), Constant(1.0)]
    result = evaluate(predictors, load(data))
    written = write_report(result, "constant/1.0", tmp_path, command="python -m train.evaluate", settings={"seed": 1})
    assert [path.name for path in written] == [
        "evaluation.md",
        "evaluation.json",
        "worst_constant_0.5.png",
        "worst_constant_1.0.png",
    ]
    markdown = written[0].read_text()
    assert "## dancer (2 sequences, 6 frames, digest " in markdown
    assert "| ÷ constant/1.0 |" in markdown
    report = json.loads(written[1].read_text())
    assert {"command", "date", "machine", "versions", "settings"} <= set(report)
    assert report["sets"]["real"]["means"]["constant/1.0"]["mad"] > 0
    assert set(report["sets"]["nobody"]["means"]["constant/0.5"]) == {"share", "mean_alpha", "clean"}
    sheet = cv2.imread(str(written[2]))
    assert sheet.shape == (10 * 200, 4 * 320, 3)  # ten rows of a heading and four pictures


def test_the_sheet_shows_the_worst_clips_worst_first(data):
    sets = load(data, ("openpeople", "dancer", "nobody"))
    cases = evaluate([Constant(1.0)], sets).worst["constant/1.0"].sorted()
    assert len({case.label for case in cases}) == len(cases) == 6
    assert [case.error for case in cases] == sorted((case.error for case in cases), reverse=True)
    dancer = next(case for case in cases if case.label == "dancer: dancer over a still background")
    (clip,) = (clip for clip in sets[1].clips if clip.name in dancer.label)
    assert dancer.error == pytest.approx(1e3 * max(1 - clip.sample(i).truth.mean() for i in range(3)), rel=1e-4)


def test_the_share_of_pictures_that_stay_empty_is_told(data):
    evaluation = evaluate([Constant(0.0), Constant(0.003)], load(data, ("nobody",)))
    means = [evaluation.sets[0].means(name) for name in ("constant/0.0", "constant/0.003")]
    assert [one["clean"] for one in means] == [100.0, 0.0]


def test_ratios_stand_below_the_predictor_they_belong_to(data):
    evaluation = evaluate([Constant(0.25), Constant(1.0)], load(data, ("nobody",)))
    _, table = rows(evaluation, evaluation.sets[0], "constant/1.0")
    assert table == [
        ("constant/0.25", ["0.000", "250.00", "0.0"]),
        ("÷ constant/1.0", ["0.00", "0.25", "–"]),
        ("constant/1.0", ["100.000", "1000.00", "0.0"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["no-such-model"], "no-such-model: no such model or folder"),
        (["--set", "cats"], "cats: no such set"),
        (["--size", "huge"], "--size huge: not WIDTHxHEIGHT"),
        (["--baseline", "coin"], "coin: no such baseline"),
        ([], "nothing to evaluate"),
    ],
)
def test_bad_input_ends_in_one_line_and_exit_code_2(data, tmp_path, monkeypatch, capsys, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["evaluate", "--data", str(data), "--size", "160x90", *arguments])
    with pytest.raises(SystemExit) as exit_:
        run(command.app, extra="train")
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: {complaint}")


def write_bundle(folder: Path) -> None:
    """An ``alpha`` bundle whose network takes the mean of the colours for alpha."""
    rgb = helper.make_tensor_value_info("rgb", TensorProto.FLOAT, [1, 3, "H", "W"])
    alpha = helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1, 1, "H", "W"])
    weights = numpy_helper.from_array(np.full((1, 3, 1, 1), 1 / 3, np.float32), "w")
    graph = helper.make_graph([helper.make_node("Conv", ["rgb", "w"], ["alpha"])], "g", [rgb], [alpha], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    manifest = {
        "name": "mean-colour",
        "version": "1.0.0",
        "licence": "Apache-2.0",
        "description": "The mean of the colours.",
        "training_data": [{"name": "none", "licence": "none", "attribution": "none"}],
        "roles": {"alpha": {"stride": 8, "long_side": 160, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}},
    }
    Bundle.write(folder, manifest, {"alpha": model.SerializeToString()})


def test_a_bundle_is_measured_from_the_command_line(data, tmp_path, monkeypatch, capsys):
    write_bundle(tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    arguments = ["bundle", "--data", "validation", "--size", "160x90", "--out", "report", "--limit", "2"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *arguments])
    with pytest.raises(SystemExit) as exit_:
        run(command.app, extra="train")
    assert exit_.value.code == 0
    printed = capsys.readouterr().out
    assert "openpeople (2 pictures, digest " in printed
    assert {path.name for path in Path("report").iterdir()} == {"evaluation.md", "evaluation.json", "worst_bundle.png"}
    report = json.loads(Path("report/evaluation.json").read_text())
    assert report["command"] == f"python -m train.evaluate {' '.join(arguments)}"
    assert report["sets"]["clips"]["means"]["bundle"]["dtssd"] > 0


@pytest.mark.parametrize("missing", ["real/man_0_alpha.png", "dancer", "rendered/clips.jsonl"])
def test_incomplete_validation_data_are_named(data, missing):
    path = data / missing
    if path.is_dir():
        for file in path.iterdir():
            file.unlink()
    else:
        path.unlink()
    with pytest.raises(InputError, match=path.stem.removesuffix("_alpha")):
        evaluate([Constant(0.0)], load(data))


def test_a_missing_mediapipe_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MissingExtraError, match=r"rtmatte\[mediapipe\]"), open_predictors([], ["mediapipe"]):
        pass


@pytest.mark.parametrize("kind", ["landscape", "square", "pose"])
def test_a_mediapipe_baseline_gives_an_alpha_of_the_frames_size_and_forgets_on_reset(kind):
    pytest.importorskip("mediapipe", exc_type=ImportError)
    rgb = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    with open_predictors([], [f"mediapipe:{kind}"]) as (predictor,):
        predictor.reset()
        first = predictor(rgb)
        predictor(255 - rgb)
        predictor.reset()
        assert np.array_equal(predictor(rgb), first)
    assert predictor.name == f"mediapipe:{kind}"
    assert first.dtype == np.float32
    assert first.shape == (90, 160)
    assert 0 <= first.min() <= first.max() <= 1


def test_pairs_are_two_people_beside_each_other_and_every_second_pair_sits_behind_a_table(data: Path) -> None:
    (pairs,) = load(data, ("pairs",))
    # Neither of the rendered stills is whole in the toy folder's frames; those that are make two pairs each.
    assert pairs.people
    assert pairs.frames % 2 == 0
    assert pairs.frames >= 4
    samples = [clip.sample(0) for clip in pairs.clips]
    lowest = [sample.truth[-1].max() for sample in samples]
    assert max(lowest[1::2]) < 0.02, "a table hides the bottom"
    assert max(lowest[::2]) > 0.9
    for clip, sample in zip(pairs.clips[::2], samples[::2], strict=True):
        assert " and " in clip.name
        middle = sample.truth.shape[1] // 2
        assert sample.truth[:, :middle].max() > 0.9
        assert sample.truth[:, middle:].max() > 0.9


def test_pairs_need_two_people_who_are_cut_at_the_bottom_alone(data: Path) -> None:
    for folder in ("openpeople", "real", "rendered/stills"):
        for path in (data / folder).glob("*_alpha.png"):
            cv2.imwrite(str(path), np.full((40, 40), 255, np.uint8))
            cv2.imwrite(str(path).replace("_alpha.png", ".jpg"), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(InputError, match="no two people who are cut at the bottom alone"):
        load(data, ("pairs",))
