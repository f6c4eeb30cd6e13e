"""Triples of picture, trimap and alpha in the layouts users have them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime_matting.errors import InputError
from train.data.alphamatting import alphamatting_check, alphamatting_triples, is_alphamatting
from train.data.trimaps import BACKGROUND, FOREGROUND, UNKNOWN
from train.data.triples import composition_triples, match_triples, read_alpha, read_trimap


def save(path: Path, picture) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path


ALPHA = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)
TRIMAP = np.array([[0, 128, 128], [128, 128, 255]], np.uint8)
PICTURE = np.full((2, 3, 3), 100, np.uint8)


def layout(root: Path, suffix: str, sets: tuple[str, ...] = ("Trimap1", "Trimap2")) -> Path:
    for name in ("GT01", "GT02"):
        save(root / f"input{suffix}" / f"{name}.png", PICTURE)
        save(root / f"gt{suffix}" / f"{name}.png", np.dstack([ALPHA] * 3))
        for number, one in enumerate(sets):
            trimap = TRIMAP.copy()
            trimap[0, 1] = (128, 0)[number]
            save(root / f"trimap{suffix}" / one / f"{name}.png", trimap)
    return root


@pytest.mark.parametrize("suffix", ["_training_lowres", "_training_highres", ""])
def test_every_picture_comes_with_each_of_its_trimaps(tmp_path, suffix):
    triples = alphamatting_triples(layout(tmp_path, suffix))
    assert [one.name for one in triples] == ["GT01_Trimap1", "GT02_Trimap1", "GT01_Trimap2", "GT02_Trimap2"]
    rgb, trimap, alpha = triples[3].read()
    assert rgb.shape == (2, 3, 3)
    assert trimap.tolist() == [[0, 0, 128], [128, 128, 255]]
    np.testing.assert_allclose(alpha, ALPHA / 255, atol=1e-6)


def test_a_plain_layout_without_sets_of_trimaps_is_read(tmp_path):
    layout(tmp_path, "", ())
    for name in ("GT01", "GT02"):
        save(tmp_path / "trimap" / f"{name}.png", TRIMAP)
    assert [one.name for one in alphamatting_triples(tmp_path)] == ["GT01", "GT02"]


def test_the_low_resolution_comes_first_and_the_high_one_when_asked_for(tmp_path):
    layout(tmp_path, "_training_lowres")
    layout(tmp_path, "_training_highres", ("Trimap1",))
    assert is_alphamatting(tmp_path)
    assert "lowres" in str(alphamatting_triples(tmp_path)[0].image)
    (one, _) = alphamatting_triples(tmp_path, "highres")
    assert "highres" in str(one.image)
    assert one.name == "GT01"


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ("input_training_lowres", "has no folder input_training_lowres or input_training_highres or input;"),
        ("gt_training_lowres", "gt_training_lowres: no such folder beside input_training_lowres"),
        ("gt_training_lowres/GT02.png", r"GT02.png: no alpha of this name in .*gt_training_lowres"),
        ("trimap_training_lowres/Trimap2/GT01.png", r"GT01.png: no trimap of this name in .*Trimap2"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_read(tmp_path, broken, complaint):
    path = layout(tmp_path, "_training_lowres") / broken
    path.rename(tmp_path / "away")
    with pytest.raises(InputError, match=complaint) as error:
        alphamatting_check(tmp_path)
    assert "\n" not in str(error.value)


def test_a_check_measures_the_unknown_region_by_hand(tmp_path):
    check = alphamatting_check(layout(tmp_path, "_training_lowres"))
    seen = []

    def predict(rgb, trimap):
        seen.append((rgb.dtype, rgb.shape, trimap.dtype, np.count_nonzero(trimap == UNKNOWN)))
        return np.where(trimap == UNKNOWN, np.float32(0.5), np.float32(0))

    # |d| is .3, .1, .1, .3 in the unknown pixels of Trimap1; Trimap2 has no .3 at the top. Known pixels do not count.
    figures = check(predict)
    assert figures["sad"] == pytest.approx((0.8 + 0.5) / 2 / 1000)
    assert figures["mse"] == pytest.approx((0.2 / 4 + 0.11 / 3) / 2)
    assert seen == [(np.uint8, (2, 3, 3), np.uint8, count) for count in (4, 4, 3, 3)]
    assert check(lambda rgb, trimap: (ALPHA / 255).astype(np.float32))["sad"] == pytest.approx(0, abs=1e-9)


def test_a_trimap_without_anything_unknown_is_named(tmp_path):
    layout(tmp_path, "_training_lowres", ("Trimap1",))
    save(tmp_path / "trimap_training_lowres/Trimap1/GT02.png", np.zeros((2, 3), np.uint8))
    with pytest.raises(InputError, match=r"GT02.png: has no unknown pixel"):
        alphamatting_check(tmp_path)(lambda rgb, trimap: np.zeros((2, 3), np.float32))


def test_composites_of_one_foreground_share_its_alpha_or_have_their_own(tmp_path):
    for number in range(2):
        save(tmp_path / f"merged/boy_{number}.png", PICTURE)
        save(tmp_path / f"trimaps/boy_{number}.png", TRIMAP)
    save(tmp_path / "alpha/boy.png", ALPHA)
    shared = composition_triples(tmp_path)
    assert [(one.name, one.alpha.name) for one in shared] == [("boy_0", "boy.png"), ("boy_1", "boy.png")]
    save(tmp_path / "alpha/boy_1.png", ALPHA)
    assert [one.alpha.name for one in composition_triples(tmp_path)] == ["boy.png", "boy_1.png"]
    (tmp_path / "trimaps/boy_1.png").unlink()
    with pytest.raises(InputError, match=r"boy_1.png: no trimap of this name"):
        composition_triples(tmp_path)
    (tmp_path / "alpha/boy.png").unlink()
    with pytest.raises(InputError, match=r"boy_0.png: no alpha of this name"):
        composition_triples(tmp_path)
    with pytest.raises(InputError, match="has no folder merged or image"):
        composition_triples(tmp_path / "alpha")


def test_folders_are_matched_by_stem_and_a_folder_may_hold_all(tmp_path):
    for name in ("b", "a"):
        save(tmp_path / f"all/{name}.jpg", PICTURE)
        save(tmp_path / f"all/{name}_alpha.png", ALPHA)
        save(tmp_path / f"all/{name}_trimap.png", TRIMAP)
        save(tmp_path / f"others/{name}.bmp", ALPHA)
    triples = match_triples(tmp_path / "all", trimaps=tmp_path / "all", alphas=tmp_path / "all")
    assert [(one.name, one.trimap.name, one.alpha.name) for one in triples] == [
        ("a", "a_trimap.png", "a_alpha.png"),
        ("b", "b_trimap.png", "b_alpha.png"),
    ]
    assert [one.alpha.name for one in match_triples(tmp_path / "all", alphas=tmp_path / "others")] == ["a.bmp", "b.bmp"]
    (single,) = match_triples(tmp_path / "all/a.jpg", trimaps=tmp_path / "others/b.bmp")
    assert (single.name, single.trimap.name, single.alpha) == ("a", "b.bmp", None)


def test_pictures_that_cannot_be_matched_are_named(tmp_path):
    folder = save(tmp_path / "rgb/a.png", PICTURE).parent
    alpha = save(tmp_path / "alpha/b.png", ALPHA)
    for arguments, complaint in (
        ({"images": tmp_path / "none"}, "none: no such file or folder"),
        ({"images": folder, "alphas": tmp_path / "none"}, "none: no such file or folder"),
        ({"images": folder, "alphas": alpha}, r"b.png: is one alpha, but .* is a folder"),
        ({"images": folder, "alphas": alpha.parent}, r"a.png: no alpha of this name"),
        ({"images": folder, "trimaps": folder}, r"a.png: no trimap of this name"),
    ):
        with pytest.raises(InputError, match=complaint):
            match_triples(**arguments)
    save(tmp_path / "rgb/a.bmp", PICTURE)
    with pytest.raises(InputError, match="have the same name but for folder or ending"):
        match_triples(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures in this folder"):
        match_triples(tmp_path / "empty")


def test_sizes_that_differ_are_told(tmp_path):
    image = save(tmp_path / "a.png", PICTURE)
    trimap = save(tmp_path / "t.png", np.zeros((3, 2), np.uint8))
    with pytest.raises(InputError, match=r"t.png: is 2x3 but .*a.png is 3x2; both must have one size"):
        match_triples(image, trimaps=trimap)[0].read()


def test_a_trimap_from_a_lossy_file_is_put_right_and_an_alpha_is_no_trimap(tmp_path):
    clean = np.zeros((64, 64), np.uint8)
    clean[:, 24:40], clean[:, 40:] = UNKNOWN, FOREGROUND
    read = read_trimap(save(tmp_path / "t.jpg", clean))
    assert set(np.unique(read)) <= {BACKGROUND, UNKNOWN, FOREGROUND}
    assert np.array_equal(read, clean)
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None], 64, axis=0)
    with pytest.raises(InputError, match=r"a.png: is no trimap, for \d\d % of its pixels are none of 0, 128 and 255"):
        read_trimap(save(tmp_path / "a.png", ramp))


def test_an_alpha_is_read_from_grey_colour_and_transparency(tmp_path):
    expected = ALPHA / np.float32(255)
    opaque, transparent = np.dstack([*[ALPHA] * 3, np.full_like(ALPHA, 255)]), np.dstack([PICTURE, ALPHA])
    for number, picture in enumerate(
        (ALPHA, np.dstack([ALPHA] * 3), opaque, transparent, ALPHA.astype(np.uint16) * 257)
    ):
        read = read_alpha(save(tmp_path / f"{number}.png", picture))
        assert read.dtype == np.float32
        np.testing.assert_allclose(read, expected, atol=1e-6)
