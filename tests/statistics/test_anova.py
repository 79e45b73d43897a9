"""Variance components equal those of expected mean squares, computed for any linear model."""

import math

import numpy as np
import pytest

from bench.statistics.variance import SOURCES, variance_components
from tests.statistics.grids import GRIDS, by_name, random_grid

NAN = float("nan")


def anova_by_projection(scores: np.ndarray) -> dict[str, float]:
    """Variance components from least-squares projections, for any linear model.

    E[y' P y] = sum over sources of variance tr(P Z Z'), with P the projection that a source adds to
    those before it and Z its incidence matrix (Searle, Casella and McCulloch 1992, section 5.2,
    Henderson's method 1).
    """
    places = np.array(list(np.ndindex(scores.shape)))
    keys = [places[:, [0]], places[:, [1]], places[:, [0, 1]], places]
    incidence, projections, names = [], [], []
    spanned = np.ones((len(places), 1))
    for name, key in zip(SOURCES, keys, strict=False):
        levels, which = np.unique(key, axis=0, return_inverse=True)
        columns = np.eye(len(levels))[which.ravel()]
        before, both = spanned @ np.linalg.pinv(spanned), np.hstack([spanned, columns])
        added = both @ np.linalg.pinv(both) - before
        if round(np.trace(added)) > 0:
            incidence.append(columns)
            projections.append(added)
            names.append(name)
        spanned = both
    values = scores.ravel()
    squares = [values @ projection @ values for projection in projections]
    expected = [[np.trace(projection @ z @ z.T) for z in incidence] for projection in projections]
    return dict(zip(names, np.linalg.solve(expected, squares), strict=True)) if names else {}


@pytest.mark.parametrize("shape", GRIDS)
def test_components_are_those_of_the_expected_mean_squares(shape: tuple[int, int, int]) -> None:
    scores, resampled = random_grid(shape)
    found = variance_components(scores, resampled)
    reference = anova_by_projection(scores)
    for name, estimate in by_name(found, "estimate").items():
        if name != "test sample":
            assert estimate == pytest.approx(
                reference.get(name, NAN), rel=1e-8, abs=1e-16, nan_ok=True
            )
    shifts = resampled - resampled.mean(-1, keepdims=True)
    each = [anova_by_projection(shifts[..., resample]) for resample in range(shifts.shape[-1])]
    for name, interaction in by_name(found, "interaction").items():
        expected = sum(one.get(name, NAN) for one in each) / (len(each) - 1)
        assert interaction == pytest.approx(expected, rel=1e-8, abs=1e-16, nan_ok=True)
    # The variance of a single score is the same sum, however many of its sources can be told apart.
    whole = sum(value for value in by_name(found, "interaction").values() if not math.isnan(value))
    assert found.sources[-1].estimate + whole == pytest.approx(found.cell_variance)
