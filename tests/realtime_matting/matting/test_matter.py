"""One stream's mattes, through a real engine and a bundle whose answers are known."""

import gc
import time
import weakref
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime_matting import Frame, Matter, Profile
from realtime_matting.compositing.blend import composite
from realtime_matting.engines.base import Engine
from realtime_matting.errors import BundleError, InputError
from realtime_matting.matting.matter import network_input
from realtime_matting.models.registry import list_bundles


def green_disc(height: int = 180, width: int = 320) -> tuple[np.ndarray, np.ndarray]:
    """A green disc on grey, and where it is."""
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(x - width / 2, y - height / 2) < height / 3
    rgb = np.full((height, width, 3), 90, np.uint8)
    rgb[inside] = (0, 255, 0)
    return rgb, inside


@pytest.fixture(params=["openvino", "onnxruntime"])
def matter(green_bundle: Path, request: pytest.FixtureRequest) -> Matter:
    with Matter(green_bundle, engine=request.param, threads=1) as opened:
        yield opened


def test_the_matte_has_the_frames_size_and_the_documented_types(matter: Matter) -> None:
    rgb, inside = green_disc()
    matte = matter(rgb)
    assert (matte.alpha.dtype, matte.alpha.shape) == (np.float32, rgb.shape[:2])
    assert (matte.foreground.dtype, matte.foreground.shape) == (np.uint8, rgb.shape)
    assert (matte.trimap.dtype, matte.trimap.shape) == (np.uint8, rgb.shape[:2])
    assert set(np.unique(matte.trimap)) <= {0, 128, 255}
    assert "refresh" in matte.why
    assert np.abs(matte.alpha - inside).mean() < 0.01


def test_known_regions_are_exactly_0_and_1(matter: Matter) -> None:
    matte = matter(green_disc()[0])
    assert (matte.alpha[:20, :20] == 0).all()
    assert (matte.alpha[85:95, 155:165] == 1).all()


@pytest.mark.parametrize("size", [(16, 16), (90, 160), (97, 131), (480, 640), (360, 203)])
def test_odd_small_large_and_upright_frames_work(matter: Matter, size: tuple[int, int]) -> None:
    rgb, inside = green_disc(*size)
    assert np.abs(matter(rgb).alpha - inside).mean() < 0.05


def test_a_frame_is_neither_changed_nor_kept(matter: Matter) -> None:
    rgb, _ = green_disc()
    before = rgb.copy()
    first = matter(rgb)
    assert (rgb == before).all()
    alpha = first.alpha.copy()
    matter(np.zeros_like(rgb))
    assert (first.alpha == alpha).all()


def test_a_matte_keeps_its_colours_when_the_frames_array_takes_another_frame(matter: Matter) -> None:
    rgb, _ = green_disc()
    behind = np.full_like(rgb, 90)
    matte = matter(rgb)
    colours, picture = matte.foreground.copy(), matte.over(behind)
    rgb[:] = 7
    assert (matte.foreground == colours).all()
    assert (matte.over(behind) == picture).all()


@pytest.mark.parametrize("foreground", [True, False])
def test_over_a_background_a_matte_is_the_composite_of_its_colours(green_bundle: Path, foreground: bool) -> None:
    behind = np.random.default_rng(5).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    kept = behind.copy()
    given = [Frame(person_in(640, 360, 180 + 5 * i, 200, 60), i, Fraction(1, 25), 0) for i in range(2)]
    with Matter(green_bundle, threads=1, foreground=foreground) as matter:
        for frame, matte in matter.stream(given):
            assert not matte.window.is_whole
            picture = matte.over(behind)
            np.testing.assert_array_equal(picture, composite(matte.foreground, matte.alpha, behind))
            assert (picture != frame.rgb).any()
    np.testing.assert_array_equal(behind, kept)


def test_over_a_background_of_another_size_a_matte_cannot_be_put(matter: Matter) -> None:
    rgb, _ = green_disc()
    (_, matte), *_ = matter.stream([Frame(rgb, 0, Fraction(1, 25), 0)])
    with pytest.raises(ValueError, match="must be of one size"):
        matte.over(rgb[1:])


def test_solid_pixels_keep_their_exact_colours(matter: Matter) -> None:
    rgb, _ = green_disc()
    blurred = rgb.copy()
    blurred[:, 150:170] = (45, 172, 45)
    matte = matter(rgb)
    solid = matte.alpha > 0.99
    assert (matte.foreground[solid] == rgb[solid]).all()


def test_wrong_frames_are_refused_in_one_line(matter: Matter) -> None:
    for wrong in (np.zeros((32, 32), np.uint8), np.zeros((32, 32, 3), np.float32), np.zeros((8, 90, 3), np.uint8)):
        with pytest.raises(InputError) as caught:
            matter(wrong)
        assert "\n" not in str(caught.value)


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(BundleError) as caught:
        Matter("no-such-model")
    for name in list_bundles():
        assert name in str(caught.value)


def test_the_time_of_each_stage_is_added_up(green_bundle: Path) -> None:
    profile = Profile()
    with Matter(green_bundle, threads=1, profile=profile, reuse=True) as matter:
        matter(green_disc()[0])
        matter(green_disc()[0])
    stages = ("look", "motion", "trimap", "matting", "stability", "refine", "foreground")
    assert profile.calls == {stage: 1 if stage == "trimap" else 2 for stage in stages}


def test_each_frame_knows_its_own_times_and_shares(green_bundle: Path) -> None:
    with Matter(green_bundle, threads=1, reuse=True) as matter:
        first, second = matter(green_disc()[0]), matter(green_disc()[0])
    assert "trimap" in first.milliseconds
    assert "trimap" not in second.milliseconds
    assert min(first.milliseconds.values()) > 0
    assert first.matted == pytest.approx(first.window.share)
    assert first.matted < 1
    assert second.matted < first.matted
    assert 0 <= first.band < 0.1


def frames(count: int) -> list[Frame]:
    """The disc walks to the right."""
    pictures = []
    for index in range(count):
        rgb, _ = green_disc()
        pictures.append(Frame(np.roll(rgb, 3 * index, axis=1), index, Fraction(1, 30), index))
    return pictures


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_a_stream_gives_every_frame_once_with_its_own_matte(
    green_bundle: Path, delay: int, reuse: bool, count: int
) -> None:
    given = frames(count)
    with Matter(green_bundle, threads=1, reuse=reuse) as matter:
        pairs = list(matter.stream(given, delay=delay))
    assert [frame for frame, _ in pairs] == given
    for frame, matte in pairs:
        inside = (frame.rgb[..., 1] > 200) & (frame.rgb[..., 0] < 50)
        assert np.abs(matte.alpha - inside).mean() < 0.01
        assert (matte.foreground[matte.alpha == 1] == frame.rgb[matte.alpha == 1]).all()


def test_with_a_delay_a_frame_waits_for_the_next_one_only(green_bundle: Path) -> None:
    taken: list[int] = []

    def source() -> Iterator[Frame]:
        for frame in frames(4):
            taken.append(frame.index)
            yield frame

    with Matter(green_bundle, threads=1) as matter:
        for frame, _ in matter.stream(source(), delay=1):
            assert max(taken) == min(frame.index + 1, 3)


def test_a_finished_draft_is_freed_at_once(green_bundle: Path) -> None:
    gone: list[bool] = []
    gc.disable()
    try:
        with Matter(green_bundle, threads=1, reuse=True) as matter:
            seen: list[weakref.ref[object]] = []
            for frame, draft in matter.drafts(frames(8), delay=1):
                matter.finish(frame, draft)
                seen.append(weakref.ref(draft))
                del draft
                gone = [ref() is None for ref in seen]
    finally:
        gc.enable()
    # One may be the last frame that the stream remembers, and one wait for the next.
    assert sum(gone) >= len(gone) - 2


@pytest.mark.parametrize("reuse", [True, False])
def test_a_draft_that_is_finished_while_the_next_one_is_made_gives_what_a_call_gives(
    green_bundle: Path, reuse: bool
) -> None:
    given = frames(5)
    with Matter(green_bundle, threads=1, reuse=reuse) as matter:
        expected = [matter(frame.rgb).alpha for frame in given]
    with Matter(green_bundle, threads=1, reuse=reuse) as matter:
        drafts = [matter.draft(frame.rgb) for frame in given]
        mattes = [matter.finish(frame, draft) for frame, draft in zip(given, drafts, strict=True)]
    for alpha, matte in zip(expected, mattes, strict=True):
        assert (matte.alpha == alpha).all()


def test_only_one_frame_ahead_can_be_looked(green_bundle: Path) -> None:
    with Matter(green_bundle, threads=1) as matter, pytest.raises(ValueError, match="0 or 1"):
        list(matter.stream(frames(2), delay=2))


def test_pictures_are_normalised_as_the_bundle_says(green_bundle: Path) -> None:
    with Matter(green_bundle, threads=1) as matter:
        spec = matter.bundle.roles["trimap"].model_copy(update={"mean": (0.5, 0.0, 0.0), "std": (0.5, 1.0, 2.0)})
    width, height = spec.working_size(32, 32)
    made = network_input(np.full((32, 32, 3), 255, np.uint8), spec)
    assert made.shape == (1, 3, height, width)
    assert made[0, :, 0, 0].tolist() == pytest.approx([1.0, 1.0, 0.5])


def test_live_two_calm_frames_take_the_trimap_of_the_one_before(green_bundle: Path) -> None:
    profile = Profile()
    rgb, _ = green_disc()
    with Matter(green_bundle, threads=1, profile=profile, live=True) as matter:
        whys = [matter(rgb).why for _ in range(6)]
        assert whys == ["refresh: every frame", "reuse: moved along", "reuse: moved along"] * 2
        assert matter(np.roll(rgb, 30, axis=1)).why == "refresh: every frame"
        assert matter(np.roll(rgb, 30, axis=1)).why == "reuse: moved along"
        matter.reset()
        assert matter(np.roll(rgb, 30, axis=1)).why == "refresh: every frame"


@pytest.mark.parametrize("reuse", [False, True])
def test_live_the_matting_network_sees_the_part_with_the_person_and_says_the_same(
    green_bundle: Path, reuse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disc is narrow beside the picture; both engines run the very network, the one on all of it."""
    rgb, _ = green_disc(180, 640)
    seen: list[int] = []
    with (
        Matter(green_bundle, threads=1, window=False) as whole,
        Matter(green_bundle, threads=1, reuse=reuse, live=not reuse, window=False) as part,
    ):
        run = part._networks._engines["matting"]
        monkeypatch.setitem(part._networks._engines, "matting", Watched(run, seen))
        expected = whole(rgb).alpha
        until = time.monotonic() + 30
        while not seen or seen[-1] == seen[0]:
            assert time.monotonic() < until
            part.reset()
            assert np.abs(part(rgb).alpha - expected).max() < 0.01
        assert seen[-1] < 0.8 * seen[0]


class Watched:
    """Notes the widths that an engine is given."""

    def __init__(self, engine: Engine, seen: list[int]) -> None:
        self.name, self._engine, self._seen = engine.name, engine, seen
        self.prepared, self.close = engine.prepared, engine.close

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self._seen.append(inputs["rgb"].shape[3])
        return self._engine(inputs)


def test_after_warming_up_no_frame_waits_for_a_compiler(green_bundle: Path) -> None:
    rgb, _ = green_disc(180, 640)
    # For a window the networks are prepared beside the frames.
    with Matter(green_bundle, engine="openvino", threads=1, live=True, window=False) as matter:
        matter.warm_up(640, 180)
        seen: list[int] = []
        engine = matter._networks._engines["matting"]
        matter._networks._engines["matting"] = Watched(engine, seen)
        compiled = len(engine._requests)
        assert matter(rgb).why == "refresh: every frame"
        assert seen[0] < 256
        assert len(engine._requests) == compiled


def test_the_matting_network_is_begun_before_the_first_trimap_and_once_for_each_size(green_bundle: Path) -> None:
    with Matter(green_bundle, engine="openvino", threads=1, window=False) as matter:
        done: list[str] = []
        engines = matter._networks._engines
        trimap, prepare = engines["trimap"], engines["matting"].prepared

        class Noted(Watched):
            def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
                done.append("trimap")
                return self._engine(inputs)

        def prepared(shapes: Mapping[str, tuple[int, ...]]) -> bool:
            done.append(f"begun {shapes['rgb'][3]}")
            return prepare(shapes)

        engines["matting"].prepared = prepared  # type: ignore[method-assign]
        engines["trimap"] = Noted(trimap, [])
        for width in (320, 320, 160):
            matter(green_disc(180, width)[0])
        wide, narrow = (matter._networks.roles["matting"].working_size(width, 180)[0] for width in (320, 160))
        assert done == [f"begun {wide}", "trimap", "trimap", f"begun {narrow}", "trimap"]


def person_in(width: int, height: int, x: int, y: int, radius: int, seed: int = 0) -> np.ndarray:
    """A green disc before a textured room."""
    room = np.random.default_rng(seed).integers(90, 140, (height // 8, width // 8, 3), np.uint8)
    rgb = cv2.resize(room, (width, height), interpolation=cv2.INTER_CUBIC)
    rgb[..., 1] = np.minimum(rgb[..., 1], 130)
    cv2.circle(rgb, (x, y), radius, (30, 220, 40), -1, cv2.LINE_AA)
    return rgb


@pytest.mark.parametrize("reuse", [False, True])
def test_the_networks_see_the_window_that_the_person_is_in(green_bundle: Path, reuse: bool) -> None:
    rgb = person_in(640, 360, 180, 200, 60)
    seen: list[int] = []
    with (
        Matter(green_bundle, threads=1, reuse=reuse) as near,
        Matter(green_bundle, threads=1, reuse=reuse, window=False) as far,
    ):
        engines = near._networks._engines
        engines["matting"] = Watched(engines["matting"], seen)
        matte, whole = near(rgb), far(rgb)
    area = matte.window.area
    assert max(area.left - 120, 240 - area.right, area.top - 140, 260 - area.bottom) < 0, "the person is inside"
    assert matte.window.share < 0.5
    assert whole.window.is_whole
    inside = np.zeros(matte.alpha.shape, bool)
    inside[area.slices()] = True
    assert not matte.alpha[~inside].any()
    assert not matte.trimap[~inside].any()
    assert np.abs(matte.alpha - whole.alpha).mean() < 0.01
    assert (matte.foreground[~inside] == rgb[~inside]).all()
    # A person of 120 pixels, larger than in the whole picture of 256.
    assert matte.alpha.sum() == pytest.approx(np.pi * 60**2, rel=0.03)
    assert seen == [matte.window.shape.sized(near.bundle.roles)["matting"].working_size(*matte.window.size[::-1])[0]]


@pytest.mark.parametrize("options", [{"live": True}, {"waits": False}], ids=str)
def test_live_the_window_is_used_when_the_networks_are_ready_for_it(
    green_bundle: Path, options: dict[str, bool]
) -> None:
    rgb = person_in(640, 360, 180, 200, 60)
    with Matter(green_bundle, engine="openvino", threads=1, **options) as matter:
        assert matter(rgb).window.is_whole
        until = time.monotonic() + 30
        while matter(rgb).window.is_whole:
            assert time.monotonic() < until


def test_somebody_who_comes_in_outside_of_the_window_is_seen_at_once(green_bundle: Path) -> None:
    one = person_in(640, 360, 120, 200, 60)
    both = one.copy()
    cv2.circle(both, (560, 180), 50, (30, 220, 40), -1, cv2.LINE_AA)
    with Matter(green_bundle, threads=1) as matter:
        assert matter(one).window.area.right < 500
        assert matter(one).alpha[180, 560] == 0
        assert matter(both).alpha[180, 560] == 1
        assert matter(both).alpha[200, 120] == 1


def test_who_walks_is_followed_and_never_cut_off(green_bundle: Path) -> None:
    with Matter(green_bundle, threads=1, reuse=True) as matter:
        windows = set()
        for x in range(100, 540, 12):
            matte = matter(person_in(640, 360, x, 200, 60))
            windows.add(matte.window)
            assert matte.alpha.sum() == pytest.approx(np.pi * 60**2, rel=0.1)
        assert 2 < len(windows) < 20


def test_pictures_of_a_stream_that_was_reset_are_matted_as_the_first_ones(green_bundle: Path) -> None:
    one, other = person_in(640, 360, 120, 200, 60), person_in(640, 360, 500, 150, 90, seed=1)
    with Matter(green_bundle, threads=1) as matter:
        first = matter(one).alpha
        matter.reset()
        matter(other)
        matter.reset()
        np.testing.assert_array_equal(matter(one).alpha, first)
