"""Holm's adjustment equals values computed by hand, and the step-down procedure."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.statistics.multiple import holm

NAN = float("nan")


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        # 4 x 0.005, 3 x 0.01, 2 x 0.03, then the maximum so far.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        # R: p.adjust((1:5) / 100, "holm")
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        # Demsar 2006, section 3.2.2: C4.5 against three variants; 0.016 < 0.017 and 0.019 < 0.025
        # are rejected.
        ([0.016, 0.607, 0.019], [0.048, 0.607, 0.048]),
        ([0.9, 0.8], [1.0, 1.0]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values: list[float], adjusted: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(p_values)), adjusted)


@given(
    st.lists(st.one_of(st.floats(0, 1), st.just(NAN)), max_size=12),
    st.randoms(use_true_random=False),
)
def test_holm_is_the_step_down_procedure(values: list[float], shuffle) -> None:
    adjusted = holm(np.array(values, dtype=np.float64))
    known = [value for value in values if not math.isnan(value)]
    assert np.isnan(adjusted).sum() == len(values) - len(known)
    for alpha in (0.01, 0.05, 0.3):
        level = math.inf  # Holm: reject from the smallest on, until one is above alpha / (m - i)
        for place, value in enumerate(sorted(known)):
            if value * (len(known) - place) > alpha:
                level = value
                break
        for value, result in zip(values, adjusted, strict=True):
            assert math.isnan(value) or (result <= alpha) == (value < level)
    order = list(range(len(values)))
    shuffle.shuffle(order)
    np.testing.assert_array_equal(holm(np.array(values, dtype=np.float64)[order]), adjusted[order])


def test_holm_refuses_what_is_no_p_value() -> None:
    with pytest.raises(InputError, match=r"p-value 1 is 1\.2; it must lie in \[0, 1\]"):
        holm(np.array([0.1, 1.2]))
    with pytest.raises(InputError, match="one row"):
        holm(np.zeros((2, 2)))
