"""``check`` through the real command line: every kind of fault is found, and sound data is left in peace."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

Draw = Callable[..., np.ndarray]


def faults(out: Path) -> dict[str, set[str]]:
    """Fault → names of the files that have it."""
    found: dict[str, set[str]] = {}
    for finding in json.loads((out / "check.json").read_text())["findings"]:
        found.setdefault(finding["fault"], set()).add(Path(finding["file"]).name)
    return found


def test_sound_data_has_no_findings(tool: Callable, pictures: Path, tmp_path: Path) -> None:
    done = tool(
        "check", "--foregrounds", pictures / "people", "--backgrounds", pictures / "rooms", "--out", tmp_path / "r"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert faults(tmp_path / "r") == {}
    assert "0 errors, 0 warnings" in done.stdout
    assert "`python -m train.data check" in (tmp_path / "r/check.md").read_text()


def test_every_kind_of_bad_foreground_is_named(
    tool: Callable, pictures: Path, tmp_path: Path, disc_alpha: Draw, scene: Draw
) -> None:
    people = pictures / "people"
    alpha = disc_alpha()
    color = np.full((120, 100, 3), (90, 160, 220), np.uint8)

    def save(name: str, colors: np.ndarray, alphas: np.ndarray, mark: int) -> None:
        colors = colors.copy()
        colors[45:75, 35:65] = scene(mark, 30, 30)  # so that no two look alike
        cv2.imwrite(str(people / name), np.dstack([colors, alphas]))

    save("empty.png", color, alpha * 0, 1)
    save("opaque.png", color, alpha * 0 + 255, 2)
    save("binary.png", color, np.where(alpha > 127, 255, 0).astype(np.uint8), 3)
    save("inverted.png", color, 255 - alpha, 4)
    save("scale.png", color, alpha // 200, 5)
    save("premultiplied.png", (color * (alpha[..., None] / 255)).astype(np.uint8), alpha, 6)
    save("rim.png", np.where(alpha[..., None] > 0, color, 0).astype(np.uint8), alpha, 7)
    save("tiny.png", color, alpha, 8)
    tiny = cv2.imread(str(people / "tiny.png"), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(people / "tiny.png"), cv2.resize(tiny, (40, 48), interpolation=cv2.INTER_AREA))
    deep = np.dstack([scene(9, 120, 100), disc_alpha(radius=40)]).astype(np.uint16) * 257
    cv2.imwrite(str(people / "deep.png"), deep)
    cv2.imwrite(str(people / "grey.png"), scene(10)[..., 0])
    cv2.imwrite(str(people / "pair.jpg"), scene(11))
    cv2.imwrite(str(people / "pair_alpha.png"), alpha)
    cv2.imwrite(str(people / "lonely_alpha.png"), alpha)
    (people / "text.png").write_text("not a picture")
    (people / "short.png").write_bytes((people / "P0_front.png").read_bytes()[:-40])
    jpeg = cv2.imencode(".jpg", scene(12))[1].tobytes()
    (people / "short.jpg").write_bytes(jpeg[: len(jpeg) * 2 // 3])
    cv2.imwrite(str(people / "short_alpha.png"), np.full((120, 160), 128, np.uint8))
    (people / "again.png").write_bytes((people / "P1_front.png").read_bytes())

    done = tool("check", "--foregrounds", people, "--out", tmp_path / "r")
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""  # nothing of the decoders' own complaints
    found = faults(tmp_path / "r")
    expected = {
        "empty alpha": "empty.png", "opaque alpha": "opaque.png", "no soft pixels": "binary.png",
        "inverted?": "inverted.png", "wrong scale": "scale.png", "premultiplied?": "premultiplied.png",
        "black rim?": "rim.png", "tiny": "tiny.png", "16 bits": "deep.png", "no alpha": "grey.png",
        "sizes differ": "pair.jpg", "no colour": "lonely_alpha.png", "undecodable": "text.png",
    }  # fmt: skip
    for fault, name in expected.items():
        assert found.pop(fault) == {name}, fault
    assert found.pop("damaged") == {"short.jpg", "short.png"}
    assert found.pop("duplicate") == {"again.png"}
    assert set(found) <= {"looks alike"}  # what some decoders make of short.png may look like P0_front.png


def test_masks_are_looked_at_by_value_and_format(tool: Callable, tmp_path: Path, disc_alpha: Draw, scene: Draw) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    sure = np.where(disc_alpha() > 127, 255, 0).astype(np.uint8)
    masks = {
        "fine.png": sure, "smeared.jpg": sure, "soft.png": cv2.GaussianBlur(sure, (0, 0), 5), "ones.png": sure // 255,
        "nobody.png": sure * 0, "large.png": np.pad(sure, 5),
    }  # fmt: skip
    for number, (name, mask) in enumerate(masks.items()):
        cv2.imwrite(str(tmp_path / "masks" / name), mask)
        cv2.imwrite(str(tmp_path / "images" / f"{Path(name).stem}.png"), scene(number, 120, 100))
    cv2.imwrite(str(tmp_path / "images/bare.png"), scene(20))

    done = tool("check", "--images", tmp_path / "images", "--masks", tmp_path / "masks", "--out", tmp_path / "r")
    assert done.returncode == 1, done.stderr
    assert faults(tmp_path / "r") == {
        "JPEG mask": {"smeared.jpg"}, "mask values": {"soft.png"}, "wrong scale": {"ones.png"},
        "one class": {"nobody.png"}, "sizes differ": {"large.png"}, "no mask": {"bare.png"},
    }  # fmt: skip


def test_lists_with_missing_files_and_unequal_length_are_reported_not_refused(
    tool: Callable, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "images.txt").write_text("rooms/room_0.png\nrooms/gone.png\n")
    (tmp_path / "masks.txt").write_text("rooms/room_1.png\n")
    (tmp_path / "bg.txt").write_text(f"{pictures}/rooms/room_2.png\n{pictures}/nowhere.png\n")
    done = tool(
        "check", "--images", tmp_path / "images.txt", "--masks", tmp_path / "masks.txt",
        "--backgrounds", tmp_path / "bg.txt", "--out", tmp_path / "r",
    )  # fmt: skip
    assert done.returncode == 1
    found = faults(tmp_path / "r")
    assert found["unequal lists"] == {"masks.txt"}
    assert found["missing"] == {"nowhere.png"}


def test_a_picture_of_the_validation_set_is_found_even_when_scaled_and_compressed(
    tool: Callable, pictures: Path, tmp_path: Path, scene: Draw
) -> None:
    held_out = tmp_path / "held_out"
    held_out.mkdir()
    (held_out / "copy.png").write_bytes((pictures / "rooms/room_0.png").read_bytes())
    small = cv2.resize(scene(101), (96, 72), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(held_out / "small.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 70])
    cv2.imwrite(str(held_out / "other.png"), scene(999))
    done = tool("check", "--backgrounds", pictures / "rooms", "--against", held_out, "--out", tmp_path / "r")
    assert done.returncode == 1
    assert faults(tmp_path / "r") == {"leak": {"room_0.png"}, "leak?": {"room_1.png"}}


def test_a_configuration_is_checked_whole(tool: Callable, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        f"network: shm-mobile\ndata:\n  foregrounds: [{{path: {pictures}/people}}]\n"
        f"  backgrounds: [{{path: {pictures}/rooms, match: _0}}, {{path: {pictures}/rooms, match: '_[01]'}}]\n"
        "phases:\n  m_net: {steps: 1, batch_size: 1, learning_rate: 0.1}\n"
    )
    done = tool("check", "--config", tmp_path / "c.yaml", "--out", tmp_path / "r")
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = json.loads((tmp_path / "r/check.json").read_text())["kinds"]
    assert kinds == {"foregrounds": {"entries": 3, "readable": 3}, "backgrounds": {"entries": 2, "readable": 2}}


def test_nothing_to_check_and_half_a_pair_are_one_line(tool: Callable, tmp_path: Path) -> None:
    for arguments in ((), ("--images", tmp_path), ("--backgrounds", tmp_path / "nowhere")):
        done = tool("check", *arguments)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1
        assert done.stderr.startswith("error: ")
