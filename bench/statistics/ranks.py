"""Ranks of methods over data sets: Friedman's test and Nemenyi's critical difference."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc
from scipy.stats import rankdata, studentized_range

from bench.core.errors import InputError

FEW_DATASETS = 5
"""A test on ranks is called weak with fewer data sets than this."""


@dataclass(frozen=True)
class Friedman:
    """Ranks of methods over data sets, and tests of whether they differ.

    Attributes:
        average_ranks: (methods,) mean rank over the data sets; 1 is best.
        statistic: Friedman's chi-square, corrected for ties, with methods - 1 degrees of freedom.
        p_value: p-value of `statistic`.
        f_statistic: Iman and Davenport's F with methods - 1 and (methods - 1) (datasets - 1)
            degrees of freedom; infinite where all data sets rank the methods alike.
        f_p_value: p-value of `f_statistic`. It is the less conservative of the two p-values, and
            the one that Demsar recommends.
        critical_difference: Nemenyi's critical difference; two methods whose average ranks differ
            by at least this differ significantly at level `alpha`.
        groups: sets of two or more methods (columns of the scores, best first) that do not differ
            significantly from one another. No group can be extended; groups may overlap. A method
            in no group differs from all others.
        alpha: family-wise significance level of the critical difference.
        smallest_p: the smallest p-value that can occur, that of the same ranking (without ties) on
            every data set, which is methods! to the power 1 - datasets. No smaller value is given
            as `p_value` or `f_p_value`.
        weak: one sentence on why the test has little power; empty if it does not apply.
    """

    average_ranks: NDArray[np.float64]
    statistic: float
    p_value: float
    f_statistic: float
    f_p_value: float
    critical_difference: float
    groups: tuple[tuple[int, ...], ...]
    alpha: float
    smallest_p: float
    weak: str


def friedman(scores: NDArray[np.float64], *, alpha: float = 0.05) -> Friedman:
    """Tests whether methods have the same ranks over data sets, and which methods differ.

    Friedman's test: "The use of ranks to avoid the assumption of normality implicit in the analysis
    of variance", JASA 32, 1937; with ties as in Conover, "Practical Nonparametric Statistics", 3rd
    edition 1999, section 5.8. The F statistic: Iman and Davenport, Communications in Statistics A9,
    1980. Both for data sets: Demsar, "Statistical comparisons of classifiers over multiple data
    sets", JMLR 7, 2006, section 3.2.2, who considers chi-square and F good approximations above
    about 10 data sets and 5 methods. Data sets must be independent, which label draws, label
    fractions or splits of one data set are not.

    Args:
        scores: (datasets, methods), higher is better; equal scores share the mean of their ranks.
        alpha: significance level of the critical difference.

    Returns:
        The ranks, the two tests and the groups of methods that do not differ.

    Raises:
        InputError: if there are fewer than two data sets or methods, a score is NaN, or alpha lies
            outside (0, 1).
    """
    _check(scores)
    datasets, methods = scores.shape
    difference = critical_difference(methods, datasets, alpha=alpha)
    ranks = rankdata(-scores, axis=1)
    average = ranks.mean(axis=0)
    statistic = _chi_square(ranks)
    smallest = math.exp((1 - datasets) * math.lgamma(methods + 1))
    remaining = datasets * (methods - 1) - statistic
    # Rounding may leave a tiny remainder where it should be zero. The smallest step between two
    # values of the statistic is far above the threshold.
    f_statistic, f_p = math.inf, 0.0
    if remaining > 1e-9 * datasets * methods:
        f_statistic = (datasets - 1) * statistic / remaining
        f_p = float(fdtrc(methods - 1, (methods - 1) * (datasets - 1), f_statistic))
    return Friedman(
        average_ranks=average,
        statistic=statistic,
        p_value=max(float(chdtrc(methods - 1, statistic)), smallest),
        f_statistic=f_statistic,
        f_p_value=max(f_p, smallest),
        critical_difference=difference,
        groups=_groups(average, difference),
        alpha=alpha,
        smallest_p=smallest,
        weak=_weakness(datasets, methods, difference, alpha, smallest),
    )


def critical_difference(methods: int, datasets: int, *, alpha: float = 0.05) -> float:
    """Computes Nemenyi's critical difference of average ranks.

    It is q_alpha sqrt(k (k + 1) / (6 N)), where q_alpha is the 1 - alpha quantile of the range of k
    standard normal variables (the studentised range with infinite degrees of freedom) divided by
    sqrt 2 (Demsar 2006, section 3.2.2 and table 5a; Nemenyi, thesis, Princeton 1963).

    Args:
        methods: number of methods k, two or more.
        datasets: number of data sets N, two or more.
        alpha: family-wise significance level over all pairs.

    Returns:
        The smallest difference of two average ranks that is significant.

    Raises:
        InputError: if there are fewer than two methods or data sets, or alpha lies outside (0, 1).
    """
    for name, count in (("method", methods), ("data set", datasets)):
        if count < 2:
            raise InputError(
                f"ranks of {count} {name}{'' if count == 1 else 's'} say nothing; give two or more"
            )
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha:g}; it must lie between 0 and 1, such as 0.05")
    quantile = float(studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * datasets))


def _check(scores: NDArray[np.float64]) -> None:
    if scores.ndim != 2:
        raise InputError(f"scores have the shape {scores.shape}; give (data sets, methods)")
    missing = np.argwhere(np.isnan(scores))
    if len(missing):
        row, column = missing[0]
        raise InputError(
            f"method {column} has no score on data set {row} (counted from 0; {len(missing)} "
            "missing in all); ranks need every method on every data set: run the cell, or leave "
            "out the method or the data set"
        )


def _chi_square(ranks: NDArray[np.float64]) -> float:
    """Computes Friedman's statistic of (datasets, methods) midranks.

    It is (k - 1) times the ratio of the spread of the rank sums to the spread of the ranks, which
    is the usual formula with its correction for ties (Conover 1999, section 5.8). It is 0 where all
    methods are tied on every data set.
    """
    datasets, methods = ranks.shape
    centre = (methods + 1) / 2
    spread = float(((ranks - centre) ** 2).sum())
    between = float(((ranks.sum(axis=0) - datasets * centre) ** 2).sum())
    return (methods - 1) * between / spread if spread > 0 else 0.0


def _groups(average: NDArray[np.float64], difference: float) -> tuple[tuple[int, ...], ...]:
    """Finds the groups of methods that do not differ significantly from one another.

    They are the longest runs of two or more consecutive average ranks whose ends differ by less
    than the critical difference.
    """
    order = np.argsort(average, kind="stable")
    groups: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        end = start + int((average[order[start:]] - average[order[start]] < difference).sum())
        if end > reached and end - start > 1:
            groups.append(tuple(int(method) for method in order[start:end]))
        reached = max(reached, end)
    return tuple(groups)


def _weakness(datasets: int, methods: int, difference: float, alpha: float, smallest: float) -> str:
    """Says in one sentence why the test has little power; an empty text if it does not apply."""
    widest = methods - 1
    if smallest > alpha:
        return (
            f"{datasets} data sets: even the same ranking on all of them has p = {smallest:.2g}, "
            f"above {alpha:g}"
        )
    if difference > widest:
        return (
            f"{datasets} data sets: average ranks must differ by {difference:.2f}, and "
            f"{methods} methods cannot differ by more than {widest}: no pair can be told apart"
        )
    if datasets < FEW_DATASETS:
        return (
            f"{datasets} data sets are few: average ranks must differ by {difference:.2f} of at "
            f"most {widest}, and the smallest p that can occur is {smallest:.2g}"
        )
    return ""
