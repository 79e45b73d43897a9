"""Paired differences equal values computed by hand; the p-value agrees with the interval."""

import numpy as np
import pytest

from bench.core.errors import InputError
from bench.statistics.intervals import percentile
from bench.statistics.paired import paired

NAN = float("nan")


def test_too_few_resamples_give_no_interval() -> None:
    spread = np.linspace(0, 1, 19)[None]
    found = paired(np.array([0.5]), np.array([0.2]), spread, spread / 2, 0.95)
    assert np.isnan([found.low, found.high]).all()
    assert found.standard_error > 0


def test_paired_difference_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.statistics.paired.FEWEST_RESAMPLES", 1)
    first = np.array([[0.5, 0.6, 0.7, NAN], [0.7, 0.6, 0.5, 0.9]])
    second = np.array([[0.4, 0.6, 0.8, 0.1], [0.4, 0.6, 0.6, 0.1]])
    found = paired(np.array([0.6, 0.6]), np.array([0.5, 0.6]), first, second, 0.5)
    differences = np.array([0.2, 0.0, -0.1])
    assert found.difference == pytest.approx(0.05)
    assert (found.low, found.high) == pytest.approx(percentile(differences, 0.5))
    assert found.standard_error == pytest.approx(differences.std(ddof=1))
    assert found.ahead == pytest.approx(0.5)
    assert (found.p_value, found.resamples) == (1.0, 3)


def test_paired_p_value_agrees_with_the_interval() -> None:
    random = np.random.default_rng(0)
    for shift in np.linspace(-0.04, 0.04, 33):
        resampled = random.normal(shift, 0.01, (1, 999))
        found = paired(np.array([shift]), np.zeros(1), resampled, np.zeros((1, 999)), 0.95)
        assert (found.p_value < 0.045) <= (not found.low <= 0 <= found.high)
        assert (found.p_value > 0.055) <= (found.low <= 0 <= found.high)
        swapped = paired(np.zeros(1), np.array([shift]), np.zeros((1, 999)), resampled, 0.95)
        assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))
        assert (swapped.ahead, swapped.p_value) == pytest.approx((1 - found.ahead, found.p_value))
    assert found.p_value == pytest.approx(2 / 1000)


def test_paired_without_resamples_and_with_wrong_shapes() -> None:
    empty = np.empty((2, 0))
    found = paired(np.ones(2), np.zeros(2), empty, empty, 0.95)
    assert found.difference == 1
    assert np.isnan([found.low, found.high, found.standard_error, found.ahead, found.p_value]).all()
    for arguments, message in [
        ((np.ones(2), np.ones(3), empty, empty, 0.95), "give one a cell"),
        (
            (np.ones(2), np.ones(2), empty, np.empty((2, 5)), 0.95),
            r"must be \(2 cells, resamples\)",
        ),
        ((np.array([1, NAN]), np.ones(2), empty, empty, 0.95), "not a number"),
        ((np.ones(2), np.ones(2), empty, empty, 95), "confidence is 95"),
    ]:
        with pytest.raises(InputError, match=message):
            paired(*arguments)
