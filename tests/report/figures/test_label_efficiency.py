"""Labels that a method needs to match another."""

import numpy as np
import pytest

from bench.report.figures import label_efficiency
from bench.report.figures.curves import Point


def test_labels_needed_are_interpolated_over_the_logarithm():
    curve = [Point(0.01, 0.2, 0.2, 0.2), Point(0.1, 0.3, 0.3, 0.3), Point(1.0, 0.5, 0.5, 0.5)]
    for target, expected in ((0.4, 10**-0.5), (0.3, 0.1)):
        share, how = label_efficiency.needed(curve, target)
        assert share == pytest.approx(expected)
        assert how == ""
    assert label_efficiency.needed(curve, 0.1) == (0.01, "at most")
    share, how = label_efficiency.needed(curve, 0.6)
    assert np.isnan(share)
    assert how == "not reached"
    # A curve that falls again: the first crossing counts.
    assert (
        label_efficiency.needed([curve[0], Point(0.1, 0.4, 0, 0), Point(1.0, 0.3, 0, 0)], 0.4)[0]
        == 0.1
    )
