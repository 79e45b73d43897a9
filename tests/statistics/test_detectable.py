"""Differences of the smallest detectable size are found with the power asked for."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.core.errors import InputError
from bench.statistics.detectable import smallest_detectable

NAN = float("nan")


def test_smallest_detectable_is_found_with_the_power_asked_for() -> None:
    textbook = 1.95996 + 0.84162  # about 2.8 standard errors
    assert smallest_detectable(1.0) == pytest.approx(textbook, abs=1e-5)
    difference = smallest_detectable(0.004, alpha=0.05, power=0.9, comparisons=10)
    drawn = np.random.default_rng(0).normal(difference, 0.004, 100_000)
    found = 2 * stats.norm.sf(np.abs(drawn) / 0.004) < 0.005
    assert found.mean() == pytest.approx(0.9, abs=5 * math.sqrt(0.09 / 100_000))
    assert math.isnan(smallest_detectable(NAN))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"standard_error": -1.0}, "standard error is -1"),
        ({"alpha": 0.0}, "alpha is 0"),
        ({"power": 1.0}, "power is 1"),
        ({"comparisons": 0}, "comparisons is 0"),
        ({"power": 0.02}, "reached without any difference"),
    ],
)
def test_smallest_detectable_refuses(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        smallest_detectable(**{"standard_error": 1.0} | changed)
