"""Lower clothes of another colour."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.data.clothes import draw_lower_clothes, dress
from train.data.config import DataConfig
from train.data.in_front import Box
from train.data.placement import Placement


@given(seed=st.integers(0, 10_000), top=st.integers(-40, 40), height=st.integers(50, 200))
def test_a_waist_lies_in_what_is_seen_of_a_person(seed: int, top: int, height: int) -> None:
    clothes = draw_lower_clothes(np.random.default_rng(seed), Placement(False, 30, height, 0.0, 10, top), 64, 48)
    waist = clothes.y - clothes.down
    assert max(top, 0) < waist < min(top + height, 48)


def test_below_the_waist_cloth_has_its_shade_and_keeps_its_folds() -> None:
    person = np.full((8, 6, 3), (0.8, 0.1, 0.1), np.float32)
    person[6] *= 0.5  # a fold
    dressed = dress(person, Box(3.0, 24.0, 50.0, 20.0, 0.0, (0.1, 0.2, 0.6), (0.1, 0.2, 0.6)))
    np.testing.assert_array_equal(dressed[:4], person[:4])
    assert (np.ptp(dressed[4:], axis=1) < 1e-6).all()
    np.testing.assert_allclose(dressed[5, 0] / dressed[5, 0, 2], [1 / 6, 1 / 3, 1], atol=1e-5)
    assert dressed[6, 0, 2] < 0.9 * dressed[5, 0, 2]


def test_nobody_changes_clothes_unless_asked() -> None:
    assert DataConfig.model_fields["lower_clothes_share"].default == 0
