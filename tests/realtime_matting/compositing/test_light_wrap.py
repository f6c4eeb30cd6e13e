"""Light of the background on the person's rim."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from realtime_matting.compositing.light_wrap import add_light, light
from realtime_matting.look import Look

HEIGHT, WIDTH = 240, 320
RNG = np.random.default_rng(0)
FOREGROUND = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
BRIGHT = np.full((HEIGHT, WIDTH, 3), (250, 240, 200), np.uint8)


def half_person(soft: int = 6) -> NDArray[np.float32]:
    """A person on the right half, with a soft edge of so many pixels."""
    ramp = np.clip((np.arange(WIDTH, dtype=np.float32) - WIDTH // 2) / soft, 0, 1)
    return np.repeat(ramp[None], HEIGHT, axis=0)


def lit(strength: float, behind: NDArray[np.uint8] = BRIGHT) -> NDArray[np.uint8]:
    return Look(light_wrap=strength).foreground(0.0, FOREGROUND, half_person(), behind)


def test_no_light_changes_nothing_exactly() -> None:
    assert lit(0.0) is FOREGROUND


@settings(max_examples=20)
@given(st.floats(0.01, 1))
def test_the_opaque_interior_stays_exactly_as_it_is(strength: float) -> None:
    reach = WIDTH // 2 + 6 + 16  # where the edge ends, and how far light gets
    assert np.array_equal(lit(strength)[:, reach:], FOREGROUND[:, reach:])


def test_the_rim_gets_lighter_and_more_so_with_more_strength_and_nearer_the_edge() -> None:
    # The interior next to the edge, then further from it.
    change = [lit(strength).astype(np.float32) - FOREGROUND for strength in (0.3, 1.0)]
    near, far = slice(WIDTH // 2 + 2, WIDTH // 2 + 6), slice(WIDTH // 2 + 10, WIDTH // 2 + 14)
    assert all((part >= 0).all() for part in change)
    assert 2 < change[0][:, near].mean() < change[1][:, near].mean()
    assert change[1][:, far].mean() < 0.5 * change[1][:, near].mean()


def test_a_dark_background_gives_no_light() -> None:
    assert np.array_equal(lit(1.0, np.zeros_like(BRIGHT)), FOREGROUND)


def test_light_has_the_colour_of_the_background() -> None:
    grey = np.full_like(FOREGROUND, 60)
    red = np.full_like(BRIGHT, (220, 0, 0))
    rim = Look(light_wrap=1.0).foreground(0.0, grey, half_person(), red)[:, WIDTH // 2 + 3]
    assert (rim[:, 0] > 80).all()
    assert (rim[:, 1:] == 60).all()


@settings(max_examples=30)
@given(
    arrays(np.float32, (12, 16), elements=st.floats(0, 1, width=32)),
    arrays(np.uint8, (12, 16, 3)),
    st.floats(0, 1),
)
def test_whatever_the_alpha_light_only_adds_and_never_more_than_the_background_has(
    alpha: NDArray[np.float32], behind: NDArray[np.uint8], strength: float
) -> None:
    falling = light(behind.astype(np.float32), alpha, strength)
    assert falling.max() <= np.ceil(strength * behind.max())
    foreground = FOREGROUND[:48, :64]
    out = np.empty_like(foreground)
    add_light(foreground, falling, out)
    assert (out >= foreground).all()
    added_in_place = foreground.copy()
    add_light(added_in_place, falling, added_in_place)
    assert np.array_equal(added_in_place, out)
