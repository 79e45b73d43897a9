"""Paired difference of two methods that are scored on the same test tracks and resamples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.statistics.intervals import percentile

FEWEST_RESAMPLES = 20
"""With fewer resamples, quantiles say too little about an interval, and none is given."""


@dataclass(frozen=True)
class Paired:
    """The difference between two methods, first minus second, with its uncertainty.

    The uncertainty is that of the choice of test tracks alone: with another pretraining seed or
    label draw, even a difference whose interval is far from zero may change its sign (see
    `bench.statistics.variance`).

    Attributes:
        difference: difference of the two means over the cells.
        low: lower end of the percentile interval; NaN with fewer than `FEWEST_RESAMPLES` resamples.
        high: upper end of the interval, or NaN.
        standard_error: standard deviation of the difference over the resamples; NaN with fewer than
            two.
        ahead: share of the resamples in which the first method scores higher, a tie counting one
            half; NaN without resamples.
        p_value: two-sided p-value of the hypothesis that the difference is zero; NaN without
            resamples.
        resamples: number of resamples in which every cell has a value.
    """

    difference: float
    low: float
    high: float
    standard_error: float
    ahead: float
    p_value: float
    resamples: int


def paired(
    values_a: NDArray[np.float64],
    values_b: NDArray[np.float64],
    resampled_a: NDArray[np.float64],
    resampled_b: NDArray[np.float64],
    confidence: float,
) -> Paired:
    """Compares two methods over matched cells.

    In each resample, the scores are averaged over the cells first. The interval is the percentile
    interval, since the biases of the two methods cancel in the difference (see
    `bench.statistics.intervals`). The p-value inverts this interval: it is twice the smaller of the
    shares of resamples at or below and at or above zero, with one resample added to both counts so
    that it is never zero (Davison and Hinkley, "Bootstrap Methods and their Application", 1997,
    chapters 4 and 5).

    Args:
        values_a: (cells,) scores of the first method, e.g. one for each label draw.
        values_b: (cells,) scores of the second method in the same cells.
        resampled_a: (cells, resamples) scores of the first method in each resample of the test
            tracks. All cells share the resamples; a resample in which a cell has no value (NaN) is
            left out of all cells.
        resampled_b: (cells, resamples) the same of the second method.
        confidence: nominal coverage of the interval, such as 0.95.

    Returns:
        The difference, its interval and its p-value.

    Raises:
        InputError: if the arrays do not match, there is no cell, a score is not a finite number, or
            the confidence lies outside (0, 1).
    """
    _check(values_a, values_b, resampled_a, resampled_b, confidence)
    difference = float(values_a.mean() - values_b.mean())
    differences = resampled_a.mean(axis=0) - resampled_b.mean(axis=0)
    differences = differences[~np.isnan(differences)]
    count = len(differences)
    low = high = float("nan")
    if count >= FEWEST_RESAMPLES:
        low, high = percentile(differences, confidence)
    if not count:
        return Paired(difference, low, high, float("nan"), float("nan"), float("nan"), count)
    above, below = int((differences > 0).sum()), int((differences < 0).sum())
    return Paired(
        difference=difference,
        low=low,
        high=high,
        standard_error=float(differences.std(ddof=1)) if count > 1 else float("nan"),
        ahead=(above + (count - above - below) / 2) / count,
        p_value=min(1.0, 2 * (1 + count - max(above, below)) / (count + 1)),
        resamples=count,
    )


def _check(
    values_a: NDArray[np.float64],
    values_b: NDArray[np.float64],
    resampled_a: NDArray[np.float64],
    resampled_b: NDArray[np.float64],
    confidence: float,
) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence:g}; it must lie between 0 and 1, such as 0.95")
    if values_a.ndim != 1 or values_a.shape != values_b.shape or not len(values_a):
        raise InputError(
            f"cannot pair scores of the shapes {values_a.shape} and {values_b.shape}; "
            "give one a cell"
        )
    if (
        resampled_a.ndim != 2
        or resampled_a.shape != resampled_b.shape
        or len(resampled_a) != len(values_a)
    ):
        raise InputError(
            f"cannot pair resamples of the shapes {resampled_a.shape} and {resampled_b.shape}; "
            f"both must be ({len(values_a)} cells, resamples), scored with the same resamples"
        )
    if not (np.isfinite(values_a).all() and np.isfinite(values_b).all()):
        raise InputError("a score to compare is not a number; leave its cell out of both methods")
