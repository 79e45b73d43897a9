"""Difference of two methods on the same test tracks, from resamples that both share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.statistics.intervals import percentile

FEWEST_RESAMPLES = 20
"""With fewer, quantiles are no interval: none is given."""


@dataclass(frozen=True)
class Paired:
    """A difference, first minus second, and what the resamples of the test tracks say of it.

    Nothing but the choice of test tracks is counted: another pretraining seed or label draw may
    change the sign of a difference whose interval is far from zero (see
    `bench.statistics.variance`).

    Attributes:
        difference: of the means over the cells.
        low: lower end of the percentile interval; NaN with fewer than `FEWEST_RESAMPLES` resamples.
        high: upper end.
        standard_error: standard deviation of the difference over the resamples; NaN with fewer than
            two.
        ahead: share of the resamples in which the first method is ahead, a tie counting one half;
            NaN without any.
        p_value: two-sided, that the difference is zero; NaN without resamples.
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

    The mean over the cells is taken first, in each resample. The interval is the percentile
    interval: the biases of the two methods cancel (see `bench.statistics.intervals`). The p-value
    is the one that it inverts to: twice the smaller of the shares of resamples at or below and at
    or above zero, one resample being added to both counts, so that it is never zero (Davison and
    Hinkley 1997, chapters 4 and 5).

    Args:
        values_a: (cells,) scores of the first method, e.g. one a draw.
        values_b: (cells,) scores of the second in the same cells.
        resampled_a: (cells, resamples) the scores in each resample of the test tracks, the same in
            all cells; a resample in which a cell has no value (NaN) is left out for all.
        resampled_b: (cells, resamples) of the second.
        confidence: coverage, such as 0.95.

    Raises:
        InputError: arrays that do not match, no cell, a score that is no number, or a confidence
            outside (0, 1).
    """
    _check(values_a, values_b, resampled_a, resampled_b, confidence)
    difference = float(values_a.mean() - values_b.mean())
    spread = resampled_a.mean(axis=0) - resampled_b.mean(axis=0)
    spread = spread[~np.isnan(spread)]
    count = len(spread)
    low, high = (
        percentile(spread, confidence)
        if count >= FEWEST_RESAMPLES
        else (float("nan"), float("nan"))
    )
    if not count:
        return Paired(difference, low, high, float("nan"), float("nan"), float("nan"), count)
    above, below = int((spread > 0).sum()), int((spread < 0).sum())
    return Paired(
        difference=difference,
        low=low,
        high=high,
        standard_error=float(spread.std(ddof=1)) if count > 1 else float("nan"),
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
            f"cannot pair scores of the shapes {values_a.shape} and {values_b.shape}; give one a cell"
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
