import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from realtime_matting.engines.shapes import Range, byte_size, choose_profile, refuse_shapes

sides = st.integers(1, 4096)


@st.composite
def profiles(draw):
    def shape_range():
        heights, widths = (sorted(draw(st.lists(sides, min_size=3, max_size=3))) for _ in range(2))
        return Range(*((1, 3, height, width) for height, width in zip(heights, widths, strict=True)))

    return [{"rgb": shape_range(), "trimap": shape_range()} for _ in range(draw(st.integers(1, 4)))]


@st.composite
def shapes(draw):
    return {name: (1, 3, draw(sides), draw(sides)) for name in ("rgb", "trimap")}


@given(profiles(), shapes())
def test_a_chosen_profile_takes_the_shapes_and_none_means_that_none_does(offered, wanted):
    chosen = choose_profile(offered, wanted)
    taking = [
        index
        for index, profile in enumerate(offered)
        if all(
            low <= side <= high
            for name in wanted
            for low, side, high in zip(profile[name].min, wanted[name], profile[name].max, strict=True)
        )
    ]
    assert (chosen in taking) if taking else chosen is None


@given(profiles())
def test_the_size_a_profile_was_tuned_for_goes_to_a_profile_tuned_for_it(offered):
    for profile in offered:
        wanted = {name: profile[name].opt for name in profile}
        chosen = choose_profile(offered, wanted)
        assert chosen is not None
        assert {name: offered[chosen][name].opt for name in wanted} == wanted


@given(profiles(), shapes())
def test_the_nearest_is_chosen(offered, wanted):
    chosen = choose_profile(offered, wanted)
    if chosen is None:
        return

    def distance(profile):
        return sum(
            abs(math.log(a) - math.log(b)) for n in wanted for a, b in zip(wanted[n], profile[n].opt, strict=True)
        )

    for index, profile in enumerate(offered):
        if choose_profile([profile], wanted) == 0:
            assert distance(offered[chosen]) <= distance(profile) + 1e-9
            if index < chosen:
                assert distance(profile) > distance(offered[chosen]) - 1e-9


def test_another_number_of_dimensions_is_not_taken():
    whole = Range((1, 3, 8, 8), (1, 3, 8, 8), (1, 3, 8, 8))
    assert not whole.takes((3, 8, 8))
    assert choose_profile([{"rgb": whole}], {"rgb": (3, 8, 8)}) is None


def test_a_refusal_names_the_input_and_the_ranges_once_each():
    fixed = {"rgb": Range((1, 3, 8, 8), (1, 3, 8, 8), (1, 3, 8, 8))}
    free = {"rgb": Range((1, 3, 16, 16), (1, 3, 32, 32), (1, 3, 64, 64))}
    assert str(refuse_shapes([fixed, free, fixed], {"rgb": (1, 3, 9, 9)}, "TensorRT")) == (
        "TensorRT: rgb is 1x3x9x9, and the engine was built for 1x3x8x8 or 1x3x16x16 to 1x3x64x64;"
        " build one with --shape or --dynamic for this size, or use another engine"
    )


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.sampled_from([np.float16, np.float32]))
def test_byte_size_is_that_of_numpy(shape, dtype):
    assert byte_size(tuple(shape), np.dtype(dtype)) == np.empty(shape, dtype).nbytes
