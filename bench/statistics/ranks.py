"""Several methods over several data sets: Friedman's test on ranks, and Nemenyi's critical difference."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc
from scipy.stats import rankdata, studentized_range

from bench.core.errors import InputError

FEW_DATASETS = 5
"""With fewer data sets than this a test on ranks is called weak."""


@dataclass(frozen=True)
class Friedman:
    """Ranks of methods over data sets, and whether they differ.

    Attributes:
        average_ranks: (methods,) 1 is best.
        statistic: Friedman's chi-square, corrected for ties, with methods - 1 degrees of freedom.
        p_value: of it.
        f_statistic: Iman and Davenport's F with methods - 1 and (methods - 1) (datasets - 1)
            degrees of freedom; infinite where all data sets rank the methods alike.
        f_p_value: of it; the less conservative of the two, and the one that Demsar advises.
        critical_difference: average ranks that differ by at least this differ at `alpha` (Nemenyi).
        groups: sets of two or more methods (columns of the scores, best first) that do not differ
            from one another, each as large as can be; they may overlap. A method in no group
            differs from all others.
        alpha: family-wise level of the critical difference.
        smallest_p: the p-value of the strongest evidence there is, the same ranking on every data
            set, methods! to the power 1 - datasets (without ties); neither p-value is given as
            less.
        weak: why the test can say little; empty where nothing speaks against it.
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
    """Tests whether methods rank alike over data sets, and which of them differ.

    Friedman, "The use of ranks to avoid the assumption of normality implicit in the analysis of
    variance", JASA 32, 1937; with ties as in Conover, "Practical Nonparametric Statistics", 3rd
    edition 1999, section 5.8. F: Iman and Davenport, Communications in Statistics A9, 1980. Their
    use on data sets: Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR
    7, 2006, section 3.2.2; he takes chi-square and F as good above some 10 data sets and 5 methods.
    Data sets must be independent: draws, fractions or splits of one data set are not.

    Args:
        scores: (datasets, methods), higher is better; equal scores share the mean of their ranks.
        alpha: level of the critical difference.

    Raises:
        InputError: fewer than two data sets or methods, a score that is no number, or alpha outside
            (0, 1).
    """
    _check(scores)
    datasets, methods = scores.shape
    difference = critical_difference(methods, datasets, alpha=alpha)
    ranks = rankdata(-scores, axis=1)
    average = ranks.mean(axis=0)
    statistic = _chi_square(ranks)
    smallest = math.exp((1 - datasets) * math.lgamma(methods + 1))
    remaining = datasets * (methods - 1) - statistic
    # Rounding may leave a little where nothing remains; the smallest step of the statistic is far
    # above it.
    f_statistic = (
        (datasets - 1) * statistic / remaining
        if remaining > 1e-9 * datasets * methods
        else math.inf
    )
    f_p = (
        float(fdtrc(methods - 1, (methods - 1) * (datasets - 1), f_statistic))
        if f_statistic < math.inf
        else 0.0
    )
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
    """Nemenyi's critical difference of average ranks, q_alpha sqrt(k (k + 1) / (6 N)).

    q_alpha is the quantile of the range of k standard normals (the studentised range with infinite
    degrees of freedom) divided by sqrt 2 (Demsar 2006, section 3.2.2 and table 5a; Nemenyi, thesis,
    Princeton 1963).

    Args:
        methods: k, two or more.
        datasets: N, two or more.
        alpha: level that holds for all pairs together.

    Raises:
        InputError: fewer than two methods or data sets, or alpha outside (0, 1).
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
            f"method {column} has no score on data set {row} (counted from 0; {len(missing)} missing in all); ranks "
            "need every method on every data set: run the cell, or leave out the method or the data set"
        )


def _chi_square(ranks: NDArray[np.float64]) -> float:
    """Friedman's statistic of (datasets, methods) midranks.

    0 where every data set ties all methods. (k - 1) times the ratio of the spread of the rank sums
    to the spread of the ranks, which is the usual formula with its correction for ties (Conover
    1999, section 5.8).
    """
    datasets, methods = ranks.shape
    centre = (methods + 1) / 2
    spread = float(((ranks - centre) ** 2).sum())
    between = float(((ranks.sum(axis=0) - datasets * centre) ** 2).sum())
    return (methods - 1) * between / spread if spread > 0 else 0.0


def _groups(average: NDArray[np.float64], difference: float) -> tuple[tuple[int, ...], ...]:
    """Longest runs of two or more consecutive average ranks whose ends differ by less than the critical difference."""
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
    """One sentence where the test can say little."""
    widest = methods - 1
    if smallest > alpha:
        return f"{datasets} data sets: even the same ranking on all of them has p = {smallest:.2g}, above {alpha:g}"
    if difference > widest:
        return (
            f"{datasets} data sets: average ranks must differ by {difference:.2f}, and {methods} methods cannot differ "
            f"by more than {widest}: no pair can be told apart"
        )
    if datasets < FEW_DATASETS:
        return (
            f"{datasets} data sets are few: average ranks must differ by {difference:.2f} of at most {widest}, and the "
            f"smallest p that can occur is {smallest:.2g}"
        )
    return ""
