"""Sources of the variance of scores: pretraining seed, label draw, probe seed, test sample.

The score of pretraining seed a, label draw b and probe seed c on a sample t of test tracks is
modelled as

    y_abct = mu + A_a + B_b + (AB)_ab + C_c(ab) + T_t + (AT)_at + (BT)_bt + (ABT)_abt + (CT)_c(ab)t

with independent random effects of mean zero. Label draws are crossed with pretraining seeds: a draw
is the same set of labelled tracks for every seed. Probe seeds are nested in the pairs, since the
same probe seed means nothing in common for two different embeddings.

All cells of a grid are scored on one test sample. The spread between cells therefore holds each
effect together with its interaction with that sample, A + AT, B + BT and so on: an analysis of
variance of y estimates var A + var AT. The components below are these sums. They belong together,
since a new pretraining seed brings a new A and a new AT. What the spread between cells cannot show
is T, which raises or lowers all of them alike.

The bootstrap shows T. A resample of the tracks shifts y_abc by T* + (AT)* + (BT)* + (ABT)* + (CT)*:
it draws only the terms with t anew, with the same variances (up to (tracks - 1) / tracks). An
analysis of variance of the resampled scores themselves would estimate var A + 2 var AT, once for
the sample and once for the resample. So the shifts are analysed, y*_abc less its mean over the
resamples, which gives var AT, var BT, var ABT and var CT. The variance of the resampled mean of the
grid is var T + var AT / na + var BT / nb + ...; subtracting these terms leaves var T, so that no
interaction is counted twice.

The variance of a single score, with everything drawn anew, is thus the sum of the components, and
that of the grand mean is

    (A + AT) / na + (B + BT) / nb + (AB + ABT) / (na nb) + (C + CT) / (na nb nc) + T.

Components solve the expected mean squares of a balanced grid (Searle, Casella and McCulloch,
"Variance Components", 1992, chapters 3 and 4). A negative component is set to zero and reported as
such. A source with one level is not known; its interaction with the test sample then stays in T, so
that the interval still covers what can be known with that one level.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from bench.core.errors import InputError
from bench.statistics.anova import (
    coefficients,
    degrees_of_freedom,
    levels_of_mean,
    mean_squares,
    satterthwaite,
)
from bench.statistics.sampling import Sampling, sampling

PRETRAINING_SEED, LABEL_DRAW, SEED_BY_DRAW, PROBE_SEED, TEST_SAMPLE = SOURCES = (
    "pretraining seed",
    "label draw",
    "pretraining seed x label draw",
    "probe seed",
    "test sample",
)
"""Names of A, B, AB, C and T of the model, in the order of arrays over sources.

`bench.statistics.anova` has the same order without T.
"""


@dataclass(frozen=True)
class Source:
    """One source of variance; every number is NaN where the source is not known.

    Attributes:
        name: one of `SOURCES`.
        variance: what the source adds to the variance of a single score, in squared units of the
            metric, never negative. It includes the source's interaction with the test sample; the
            variance of the test sample itself is what all cells have in common.
        deviation: square root of the variance, in units of the metric.
        share: share of the summed variance of the known sources, from 0 to 1.
        of_mean: what the source adds to the variance of the grand mean.
        estimate: the variance before a negative one is set to zero. It is unbiased, so that it can
            be averaged over data sets.
        interaction: the part of the variance that is interaction with the test sample, which more
            test tracks would lower. It may be negative by chance where it is small. NaN without
            resamples, and for the test sample itself.
        degrees: degrees of freedom of the source's mean square. With few of them only the order of
            magnitude of the variance is known: with 1, 2 and 5, the 95 % interval of a mean square
            reaches from 0.20, 0.27 and 0.39 to 1018, 39 and 6 times the estimate. Infinite for the
            test sample.
        truncated: whether the estimate was negative and was set to zero.
        missing: why the source is not known; empty where it is known.
        within: name of the source whose variance includes this one where this one is not known;
            empty where this source is known, or counted nowhere.
    """

    name: str
    variance: float
    deviation: float
    share: float
    of_mean: float
    estimate: float
    interaction: float
    degrees: float
    truncated: bool
    missing: str
    within: str


@dataclass(frozen=True)
class VarianceComponents:
    """Sources of variance of one method's scores, or of the differences between two methods.

    Attributes:
        shape: number of pretraining seeds, label draws and probe seeds of the grid.
        mean: mean of the scores of the grid.
        sources: the sources, in the order of `SOURCES`.
        cell_variance: bootstrap variance of a cell's score, averaged over the cells: the test
            sample with all its interactions. NaN without resamples.
        resampled_variance: bootstrap variance of the mean of the grid, which is all that a
            bootstrap interval takes into account. NaN without resamples.
        standard_error: standard error of the mean from all known sources; NaN where none is known.
        degrees: degrees of freedom of the standard error, after Satterthwaite.
        low: lower end of the t interval of the mean.
        high: upper end of the interval.
        confidence: nominal coverage of the interval.
        p_value: two-sided p-value of the hypothesis that the mean is zero, for differences.
        bias: mean of the resampled means less the mean; NaN without resamples.
        largest: name of the source that adds most to the variance of a single score; empty where no
            source is known or nothing varies.
        largest_of_mean: name of the source that adds most to the variance of the mean, so that more
            levels of it help most; empty as for `largest`.
    """

    shape: tuple[int, int, int]
    mean: float
    sources: tuple[Source, ...]
    cell_variance: float
    resampled_variance: float
    standard_error: float
    degrees: float
    low: float
    high: float
    confidence: float
    p_value: float
    bias: float
    largest: str
    largest_of_mean: str

    @property
    def unknown(self) -> tuple[str, ...]:
        """One sentence for each source that is not known: why, and where it is counted instead."""
        return tuple(
            f"{source.name}: {source.missing}, "
            + (f"counted in {source.within}" if source.within else "not counted")
            for source in self.sources
            if source.missing
        )

    @property
    def truncated(self) -> tuple[str, ...]:
        """Names of the sources whose negative estimate was set to zero."""
        return tuple(source.name for source in self.sources if source.truncated)


def variance_components(
    scores: NDArray[np.float64],
    resampled: NDArray[np.float64] | None = None,
    *,
    confidence: float = 0.95,
    correct_bias: bool = False,
) -> VarianceComponents:
    """Estimates the sources of variance of a balanced grid of scores, and an interval of the mean.

    The interval is for the mean over all pretraining seeds, label draws, probe seeds and test
    samples that could have been drawn, as far as these sources are known. Its degrees of freedom
    are Satterthwaite's (Biometrics Bulletin 2, 1946). The variance of the test sample counts as
    known exactly, since it rests on all test tracks.

    For the difference between two methods, give the differences y_A - y_B of each cell and each
    resample.

    Args:
        scores: (pretraining seeds, label draws, probe seeds), all on the same test tracks.
        resampled: (pretraining seeds, label draws, probe seeds, resamples) scores in each resample
            of the test tracks, the same resamples in all cells. A resample without a value (NaN) in
            a cell is left out of all; with fewer than two the test sample is not known.
        confidence: nominal coverage of the interval.
        correct_bias: whether to subtract the bootstrap's bias from the centre of the interval
            (Davison and Hinkley 1997, section 5.2) and to widen it to hold the mean, as
            `bench.statistics.intervals.basic` does. This is for scores of a biased metric, such as
            macro average precision of rare tags; in differences the bias cancels.

    Raises:
        InputError: if an array has the wrong shape, a score is not a finite number, the confidence
            lies outside (0, 1), or there are no resamples from which to correct the bias.
    """
    _check(scores, resampled, confidence)
    mean, sample = float(scores.mean()), sampling(scores, resampled)
    if correct_bias and np.isnan(sample.bias):
        raise InputError(
            "no two resamples have a value in every cell, so that there is no bias to correct"
        )
    parts = _components(scores, sample)
    low, high, p_value = _interval(mean, parts.error, parts.degrees, confidence)
    if correct_bias:
        low, high = min(low - sample.bias, mean), max(high - sample.bias, mean)
    varies = _sum_of_known(parts.variances) > 0
    return VarianceComponents(
        shape=scores.shape,
        mean=mean,
        sources=_sources(scores.shape, parts, np.append(sample.interactions, np.nan)),
        cell_variance=sample.of_cell,
        resampled_variance=sample.of_mean,
        standard_error=parts.error,
        degrees=parts.degrees if parts.error >= 0 else float("nan"),
        low=low,
        high=high,
        confidence=confidence,
        p_value=p_value,
        bias=sample.bias,
        largest=SOURCES[int(np.nanargmax(parts.variances))] if varies else "",
        largest_of_mean=SOURCES[int(np.nanargmax(parts.of_mean))] if varies else "",
    )


class _Components(NamedTuple):
    """Arrays over `SOURCES`, and the standard error of the mean that they add up to.

    Attributes:
        estimates: (5,) estimated variances, possibly negative; NaN where a source is not known.
        variances: (5,) the same with negative ones set to zero.
        of_mean: (5,) what each source adds to the variance of the mean.
        error: standard error of the mean; NaN where no source is known.
        degrees: degrees of freedom of the standard error.
    """

    estimates: NDArray[np.float64]
    variances: NDArray[np.float64]
    of_mean: NDArray[np.float64]
    error: float
    degrees: float


def _components(scores: NDArray[np.float64], sample: Sampling) -> _Components:
    """Estimates the variance components of a grid and the standard error of its mean."""
    shape: tuple[int, int, int] = scores.shape
    rows, levels = coefficients(shape), levels_of_mean(shape)
    squares = mean_squares(scores[..., None])[:, 0]
    estimates = np.append(rows @ squares, sample.variance)
    variances = np.where(estimates < 0, 0.0, estimates)  # keeps NaN
    of_mean = variances / np.append(levels, 1)
    error = _sum_of_known(of_mean) ** 0.5
    entering = estimates[:-1] > 0
    degrees = satterthwaite(rows[entering] / levels[entering, None], squares, shape, error**2)
    return _Components(estimates, variances, of_mean, error, degrees)


def _sum_of_known(variances: NDArray[np.float64]) -> float:
    """Sums the variances that are not NaN; NaN, not zero, where all are NaN."""
    return float("nan") if np.isnan(variances).all() else float(np.nansum(variances))


def _check(
    scores: NDArray[np.float64], resampled: NDArray[np.float64] | None, confidence: float
) -> None:
    if scores.ndim != 3 or not scores.size:
        raise InputError(
            f"scores have the shape {scores.shape}; "
            "give (pretraining seeds, label draws, probe seeds)"
        )
    if not np.isfinite(scores).all():
        place = tuple(int(index) for index in np.argwhere(~np.isfinite(scores))[0])
        raise InputError(
            f"the score of cell {place} is not a number; take the largest grid without it"
        )
    if resampled is not None and (resampled.ndim != 4 or resampled.shape[:3] != scores.shape):
        raise InputError(
            f"resamples have the shape {resampled.shape}; "
            f"they must be {(*scores.shape, 'resamples')}"
        )
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence:g}; it must lie between 0 and 1, such as 0.95")


def _interval(
    mean: float, error: float, degrees: float, confidence: float
) -> tuple[float, float, float]:
    """Returns the ends of the t interval of the mean, and the two-sided p-value of a mean of zero.

    All three are NaN for an unknown standard error. A standard error of zero gives an interval of
    no width, and a p-value of 0, or of 1 for a mean of zero.
    """
    half = float(stdtrit(degrees, (1 + confidence) / 2)) * error
    if error > 0:
        return mean - half, mean + half, float(2 * stdtr(degrees, -abs(mean) / error))
    return mean - half, mean + half, error if np.isnan(error) else float(mean == 0)


def _sources(
    shape: tuple[int, int, int], parts: _Components, interactions: NDArray[np.float64]
) -> tuple[Source, ...]:
    """Builds the five sources from arrays over `SOURCES`."""
    missing, within = _missing(shape, test_sample=not np.isnan(parts.estimates[-1]))
    degrees = np.append(degrees_of_freedom(shape), np.inf)
    total = _sum_of_known(parts.variances)
    return tuple(
        Source(
            name=name,
            variance=float(parts.variances[index]),
            deviation=float(parts.variances[index] ** 0.5),
            share=float(parts.variances[index] / total) if total > 0 else float("nan"),
            of_mean=float(parts.of_mean[index]),
            estimate=float(parts.estimates[index]),
            interaction=float(interactions[index]),
            degrees=float("nan") if missing[name] else float(degrees[index]),
            truncated=bool(parts.estimates[index] < 0),
            missing=missing[name],
            within=within[name],
        )
        for index, name in enumerate(SOURCES)
    )


def _missing(
    shape: tuple[int, int, int], *, test_sample: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Says of each source why it is not known, and which other source includes it.

    Both texts are empty where the source is known.
    """
    seeds, draws, probes = shape
    one_seed = "not known: one pretraining seed" if seeds == 1 else ""
    one_draw = "not known: one label draw" if draws == 1 else ""
    missing = {
        PRETRAINING_SEED: one_seed,
        LABEL_DRAW: one_draw,
        SEED_BY_DRAW: one_seed or one_draw,
        PROBE_SEED: "not known: one probe seed" if probes == 1 else "",
        TEST_SAMPLE: "" if test_sample else "not known: no resamples",
    }
    # An interaction or an error that cannot be estimated stays in the variance of the source above
    # it.
    above = [name for name in (SEED_BY_DRAW, PRETRAINING_SEED, LABEL_DRAW) if not missing[name]]
    stays = {SEED_BY_DRAW, PROBE_SEED} if above else set()
    return missing, {name: above[0] if missing[name] and name in stays else "" for name in SOURCES}
