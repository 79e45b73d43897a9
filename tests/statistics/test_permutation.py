"""The permutation test agrees with exact enumeration and with swapping real rankings."""

from functools import partial
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from bench.statistics.influence import ranking_influence
from bench.statistics.metrics import ranking
from bench.statistics.permutation import permutation_p

pytestmark = pytest.mark.usefixtures("one_thread")


def test_p_is_that_of_all_sign_flips() -> None:
    contributions = np.random.default_rng(3).normal(size=12) + 0.5
    signs = 1 - 2 * ((np.arange(2**12)[:, None] >> np.arange(12)) & 1)
    exact = (np.abs(signs @ contributions) >= abs(contributions.sum()) - 1e-12).mean()
    assert permutation_p(contributions, 100_000) == pytest.approx(exact, abs=0.005)
    assert permutation_p(contributions) == permutation_p(contributions)
    assert permutation_p(contributions, seed=1) != permutation_p(contributions)
    assert permutation_p(-contributions) == pytest.approx(permutation_p(contributions), abs=0.02)


def test_p_has_its_bounds() -> None:
    assert permutation_p(np.zeros(10)) == 1
    assert permutation_p(np.ones(1000), 999) == 1 / 1000
    assert permutation_p(np.array([0.3]), 99) == 1, "one track can only be swapped as a whole"
    groups = np.repeat([0, 1], 50)
    assert permutation_p(np.ones(100), 4000, groups=groups) == pytest.approx(0.5, abs=0.05)


def test_p_is_uniform_where_nothing_differs() -> None:
    values = [
        permutation_p(np.random.default_rng(trial).normal(size=70), 400, trial)
        for trial in range(500)
    ]
    for level in (0.05, 0.25, 0.5):
        assert np.mean(np.array(values) <= level) == pytest.approx(
            level, abs=4 * (level * (1 - level) / 500) ** 0.5
        )


@pytest.mark.parametrize(("gap", "metric"), [(0.0, 0), (0.25, 0), (0.0, 1), (0.25, 1)])
def test_p_is_close_to_that_of_swapping_real_rankings(gap: float, metric: int) -> None:
    """Swaps real rankings and computes the metric of each anew.

    Scores become ranks within their method and tag first, so that those of two methods can be
    swapped.
    """
    random = np.random.default_rng(int(10 * gap))
    labels = random.random((300, 5)) < 0.3
    shared = random.normal(size=(300, 5)) + labels
    first, second = (
        shared + 0.7 * random.normal(size=(300, 5)) + extra * labels for extra in (gap, 0.0)
    )
    macro = partial(
        lambda scores: ranking(scores, labels, np.ones((300, 1), dtype=np.int32))[metric].mean()
    )
    ranks = rankdata(first, axis=0), rankdata(second, axis=0)
    observed = macro(first) - macro(second)
    larger, permutations = 0, 1000
    for swap in random.random((permutations, 300, 1)) < 0.5:
        larger += (
            abs(macro(np.where(swap, *ranks)) - macro(np.where(swap, *ranks[::-1])))
            >= abs(observed) - 1e-12
        )
    influence = [
        ranking_influence(scores, labels, left_out=True)[metric].mean(1)
        for scores in (first, second)
    ]
    found = permutation_p(observed / 300 + influence[0] - influence[1])
    expected = (larger + 1) / (permutations + 1)
    # Compared as normal deviates, on which scale small p-values differ visibly.
    assert norm.isf(found / 2) == pytest.approx(norm.isf(expected / 2), abs=0.35)


def test_methods_that_are_alike_rarely_differ_and_others_do(coverage: ModuleType) -> None:
    found = {
        title: np.mean(
            [coverage.compare(title, "tags of 2-10 %", 1000, 20, k)[:, 0] for k in range(40)],
            axis=0,
        )
        for title in ("alike, noise correlated 0.7", "second 20 % weaker, correlated")
    }
    assert (found["alike, noise correlated 0.7"] <= 0.15).all()
    assert (found["second 20 % weaker, correlated"] >= 0.9).all()
