"""Bootstrap intervals from a metric's value, its values in the resamples, and its influence values.

Average precision is biased upwards in a finite test set, since the precision at a positive counts
the positive itself, and once more in each resample, where a track drawn twice lifts its own rank.
Percentiles of the resamples carry both biases into the interval; reflecting them (`basic`) or
correcting their median (`bca`) sees but half of the first. So `interval`, the default, takes a bias
that is estimated apart (`bench.statistics.metrics.precision_bias`) and a jackknife standard error.
In a paired difference the biases nearly cancel, and `percentile` serves. How often each kind holds
the truth is printed by `tests/benchmarks/bench_coverage.py`.
"""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_NORMAL = NormalDist()


def percentile(resampled: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Quantiles of the resampled values; resamples without a value (NaN) are left out.

    Args:
        resampled: (resamples,) one value a resample.
        confidence: coverage, such as 0.95.

    Returns:
        The lower and the upper end; both NaN where no resample has a value.
    """
    known = resampled[~np.isnan(resampled)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def basic(value: float, resampled: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Quantiles reflected about the value, 2 v - q, for metrics in [0, 1] (Davison and Hinkley 1997, section 5.2).

    Where the bias is so large that the value itself falls outside, the interval is widened to it:
    no coverage is lost, and a score outside its own interval helps no reader.

    Args:
        value: the metric of the test tracks themselves.
        resampled: (resamples,) its value in each resample.
        confidence: coverage, such as 0.95.

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
    """The bias-corrected and accelerated interval (Efron, "Better Bootstrap Confidence Intervals", JASA 82, 1987).

    Quantiles of the resampled values at levels moved by the median bias of the resamples and by the
    skewness of the influence. Where the value lies outside all resamples it is taken to lie half a
    resample inside.

    Args:
        value: the metric of the test tracks themselves.
        resampled: (resamples,) its value in each resample; those without a value (NaN) are left
            out.
        influence: (tracks,) or (groups,), what was resampled: derivative of the metric by each
            one's weight, or its jackknife values.
        confidence: coverage, such as 0.95.

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
        # Beyond the pole of the transformation, all resamples lie on one side.
        rest = max(1 - acceleration * shifted, np.finfo(np.float64).eps)
        levels.append(_NORMAL.cdf(bias + shifted / rest))
    low, high = np.quantile(known, levels)
    return float(low), float(high)


def by_group(values: NDArray[np.float64], groups: NDArray[np.generic]) -> NDArray[np.float64]:
    """(groups,) sums of the (tracks,) influence or jackknife values of each group, where groups are resampled."""
    return np.bincount(np.unique(groups, return_inverse=True)[1], values).astype(np.float64)


def standard_error(influence: NDArray[np.float64]) -> float:
    """Jackknife standard error of a metric from the influence values of the tracks (or groups): a number, 0 for one."""
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
    """The default interval of a score in [0, 1]: bias-corrected, symmetric on the logit scale.

    value - bias, plus and minus a normal quantile of jackknife standard errors, carried to the
    logit scale and back by the delta method, which keeps it in [0, 1] and makes its two misses more
    alike (for ROC-AUC: Pepe, "The Statistical Evaluation of Medical Tests", 2003, section 5.2; for
    the area under the precision-recall curve, where percentiles of the bootstrap were found wanting
    too: Boyd, Eng and Page, ECML 2013). The jackknife's standard error is too large rather than too
    small (Efron and Stein 1981). Where the bias is larger than that, the interval is widened to the
    value, since a score outside its own interval helps no reader.

    Measured by `tests/benchmarks/bench_coverage.py`, % of nominal 95 % intervals of macro ROC-AUC /
    average precision over 50 tags that hold the truth (2000 test sets in the first two rows,
    standard error 0.5; 400 in the others, 1.1):

    | tags                           | tracks | percentile  | basic       | bca         | interval    |
    |---|---|---|---|---|---|
    | 0.5-30 %                       |   1000 | 93.3 / 22.1 | 92.2 / 89.1 | 92.4 / 52.4 | 95.1 / 96.3 |
    | 2-10 %                         |   1000 | 94.5 / 37.6 | 94.6 / 91.0 | 94.0 / 65.2 | 95.8 / 95.3 |
    | 0.5-30 %, correlated           |   1000 | 92.0 / 71.8 | 90.8 / 91.2 | 91.0 / 85.2 | 93.8 / 93.8 |
    | 2-10 %, correlated             |   1000 | 92.8 / 81.5 | 92.0 / 94.5 | 91.8 / 91.5 | 94.0 / 95.8 |
    | 0.5-30 %, scores spread wider  |   1000 | 94.0 / 60.2 | 90.2 / 92.5 | 92.8 / 78.8 | 95.5 / 94.8 |
    | 0.5-30 %, weak classifier      |   1000 | 94.2 /  0.0 | 91.0 / 94.2 | 92.8 /  0.2 | 95.0 / 96.0 |
    | 0.5-30 %, strong classifier    |   1000 | 93.8 / 74.2 | 91.5 / 92.2 | 92.8 / 87.2 | 93.8 / 97.0 |
    | 0.5-30 %                       |    200 | 91.5 /  2.2 | 80.2 / 80.3 | 84.7 / 10.0 | 89.2 / 95.8 |
    | 2-10 %                         |    200 | 94.8 /  9.5 | 92.0 / 80.2 | 93.8 / 27.2 | 96.5 / 97.0 |
    | 0.5-30 %                       |    400 | 94.0 /  6.2 | 86.8 / 84.0 | 89.5 / 23.0 | 92.8 / 96.5 |
    | 0.5-30 %                       |   4000 | 94.5 / 44.5 | 93.5 / 92.5 | 94.8 / 75.0 | 94.8 / 96.2 |

    Too low remains the ROC-AUC of test sets where many tags have one or two positives (200 tracks):
    one positive says nothing about the spread of positives.

    Args:
        value: the metric of the test tracks themselves.
        resampled: (resamples,) its value in each resample; those without a value (NaN) are left
            out.
        influence: (tracks,) or (groups,), what was resampled: jackknife values of the metric, such
            as the mean over tags of `ranking_jackknife`; influences will do for metrics that no
            rare tag is part of.
        confidence: coverage, such as 0.95.
        bias: how far the value is expected to lie above the truth, such as the mean of
            `precision_bias`; 0 for ROC-AUC and accuracy. Where not given, the mean of the resamples
            less the value, which for average precision is but half of it.

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
        # The logistic function, which does not overflow where it is written so.
        low, high = (1 + np.tanh((centre - moved) / 2)) / 2, (1 + np.tanh((centre + moved) / 2)) / 2
    else:
        low, high = corrected - reach, corrected + reach
    return _around(value, low, high)


def _around(value: float, low: float, high: float) -> tuple[float, float]:
    """The interval widened to the value and cut to [0, 1]."""
    return float(np.clip(min(value, low), 0, 1)), float(np.clip(max(value, high), 0, 1))
