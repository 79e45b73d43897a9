"""The variance of the test sample equals covariances between cells over the resamples."""

import itertools
from collections import defaultdict

import numpy as np
import pytest

from bench.statistics.variance import variance_components
from tests.statistics.grids import by_name, random_grid


def test_test_sample_is_the_covariance_of_cells_that_share_nothing() -> None:
    scores, resampled = random_grid((3, 4, 2))
    found = variance_components(scores, resampled)
    covariance = np.cov(resampled.reshape(24, -1))
    places = list(np.ndindex(scores.shape))
    same: dict[tuple[bool, bool], list[float]] = defaultdict(list)  # by shared seed, shared draw
    for (row, first), (column, second) in itertools.permutations(enumerate(places), 2):
        same[first[0] == second[0], first[1] == second[1]].append(covariance[row, column])
    nothing = np.mean(same[False, False])
    assert found.sources[-1].estimate == pytest.approx(nothing)
    interaction = by_name(found, "interaction")
    assert interaction["pretraining seed"] == pytest.approx(np.mean(same[True, False]) - nothing)
    assert interaction["label draw"] == pytest.approx(np.mean(same[False, True]) - nothing)
    assert found.cell_variance == pytest.approx(np.diag(covariance).mean())
    assert found.resampled_variance == pytest.approx(covariance.mean())
