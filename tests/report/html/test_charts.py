"""Drawings of intervals and curves."""

import math
import re

import numpy as np
import pytest

from bench.report.html import charts


@pytest.mark.parametrize(
    "values",
    [[], [1.0], [2.0, 2.0], [math.nan, math.inf], [1e-9, 1e9], [-1.0, 3.0], list(range(5000))],
)
def test_curves_stay_within_their_frame(values):
    drawn = charts.curve("loss", list(enumerate(values, 1)))
    assert drawn.words
    places = [
        int(number)
        for path in drawn.picture.split(' d="')[2:3]
        for number in _numbers(path.partition('"')[0])
    ]
    x, y = np.cumsum(places[0::2]), np.cumsum(places[1::2])
    assert all(0 <= value <= 300 for value in x)
    assert all(10 <= value <= 110 for value in y)
    assert len(drawn.picture) < 1500


def _numbers(path: str) -> list[str]:
    return re.findall(r"-?\d+", path.replace("h3", " 3 0"))


def test_intervals_outside_their_scale_stay_on_the_edge():
    on = charts.scale([0.2, 0.4])
    assert (on.low, on.high) == pytest.approx((0.2, 0.4))
    assert charts.interval(0.9, -3.0, 7.0, on).count("M3 7h104") == 1
    assert charts.interval(None, None, None, on) == ""
