"""`python -m train.evaluate --blame`: arithmetic on made-up arrays, stages of tiny models, rules of kinds."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting import metrics
from realtime_matting.defaults import DEFAULT_MODEL
from realtime_matting.errors import InputError
from realtime_matting.matting.matter import Matter
from train import evaluate as command
from train.checkpoints import Checkpoint, save_checkpoint
from train.cli import run
from train.config import PhaseConfig
from train.data.trimaps import BACKGROUND, FOREGROUND, UNKNOWN
from train.evaluation.blame import (
    COLOURS,
    WORST,
    Mattes,
    blame,
    error_map,
    mean,
    perfect_trimap,
    regions,
    run_stages,
    split_error,
)
from train.evaluation.framing import Sample
from train.evaluation.kinds import LINES, RULES, kinds_of
from train.evaluation.sets import Clip, EvaluationSet
from train.evaluation.stages import enlarge, open_stages
from train.inference import open_checkpoint
from train.networks import build_network

SIZE = (320, 180)


def plane(*values: float) -> np.ndarray:
    return np.float32([values])


def trimap(*values: int) -> np.ndarray:
    return np.uint8([values])


def test_each_part_is_what_was_put_there_by_hand():
    # Ten pixels: one known and wrong, one soft and lost, three in the band (one away from the edge), the rest right.
    truth = plane(1.0, 0.5, 0.5, 0.5, 0.0, 0, 0, 0, 1, 1)
    mattes = Mattes(
        truth=truth,
        alpha=plane(0.0, 1.0, 0.8, 0.4, 0.3, 0, 0, 0, 1, 1),
        unavoidable=plane(1.0, 0.4, 0.6, 0.5, 0.0, 0, 0, 0, 1, 1),
        perfect_trimap=trimap(255, 128, 128, 128, 0, 0, 0, 0, 255, 255),
        trimap=trimap(0, 255, 128, 128, 128, 0, 0, 0, 255, 255),
        with_perfect_trimap=plane(1.0, 0.4, 0.7, 0.5, 0.0, 0, 0, 0, 1, 1),
        with_perfect_m_net=plane(0.0, 1.0, 0.6, 0.5, 0.2, 0, 0, 0, 1, 1),
    )
    values = split_error(mattes)
    expected = {
        "mad": 1.0 + 0.5 + 0.3 + 0.1 + 0.3,
        "upsampling": 0.1 + 0.1,
        "known_wrong": 1.0,
        "soft_lost": 0.5 - 0.1,
        "band_inside": (0.3 - 0.1) + 0.1,
        "band_away": 0.3,
        "band": 0.6,
        "m_net": (0.1 + 0.2) - 0.2,
        "t_net": (1.0 + 0.5 + 0.1 + 0.2) - 0.2,
        "joint": (2.2 - 0.2) - (0.3 - 0.2) - (1.8 - 0.2),
    }
    for name, total in expected.items():
        assert values.pop(name) == pytest.approx(1e3 * total / 10, rel=1e-5), name
    assert values == pytest.approx({"unknown": 30, "unknown_perfect": 30, "swapped": 100})


def test_a_one_step_models_error_is_split_by_the_true_band():
    mattes = Mattes(
        truth=plane(1, 0.5, 0, 0),
        alpha=plane(0.5, 0.9, 0, 0.2),
        unavoidable=plane(1, 0.6, 0, 0),
        perfect_trimap=trimap(255, 128, 0, 0),
    )
    values = split_error(mattes)
    assert values == pytest.approx(
        {"mad": 275, "upsampling": 25, "outside": 175, "inside": 75, "unknown_perfect": 25}, rel=1e-5
    )


@given(seed=st.integers(0, 10_000), one_step=st.booleans())
def test_the_parts_add_up_whatever_the_mattes(seed, one_step):
    rng = np.random.default_rng(seed)
    alphas = rng.random((5, 9, 7), np.float32)
    alphas[rng.random(alphas.shape) < 0.3] = 0
    alphas[rng.random(alphas.shape) < 0.3] = 1
    own, perfect = rng.choice(np.uint8([BACKGROUND, UNKNOWN, FOREGROUND]), (2, 9, 7))
    mattes = Mattes(*alphas[:3], perfect, *(() if one_step else (own, *alphas[3:])))
    values = split_error(mattes)
    assert values["mad"] == pytest.approx(metrics.mad(mattes.alpha, mattes.truth), rel=1e-5)
    assert np.all(sum(region.astype(int) for region in regions(mattes).values()) == 1)
    if one_step:
        assert values["mad"] == pytest.approx(values["outside"] + values["inside"] + values["upsampling"])
        return
    by_region = sum(values[name] for name in ("known_wrong", "soft_lost", "band", "upsampling"))
    assert by_region == pytest.approx(values["mad"])
    by_stage = sum(values[name] for name in ("t_net", "joint", "m_net", "upsampling"))
    assert by_stage == pytest.approx(values["mad"])
    assert values["band"] == pytest.approx(values["band_inside"] + values["band_away"], abs=1e-6)


def test_the_map_has_the_colour_of_the_part_that_has_most_of_the_error():
    mattes = Mattes(
        truth=plane(1, 0.5, 0.5, 0, 0.5, 0),
        alpha=plane(0, 1, 1, 1, 0.6, 0),
        unavoidable=plane(1, 0.5, 0.5, 0, 0.6, 0),
        perfect_trimap=trimap(255, 128, 128, 0, 128, 0),
        trimap=trimap(0, 255, 128, 128, 128, 0),
    )
    (colours,) = error_map(mattes)
    wanted = ("known_wrong", "soft_lost", "band_inside", "band_away", "upsampling")
    strength = np.sqrt([1, 0.5, 0.5, 1, 0.1])
    for colour, name, by in zip(colours, wanted, strength, strict=False):
        assert np.abs(colour - np.float32(COLOURS[name]) * by).max() <= 1, name
    assert colours[-1].max() == 0


def test_a_perfect_trimap_has_the_training_radius_at_the_t_nets_resolution():
    truth = np.zeros((180, 320), np.float32)
    truth[:, 160:] = 1
    background, unknown, foreground = perfect_trimap(truth, (160, 90), 0.024)
    # 0.024 of (160 + 90)/2 are 3 pixels to both sides of the edge, which lies between two pixels.
    row = "".join("bu"[int(u)] if not f else "f" for u, f in zip(unknown[45], foreground[45], strict=True))
    assert row == "b" * 77 + "u" * 6 + "f" * 77
    assert np.all(background + unknown + foreground == 1)


def green_person(soft: int = 9, shape: tuple[int, int] = SIZE[::-1]) -> Sample:
    """What the green bundle takes for a person: a disc, straight green on blue, with a soft edge."""
    disc = np.zeros(shape, np.uint8)
    cv2.circle(disc, (shape[1] // 2, shape[0] * 2 // 3), shape[0] // 3, 255, -1, cv2.LINE_AA)
    truth = cv2.blur(disc, (soft, soft)).astype(np.float32) / 255
    image = np.zeros((*shape, 3), np.uint8)
    image[..., 1] = np.uint8(truth * 255 + 0.5)
    return Sample(image, truth)


def test_stage_by_stage_a_bundle_makes_the_runtimes_alpha(green_bundle):
    sample = green_person()
    matter = Matter(green_bundle, foreground=False, window=False)
    with open_stages([str(green_bundle)]) as (stages,), matter:
        mattes = run_stages(stages, sample)
        matte = matter(sample.image)
        assert mattes.alpha.shape == sample.truth.shape
        assert np.abs(mattes.alpha - matte.alpha).max() < 0.01
        assert np.mean(mattes.trimap == matte.trimap) > 0.99
        # By its rule soft edges above 0.5 are called foreground: lost, and found again with the perfect trimap.
        values = split_error(mattes)
    assert values["soft_lost"] > 0.5 * values["mad"]
    assert values["t_net"] == pytest.approx(values["mad"], rel=0.2)
    assert abs(values["joint"]) < 0.1 * values["mad"]
    assert abs(values["m_net"]) < 0.1 * values["mad"]


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """An untrained shm-mobile after all phases."""
    torch.manual_seed(1)
    network = build_network("shm-mobile")
    config = {"phases": {"end_to_end": {"trimap_radius": 0.02}}}
    save_checkpoint(
        tmp_path / "shm", Checkpoint("shm-mobile", "end_to_end", 3, config), network.state_dict(), None, None
    )
    return tmp_path / "shm"


def test_stage_by_stage_a_checkpoint_makes_its_own_alpha(checkpoint):
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8), (160, 96))
    expected = open_checkpoint(checkpoint, device="cpu").predict(image)
    with open_stages([str(checkpoint)], device="cpu") as (stages,):
        assert stages.radius == 0.02
        trimap = stages.trimap(image)
        assert np.allclose(enlarge(stages.alpha(image, trimap), image), expected.alpha, atol=1e-5)
        assert stages.alpha(image, trimap).shape == stages.size(image)[::-1]


def test_the_band_of_bundles_is_the_one_that_training_has_by_default(green_bundle):
    with open_stages([str(green_bundle)]) as (stages,):
        assert stages.radius == PhaseConfig.model_fields["trimap_radius"].default


def test_one_stage_alone_cannot_be_split(tmp_path):
    weights = {name: one for name, one in build_network("shm-mobile").state_dict().items() if name.startswith("t_net.")}
    save_checkpoint(tmp_path / "t_net", Checkpoint("shm-mobile", "t_net", 3, {}), weights, None, None)
    with pytest.raises(InputError, match="one stage alone"), open_stages([str(tmp_path / "t_net")], device="cpu"):
        pass


class Steps:
    """A one-step model that says ``value`` everywhere, at half size."""

    fills_trimaps = False
    radius = 0.012
    name = "steps"

    def __init__(self, value: float) -> None:
        self.value = value

    def alpha(self, rgb, trimap):
        assert trimap is None
        return np.full(self.size(rgb)[::-1], self.value, np.float32)

    def size(self, rgb):
        return rgb.shape[1] // 2, rgb.shape[0] // 2


def test_sets_are_averaged_over_clips_and_kinds_over_pictures():
    samples = [
        green_person(),
        green_person(5),
        Sample(*(np.zeros_like(a) for a in vars(green_person()).values() if a is not None)),
    ]
    clips = (Clip("two", 2, lambda i: samples[i]), Clip("none", 1, lambda i: samples[2]))
    (found,) = blame([Steps(0.0)], [EvaluationSet("set", True, clips)])
    mads = [1e3 * float(sample.truth.mean(dtype=np.float64)) for sample in samples]
    assert found.of_set("set")["mad"] == pytest.approx((np.mean(mads[:2]) + 0) / 2, rel=1e-4)
    assert [one["mad"] for one in found.kinds["nobody"]] == [0]
    assert mean(found.sets["set"]["two"])["mad"] == pytest.approx(np.mean(mads[:2]), rel=1e-4)


def test_a_sheet_keeps_the_worst_pictures_and_one_of_a_clip():
    frames = [np.full((40, 60), level, np.float32) for level in np.linspace(0.6, 1, 10)]
    image = np.full((40, 60, 3), 90, np.uint8)
    singles = [Clip(f"still {n}", 1, lambda i, n=n: Sample(image, frames[n])) for n in range(9)]
    sequence = Clip("sequence", 10, lambda i: Sample(image, frames[i]))
    (found,) = blame([Steps(0.0)], [EvaluationSet("set", True, (sequence, *singles))])
    cases = found.worst["cut by the frame"]
    assert [case.label for case in cases] == ["set: sequence", *(f"set: still {n}" for n in (8, 7, 6, 5, 4))]
    assert len(cases) == WORST


def kinds(sample: Sample, person: Path | None = None) -> set[str]:
    return set(kinds_of(sample, person))


def person_at(center: tuple[int, int], radius: int, *, colour: int = 200, behind: int = 120) -> Sample:
    truth = np.zeros((LINES, 640), np.uint8)
    cv2.circle(truth, center, radius, 255, -1, cv2.LINE_AA)
    image = np.full((LINES, 640, 3), behind, np.uint8)
    image[truth > 127] = colour
    return Sample(image, truth.astype(np.float32) / 255)


def test_kinds_that_show_in_the_picture_are_seen_there():
    plain = person_at((320, 250), 90)
    assert kinds(plain) == set()
    assert kinds(person_at((20, 250), 90)) == {"cut by the frame"}
    assert kinds(person_at((320, 340), 90)) == set()  # below, nearly everybody is cut
    assert kinds(person_at((320, 250), 90, colour=30, behind=40)) == {"dark on dark"}
    assert kinds(person_at((320, 250), 90, colour=30, behind=90)) == set()
    both = np.maximum(person_at((150, 250), 90).truth, person_at((450, 250), 60).truth)
    assert kinds(Sample(plain.image, both)) == {"several people"}
    stripes = plain.image.copy()
    stripes[:, ::8] = stripes[:, 1::8] = 180
    assert kinds(Sample(stripes, plain.truth)) == {"cluttered room"}
    assert kinds(Sample(plain.image, np.zeros_like(plain.truth))) == {"nobody"}
    assert set(RULES) >= {"hair", "hands", "held things"}


def test_strands_are_hair_and_a_blurred_edge_is_not():
    sample = person_at((320, 250), 90)
    blurred = np.asarray(cv2.GaussianBlur(sample.truth, (0, 0), 1.2))
    assert "hair" not in kinds(Sample(sample.image, blurred))
    strands = sample.truth.copy()
    strands[80:200, 220:420] = np.maximum(0.4, strands[80:200, 220:420] * 0.8)
    assert "hair" in kinds(Sample(sample.image, strands))


def test_what_is_written_of_a_person_decides_before_the_picture_and_the_name(tmp_path):
    sample = person_at((320, 250), 90)
    lines = [
        {"name": "a", "hair": "longwavy", "arms": {"l": "down", "r": "desk"}, "props": ["glasses"]},
        {"name": "waving_phone", "hair": "cards:short02", "arms": {"l": "down", "r": "hip"}, "props": []},
        {"name": "c", "hair": "bald", "arms": {"l": "drink", "r": "desk"}, "props": ["mug:l"]},
    ]
    (tmp_path / "meta.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert kinds(sample, tmp_path / "a.jpg") == {"hair"}
    assert kinds(sample, tmp_path / "waving_phone.jpg") == set()
    assert kinds(sample, tmp_path / "c.jpg") == {"hands", "held things"}
    assert kinds(sample, tmp_path / "using_phone.jpg") == {"hands", "held things"}  # without a line
    assert kinds(sample, tmp_path / "man_pointing_up.jpg") == {"hands"}
    (tmp_path / "clips.jsonl").write_text(json.dumps({**lines[2], "name": "clip_1"}))
    assert kinds(sample, tmp_path / "clip_1" / "000.jpg") == {"hands", "held things"}


def test_a_broken_listing_is_named(tmp_path):
    (tmp_path / "meta.jsonl").write_text('{"no": "name"}\n')
    with pytest.raises(InputError, match=r"meta\.jsonl"):
        kinds_of(person_at((320, 250), 90), tmp_path / "a.jpg")


@pytest.fixture
def people(tmp_path, monkeypatch) -> Path:
    """The current folder: validation/real with one green man, backgrounds/validation with a grey room."""
    monkeypatch.chdir(tmp_path)
    for folder in ("validation/real", "backgrounds/validation"):
        Path(folder).mkdir(parents=True)
    sample = green_person(3, shape=(80, 60))
    cv2.imwrite("validation/real/man_waving.jpg", np.full((80, 60, 3), (0, 255, 0), np.uint8))
    cv2.imwrite("validation/real/man_waving_alpha.png", np.uint8(sample.truth * 255))
    line = {"name": "man_waving", "hair": "short", "arms": {"l": "down", "r": "wave"}, "props": []}
    Path("validation/real/meta.jsonl").write_text(json.dumps(line))
    for number in range(3):
        cv2.imwrite(f"backgrounds/validation/room_{number}.jpg", np.full((90, 160, 3), 100 + 30 * number, np.uint8))
    return tmp_path


def call(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["evaluate", "--data", "validation", "--size", "320x180", *arguments])
    with pytest.raises(SystemExit) as exit_:
        run(command.app, extra="train")
    return exit_.value.code or 0


def test_the_command_writes_tables_json_and_sheets(people, green_bundle, monkeypatch, capsys):
    arguments = [str(green_bundle), "--set", "real", "--set", "nobody"]
    assert call(monkeypatch, *arguments, "--blame", "--out", "blame") == 0
    printed = capsys.readouterr().out
    assert "by set" in printed
    assert "MAD = T + joint + M + d" in " ".join(printed.split())
    report = json.loads(Path("blame/blame.json").read_text())
    assert report["settings"]["sets"] == ["real", "nobody"]
    (model,) = report["models"].values()
    assert set(model["kinds"]) == {"hands", "nobody"}
    assert model["kinds"]["hands"]["rule"] == RULES["hands"]
    values = model["sets"]["real"]["mean"]
    parts = sum(values[name] for name in ("known_wrong", "soft_lost", "band", "upsampling"))
    assert parts == pytest.approx(values["mad"], abs=1e-5)
    markdown = Path("blame/blame.md").read_text()
    assert "| hands | 3 | " in markdown
    assert f"- **hair**: {RULES['hair']}." in markdown
    (sheet,) = Path("blame").glob("blame_*_hands.png")
    assert cv2.imread(str(sheet)).shape == (24 + 3 * 200, 5 * 320, 3)

    # The same pictures, and the same error as without --blame.
    assert call(monkeypatch, *arguments, "--no-window", "--out", "whole") == 0
    whole = json.loads(Path("whole/evaluation.json").read_text())
    (measured,) = whole["sets"]["real"]["means"].values()
    assert values["mad"] == pytest.approx(measured["mad"], rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "no model whose error could be split"),
        (["no-such-model"], "no-such-model: no such model or folder"),
        (
            [DEFAULT_MODEL, "--baseline", "mediapipe"],
            "--blame: splits the error of models on the whole image; leave out",
        ),
        ([DEFAULT_MODEL, "--scale", "unknown"], "--blame: splits the error of models on the whole image; leave out"),
    ],
)
def test_bad_input_ends_in_one_line_and_exit_code_2(people, monkeypatch, capsys, arguments, complaint):
    assert call(monkeypatch, "--blame", "--set", "real", *arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: {complaint}")
