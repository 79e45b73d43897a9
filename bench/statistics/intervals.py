"""Confidence intervals of a metric from its bootstrap resamples and its influence values.

Average precision is biased upwards in a finite test set, since the precision at a positive counts
the positive itself. It is biased once more in each resample, where a track that is drawn twice
lifts its own rank. Percentiles of the resamples carry both biases into the interval; reflecting
them (`basic`) or correcting their median (`bca`) corrects only half of the first. So `interval`,
the default, takes a bias that is estimated separately (`bench.statistics.influence.precision_bias`)
and a jackknife standard error. In a paired difference the biases nearly cancel, and `percentile` is
good enough.

Coverage, measured by `tests/benchmarks/bench_coverage.py`: the percentage of nominal 95 % intervals
of macro ROC-AUC / macro average precision over 50 tags that hold the true value. The first two rows
are over 2000 simulated test sets (standard error 0.5), the others over 400 (1.1):

| tags                          | tracks | percentile  | basic       | bca         | interval    |
|---|---|---|---|---|---|
| 0.5-30 %                      |   1000 | 93.3 / 22.1 | 92.2 / 89.1 | 92.4 / 52.4 | 95.1 / 96.3 |
| 2-10 %                        |   1000 | 94.5 / 37.6 | 94.6 / 91.0 | 94.0 / 65.2 | 95.8 / 95.3 |
| 0.5-30 %, correlated          |   1000 | 92.0 / 71.8 | 90.8 / 91.2 | 91.0 / 85.2 | 93.8 / 93.8 |
| 2-10 %, correlated            |   1000 | 92.8 / 81.5 | 92.0 / 94.5 | 91.8 / 91.5 | 94.0 / 95.8 |
| 0.5-30 %, scores spread wider |   1000 | 94.0 / 60.2 | 90.2 / 92.5 | 92.8 / 78.8 | 95.5 / 94.8 |
| 0.5-30 %, weak classifier     |   1000 | 94.2 /  0.0 | 91.0 / 94.2 | 92.8 /  0.2 | 95.0 / 96.0 |
| 0.5-30 %, strong classifier   |   1000 | 93.8 / 74.2 | 91.5 / 92.2 | 92.8 / 87.2 | 93.8 / 97.0 |
| 0.5-30 %                      |    200 | 91.5 /  2.2 | 80.2 / 80.3 | 84.7 / 10.0 | 89.2 / 95.8 |
| 2-10 %                        |    200 | 94.8 /  9.5 | 92.0 / 80.2 | 93.8 / 27.2 | 96.5 / 97.0 |
| 0.5-30 %                      |    400 | 94.0 /  6.2 | 86.8 / 84.0 | 89.5 / 23.0 | 92.8 / 96.5 |
| 0.5-30 %                      |   4000 | 94.5 / 44.5 | 93.5 / 92.5 | 94.8 / 75.0 | 94.8 / 96.2 |

The first column is the share of tracks that have a tag. The coverage of `interval` remains too low
for the ROC-AUC of test sets where many tags have one or two positives (200 tracks): a single
positive does not show how much the scores of positives vary.
"""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_NORMAL = NormalDist()


def percentile(resampled: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Computes the percentile interval: two quantiles of the resampled values.

    Args:
        resampled: (resamples,) the metric in each resample; resamples without a value (NaN) are
            left out.
        confidence: nominal coverage, such as 0.95.

    Returns:
        The lower and the upper end; both NaN where no resample has a value.
    """
    known = resampled[~np.isnan(resampled)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def basic(value: float, resampled: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Computes the basic bootstrap interval of a metric in [0, 1]: quantiles reflected about it.

    The ends are 2 v - q for the value v and the quantiles q (Davison and Hinkley, "Bootstrap
    Methods and their Application", 1997, section 5.2). Where the bias is so large that the value
    itself falls outside, the interval is widened to it: this loses no coverage, and a score outside
    its own interval would confuse readers.

    Args:
        value: the metric of the test tracks themselves.
        resampled: (resamples,) the metric in each resample; resamples without a value (NaN) are
            left out.
        confidence: nominal coverage, such as 0.95.

    Returns:
        The lower and the upper end, inside [0, 1]; both NaN where no resample has a value.
    """
    low, high = percentile(resampled, confidence)
    if np.isnan(low):
        return low, high
    return _around(value, 2 * value - high, 2 * value - low)


def bca(
    value: float, resampled: NDArray[np.float64], influence: NDArray[np.float64], confidence: float
) -> tuple[float, float]:
    """Computes the bias-corrected and accelerated (BCa) bootstrap interval.

    The ends are quantiles of the resampled values, at levels that are shifted by the median bias of
    the resamples and by the skewness of the influence values (Efron, "Better Bootstrap Confidence
    Intervals", JASA 82, 1987). A value outside the range of all resamples is taken to lie half a
    resample inside it.

    Args:
        value: the metric of the test tracks themselves.
        resampled: (resamples,) the metric in each resample; resamples without a value (NaN) are
            left out.
        influence: (tracks,), or (groups,) where groups were resampled: the derivative of the metric
            with respect to the weight of each track or group, or its jackknife values.
        confidence: nominal coverage, such as 0.95.

    Returns:
        The lower and the upper end, inside the range of the resamples; both NaN where no resample
        has a value.
    """
    known = resampled[~np.isnan(resampled)]
    if not known.size:
        return float("nan"), float("nan")
    below = ((known < value).mean() + (known <= value).mean()) / 2
    bias = _NORMAL.inv_cdf(float(np.clip(below, 0.5 / known.size, 1 - 0.5 / known.size)))
    spread = float((influence**2).sum())
    acceleration = float((influence**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    levels = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        shifted = bias + _NORMAL.inv_cdf(tail)
        # The transformation has a pole where the denominator is 0; beyond it, the level is 0 or 1.
        rest = max(1 - acceleration * shifted, np.finfo(np.float64).eps)
        levels.append(_NORMAL.cdf(bias + shifted / rest))
    low, high = np.quantile(known, levels)
    return float(low), float(high)


def by_group(values: NDArray[np.float64], groups: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sums influence or jackknife values over the tracks of each group.

    Where whole groups are resampled, the influence of a group is the sum over its tracks.

    Args:
        values: (tracks,) influence or jackknife values.
        groups: (tracks,) group of each track.

    Returns:
        (groups,) sums, in the sorted order of the groups.
    """
    return np.bincount(np.unique(groups, return_inverse=True)[1], values).astype(np.float64)


def standard_error(influence: NDArray[np.float64]) -> float:
    """Computes the jackknife standard error of a metric.

    Args:
        influence: (tracks,) or (groups,) influence or jackknife values of the metric.

    Returns:
        The standard error, in units of the metric; 0 for a single track or group.
    """
    units = len(influence)
    if units < 2:
        return 0.0
    return float(np.sqrt(units / (units - 1) * ((influence - influence.mean()) ** 2).sum()))


def interval(
    value: float,
    resampled: NDArray[np.float64],
    influence: NDArray[np.float64],
    confidence: float,
    bias: float | None = None,
) -> tuple[float, float]:
    """Computes the default interval of a score in [0, 1], bias-corrected and logit-symmetric.

    The interval is value - bias, plus and minus a normal quantile times the jackknife standard
    error. The delta method carries it to the logit scale and back, which keeps it in [0, 1] and
    makes misses above and below more equally frequent (for ROC-AUC: Pepe, "The Statistical
    Evaluation of Medical Tests", 2003, section 5.2; for the area under the precision-recall curve,
    where percentiles of the bootstrap fall short too: Boyd, Eng and Page, ECML 2013). The jackknife
    standard error tends to be too large rather than too small (Efron and Stein 1981). Where the
    bias exceeds the half-width, the interval is widened to the value, since a score outside its own
    interval would confuse readers. The module's docstring gives the measured coverage.

    Args:
        value: the metric of the test tracks themselves.
        resampled: (resamples,) the metric in each resample; resamples without a value (NaN) are
            left out.
        influence: (tracks,), or (groups,) where groups were resampled: jackknife values of the
            metric, such as the mean over tags of `ranking_jackknife`. Influence values will do for
            metrics that do not depend on rare tags.
        confidence: nominal coverage, such as 0.95.
        bias: how far the value is expected to lie above the true one, such as the mean of
            `precision_bias`; 0 for ROC-AUC and accuracy. If None, the mean of the resamples less
            the value is taken, which for average precision is only half of the bias.

    Returns:
        The lower and the upper end, inside [0, 1]; both NaN where no resample has a value.
    """
    known = resampled[~np.isnan(resampled)]
    if not known.size:
        return float("nan"), float("nan")
    error = standard_error(influence)
    if bias is None:
        bias, error = float(known.mean()) - value, max(error, float(known.std()))
    corrected = value - bias
    reach = _NORMAL.inv_cdf((1 + confidence) / 2) * error
    if 0 < corrected < 1:
        centre, moved = np.log(corrected / (1 - corrected)), reach / (corrected * (1 - corrected))
        # The logistic function, written with tanh so that it cannot overflow.
        low, high = (1 + np.tanh((centre - moved) / 2)) / 2, (1 + np.tanh((centre + moved) / 2)) / 2
    else:
        low, high = corrected - reach, corrected + reach
    return _around(value, low, high)


def _around(value: float, low: float, high: float) -> tuple[float, float]:
    """Widens an interval to hold the value, and cuts it to [0, 1]."""
    return float(np.clip(min(value, low), 0, 1)), float(np.clip(max(value, high), 0, 1))
