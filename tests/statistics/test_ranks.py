"""Friedman's test equals scipy's, and critical differences equal Demsar's tables."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.core.errors import InputError
from bench.statistics.ranks import critical_difference, friedman

NAN = float("nan")


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("datasets", "methods"), [(12, 3), (6, 5), (30, 8)])
def test_friedman_is_scipys(datasets: int, methods: int, ties: bool) -> None:
    scores = np.random.default_rng(datasets).normal(size=(datasets, methods)) + np.linspace(
        0, 1, methods
    )
    scores = np.round(scores) if ties else scores
    found = friedman(scores)
    statistic, p_value = stats.friedmanchisquare(*scores.T)
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(p_value)
    np.testing.assert_allclose(found.average_ranks, stats.rankdata(-scores, axis=1).mean(0))
    # Iman and Davenport's F is the F of a two-way analysis of variance of the ranks.
    ranks = stats.rankdata(scores, axis=1)
    columns = datasets * ((ranks.mean(0) - ranks.mean()) ** 2).sum() / (methods - 1)
    rest = ((ranks - ranks.mean(0)) ** 2).sum() / ((methods - 1) * (datasets - 1))
    assert found.f_statistic == pytest.approx(columns / rest)
    assert found.f_p_value == pytest.approx(
        stats.f.sf(columns / rest, methods - 1, (methods - 1) * (datasets - 1))
    )


def test_demsars_example() -> None:
    """Demsar's table 6 and section 3.2.2 (JMLR 7, 2006): four methods on 14 data sets.

    In the row that begins with 0.972 he prints 0.975 twice, with the ranks 2 and 3: the two scores
    were tied by rounding alone, so one of them is 0.9751 here.
    """
    table = """0.763 0.768 0.771 0.798  0.599 0.591 0.590 0.569  0.954 0.971 0.968 0.967
        0.628 0.661 0.654 0.657  0.882 0.888 0.886 0.898  0.936 0.931 0.916 0.931
        0.661 0.668 0.609 0.685  0.583 0.583 0.563 0.625  0.775 0.838 0.866 0.875
        1.000 1.000 1.000 1.000  0.940 0.962 0.965 0.962  0.619 0.666 0.614 0.669
        0.972 0.981 0.9751 0.975  0.957 0.978 0.946 0.970"""
    found = friedman(np.array(table.split(), dtype=np.float64).reshape(14, 4))
    np.testing.assert_allclose(found.average_ranks, [3.143, 2.0, 2.893, 1.964], atol=5e-4)
    # He prints 9.28 and F 3.69, without the correction for ties; with it both are larger.
    uncorrected = 12 * 14 / 20 * (float((found.average_ranks**2).sum()) - 4 * 25 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.01)
    assert found.statistic > uncorrected
    assert found.f_p_value < 0.05
    assert critical_difference(4, 14, alpha=0.10) == pytest.approx(1.12, abs=0.005)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert found.weak == ""


@pytest.mark.parametrize(
    ("alpha", "quantiles"),
    [
        (0.05, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.10, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ],
)
def test_quantiles_are_demsars_table_5a(alpha: float, quantiles: list[float]) -> None:
    for methods, quantile in enumerate(quantiles, start=2):
        # 6 N = k (k + 1) would make the critical difference q itself.
        found = critical_difference(methods, 100, alpha=alpha) * math.sqrt(
            600 / (methods * (methods + 1))
        )
        assert found == pytest.approx(quantile, abs=1e-3)


def test_groups_are_the_longest_runs_that_do_not_differ() -> None:
    ranks = np.array([[4, 1, 2, 3, 5.0]] * 20)  # critical difference 6.1 / sqrt 20 = 1.36
    assert friedman(-ranks).groups == ((1, 2), (2, 3), (3, 0), (0, 4))
    assert friedman(-ranks[:9]).groups == ((1, 2, 3), (2, 3, 0), (3, 0, 4))  # 2.03
    assert friedman(-ranks[:2]).groups == ((1, 2, 3, 0, 4),)
    assert friedman(-np.repeat(ranks, 3, axis=0)).groups == ()


@given(st.integers(2, 8), st.integers(2, 7), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_ranks_do_not_depend_on_scale_or_order(datasets: int, methods: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = np.round(random.normal(size=(datasets, methods)), 1)
    found = friedman(scores)
    order = random.permutation(methods)
    moved = friedman((np.exp(scores) * random.uniform(1, 9, (datasets, 1)))[:, order])
    np.testing.assert_allclose(moved.average_ranks, found.average_ranks[order])
    assert moved.statistic == pytest.approx(found.statistic, abs=1e-9)
    assert moved.f_p_value == pytest.approx(found.f_p_value)
    for group in found.groups:
        assert np.ptp(found.average_ranks[list(group)]) < found.critical_difference


def test_agreement_ties_and_few_data_sets_are_said() -> None:
    found = friedman(np.tile([3.0, 2.0, 1.0], (2, 1)))
    assert found.f_statistic == math.inf
    # The second data set repeats one of 3! rankings by chance with p = 1 / 6, which chi-square
    # would put at 0.135 and F at 0.
    assert found.p_value == found.f_p_value == found.smallest_p == pytest.approx(1 / 6)
    assert "even the same ranking on all of them has p = 0.17" in found.weak
    assert (
        "no pair can be told apart" in friedman(np.random.default_rng(0).normal(size=(2, 8))).weak
    )
    assert (
        "differ by 3.05 of at most 4" in friedman(np.random.default_rng(0).normal(size=(4, 5))).weak
    )
    tied = friedman(np.zeros((6, 3)))
    assert (tied.statistic, tied.p_value, tied.f_p_value) == (0, 1, 1)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((1, 3)), "ranks of 1 data set say nothing; give two or more"),
        (np.zeros((3, 1)), "ranks of 1 method say nothing"),
        (np.zeros((0, 3)), "ranks of 0 data sets"),
        (np.zeros(3), "give (data sets, methods)"),
        (np.array([[1, 2], [3, NAN]]), "method 1 has no score on data set 1"),
    ],
)
def test_ranks_refuse(scores: np.ndarray, message: str) -> None:
    with pytest.raises(InputError) as error:
        friedman(scores)
    assert message in str(error.value)
