"""The part of the variance of a grid of scores that comes from the sample of test tracks.

`bench.statistics.variance` describes the model and its letters.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.statistics.anova import coefficients, levels_of_mean, mean_squares


class Sampling(NamedTuple):
    """What resamples of the test tracks say about a grid; every number is NaN without resamples.

    Attributes:
        interactions: (4,) variances of the interactions of the test sample with the pretraining
            seed, the label draw, the pair of both, and the probe seed (AT, BT, ABT and CT).
        variance: variance of the effect of the test sample that all cells share (T).
        of_cell: bootstrap variance of a cell's score, averaged over the cells.
        of_mean: bootstrap variance of the mean of the grid.
        bias: mean of the resampled scores less the mean of the scores.
    """

    interactions: NDArray[np.float64]
    variance: float
    of_cell: float
    of_mean: float
    bias: float


def sampling(scores: NDArray[np.float64], resampled: NDArray[np.float64] | None) -> Sampling:
    """Estimates the variances of the test sample from the shifts of the scores in each resample.

    Args:
        scores: (pretraining seeds, label draws, probe seeds) scores.
        resampled: (pretraining seeds, label draws, probe seeds, resamples) scores in each resample.
            A resample without a value (NaN) in a cell is left out; with fewer than two left,
            nothing is known.
    """
    kept = np.empty((*scores.shape, 0)) if resampled is None else resampled
    kept = kept[..., ~np.isnan(kept).any(axis=(0, 1, 2))]
    count = kept.shape[-1]
    if count < 2:
        return Sampling(np.full(4, np.nan), *[float("nan")] * 4)
    shifts = kept - kept.mean(axis=-1, keepdims=True)
    # Each resample is an analysis of variance of its own; their mean squares are averaged, with
    # count - 1 since the shifts of the resamples sum to zero.
    interactions = coefficients(scores.shape) @ mean_squares(shifts).sum(axis=-1) / (count - 1)
    of_mean = float(shifts.mean(axis=(0, 1, 2)).var(ddof=1))
    return Sampling(
        interactions=interactions,
        # The mean of the grid also varies with the interactions, which are counted apart.
        variance=of_mean - float(np.nansum(interactions / levels_of_mean(scores.shape))),
        of_cell=float(shifts.var(axis=-1, ddof=1).mean()),
        of_mean=of_mean,
        bias=float(kept.mean() - scores.mean()),
    )
