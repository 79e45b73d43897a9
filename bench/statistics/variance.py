r"""Where the spread of a method's scores comes from: pretraining seed, label draw, probe seed, test sample.

The score of pretraining seed a, label draw b and probe seed c on a sample t of test tracks is taken
as

    y_abct = mu + A_a + B_b + (AB)_ab + C_c(ab) + T_t + (AT)_at + (BT)_bt + (ABT)_abt + (CT)_c(ab)t

with independent random effects of mean zero. Label draws are the same labelled tracks for every
pretraining seed (crossed); probe seeds are nested in the pair, as one seed starts another probe on
another embedding.

All cells of a grid are scored on one test sample. Their spread therefore holds each effect together
with its interaction with that sample, A + AT, B + BT and so on: an analysis of variance of y
estimates var A + var AT. These sums are what the components below are. They belong together:
another pretraining seed brings a new A and a new AT. What the spread between cells cannot show is
T, which raises or lowers all of them alike.

The bootstrap shows T. A resample of the tracks shifts y_abc by T* + (AT)* + (BT)* + (ABT)* + (CT)*,
new drawings of the terms with t alone and with the same variances (up to (tracks - 1) / tracks). An
analysis of variance of the resampled scores themselves would estimate var A + 2 var AT, the
interaction of the sample and that of the resample; so the analysis is of the shifts, y*_abc less
its mean over the resamples, and estimates var AT, var BT, var ABT, var CT. The variance of the
resampled mean of the grid is var T + var AT / na + var BT / nb + ...; less these terms it is var T,
so that no interaction is counted twice.

So the variance of a single score, everything drawn anew, is the sum of the components, and that of
the grand mean

    (A + AT) / na + (B + BT) / nb + (AB + ABT) / (na nb) + (C + CT) / (na nb nc) + T.

Components are the solutions of the expected mean squares of a balanced grid (Searle, Casella and
McCulloch, "Variance Components", 1992, chapters 3 and 4); a negative one is set to zero, and said.
A source with one level is not known; its interaction with the test sample then stays in T, so that
an interval says what it can of that one level.
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

PRETRAINING_SEED, LABEL_DRAW, SEED_BY_DRAW, PROBE_SEED, TEST_SAMPLE = SOURCES = (
    "pretraining seed",
    "label draw",
    "pretraining seed x label draw",
    "probe seed",
    "test sample",
)
"""A, B, AB, C and T of the model, the order of arrays over sources (without T in
`bench.statistics.anova`).
"""


@dataclass(frozen=True)
class Source:
    """One source of variance; every number is NaN where the source is not known.

    Attributes:
        name: one of `SOURCES`.
        variance: of a single score, in squared units of the metric, never negative. It includes the
            interaction with the test sample; that of the test sample is what is common to all
            cells.
        deviation: its square root.
        share: of the summed variance of the known sources.
        of_mean: what the source adds to the variance of the grand mean.
        estimate: the variance before a negative one is set to zero: without bias, for averages over
            data sets.
        interaction: the part of the variance that is interaction with the test sample, and that
            more test tracks would lower; negative by chance where it is small. NaN without
            resamples, and for the test sample itself.
        degrees: degrees of freedom of the source's mean square. With few the variance is known to
            its order of magnitude only: with 1, 2 and 5 the 95 % interval of a mean square reaches
            from 0.20, 0.27 and 0.39 to 1018, 39 and 6 times the estimate. Infinite for the test
            sample.
        truncated: the estimate was negative.
        missing: why the source is not known; empty where it is.
        within: the source in whose variance this one is counted where it is not known apart; empty
            where it is known, or not counted at all.
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
    """Sources of variance of one method's scores, or of the differences of two, and the uncertainty of their mean.

    Attributes:
        shape: pretraining seeds, label draws and probe seeds of the grid.
        mean: of the scores of the grid.
        sources: in the order of `SOURCES`.
        cell_variance: bootstrap variance of a cell's score, averaged over the cells: the test
            sample with all its interactions; NaN without resamples.
        resampled_variance: bootstrap variance of the mean of the grid, which is all that a
            bootstrap interval counts.
        standard_error: of the mean, all known sources counted; NaN where none is known.
        degrees: its degrees of freedom after Satterthwaite.
        low: lower end of the t interval of the mean.
        high: upper end.
        confidence: coverage of the interval.
        p_value: two-sided, that the mean is zero: for differences.
        bias: mean of the resampled means less the mean; NaN without resamples.
        largest: name of the source that rules a single score; empty where none is known or nothing
            varies.
        largest_of_mean: name of the source that rules the standard error, of which more levels help
            most.
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
        """One sentence for each source that is not known, which says where it is counted, if at all."""
        return tuple(
            f"{source.name}: {source.missing}, {f'counted in {source.within}' if source.within else 'not counted'}"
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
    """Estimates the sources of variance of a balanced grid of scores, and an interval of their mean.

    The interval holds the mean over all pretraining seeds, label draws, probe seeds and test
    samples that might have been, as far as these sources are known. Its degrees of freedom are
    Satterthwaite's (Biometrics Bulletin 2, 1946) for the mean squares that enter the standard
    error, and never fewer than the fewest of those that raise it, as mean squares that are
    subtracted could bring them below one. The test sample counts as known exactly, since it rests
    on all test tracks.

    The same function serves the differences of two methods, cell by cell and resample by resample:
    give y_A - y_B.

    Args:
        scores: (pretraining seeds, label draws, probe seeds), all on the same test tracks.
        resampled: (pretraining seeds, label draws, probe seeds, resamples) the scores in each
            resample of the test tracks, the same resamples in all cells. A resample without a value
            (NaN) in a cell is left out for all; with fewer than two the test sample is not known.
        confidence: coverage of the interval.
        correct_bias: subtract the bootstrap's bias from the centre of the interval (Davison and
            Hinkley 1997, section 5.2), and widen it to hold the mean, as
            `bench.statistics.intervals.basic` does: for scores of a biased metric, such as macro
            average precision of rare tags; not for differences, in which the bias cancels.

    Raises:
        InputError: arrays of the wrong shape, a score that is no number, a confidence outside (0,
            1), or a bias to correct without resamples.
    """
    _check(scores, resampled, confidence)
    shape: tuple[int, int, int] = scores.shape
    rows, levels, mean = coefficients(shape), levels_of_mean(shape), float(scores.mean())
    squares = mean_squares(scores[..., None])[:, 0]
    sample = _test_sample(scores, resampled)
    if correct_bias and np.isnan(sample.bias):
        raise InputError(
            "no two resamples have a value in every cell, so that there is no bias to correct"
        )
    estimates = np.append(rows @ squares, sample.variance)
    variances = np.where(estimates < 0, 0.0, estimates)  # keeps NaN
    of_mean = variances / np.append(levels, 1)
    error = _sum_of_known(of_mean) ** 0.5
    entering = estimates[:-1] > 0
    degrees = satterthwaite(rows[entering] / levels[entering, None], squares, shape, error**2)
    low, high, p_value = _interval(mean, error, degrees, confidence)
    if correct_bias:
        low, high = min(low - sample.bias, mean), max(high - sample.bias, mean)
    varies = _sum_of_known(variances) > 0
    return VarianceComponents(
        shape=shape,
        mean=mean,
        sources=_sources(
            shape, variances, of_mean, estimates, np.append(sample.interactions, np.nan)
        ),
        cell_variance=sample.of_cell,
        resampled_variance=sample.of_mean,
        standard_error=error,
        degrees=degrees if error >= 0 else float("nan"),
        low=low,
        high=high,
        confidence=confidence,
        p_value=p_value,
        bias=sample.bias,
        largest=SOURCES[int(np.nanargmax(variances))] if varies else "",
        largest_of_mean=SOURCES[int(np.nanargmax(of_mean))] if varies else "",
    )


class _TestSample(NamedTuple):
    """What the resamples say: (4,) interactions with the sources, variances of T, of a cell, of the mean, and bias."""

    interactions: NDArray[np.float64]
    variance: float
    of_cell: float
    of_mean: float
    bias: float


def _test_sample(scores: NDArray[np.float64], resampled: NDArray[np.float64] | None) -> _TestSample:
    """The bootstrap's part of the model, from the shifts of the scores in each resample.

    NaN without resamples.
    """
    kept = np.empty((*scores.shape, 0)) if resampled is None else resampled
    kept = kept[..., ~np.isnan(kept).any(axis=(0, 1, 2))]
    count = kept.shape[-1]
    if count < 2:
        return _TestSample(np.full(4, np.nan), *[float("nan")] * 4)
    shifts = kept - kept.mean(axis=-1, keepdims=True)
    interactions = coefficients(scores.shape) @ mean_squares(shifts).sum(axis=-1) / (count - 1)
    of_mean = float(shifts.mean(axis=(0, 1, 2)).var(ddof=1))
    return _TestSample(
        interactions=interactions,
        variance=of_mean - float(np.nansum(interactions / levels_of_mean(scores.shape))),
        of_cell=float(shifts.var(axis=-1, ddof=1).mean()),
        of_mean=of_mean,
        bias=float(kept.mean() - scores.mean()),
    )


def _sum_of_known(variances: NDArray[np.float64]) -> float:
    """Sum without NaN; NaN, not zero, where nothing is known."""
    return float("nan") if np.isnan(variances).all() else float(np.nansum(variances))


def _check(
    scores: NDArray[np.float64], resampled: NDArray[np.float64] | None, confidence: float
) -> None:
    if scores.ndim != 3 or not scores.size:
        raise InputError(
            f"scores have the shape {scores.shape}; give (pretraining seeds, label draws, probe seeds)"
        )
    if not np.isfinite(scores).all():
        place = tuple(int(index) for index in np.argwhere(~np.isfinite(scores))[0])
        raise InputError(
            f"the score of cell {place} is not a number; take the largest grid without it"
        )
    if resampled is not None and (resampled.ndim != 4 or resampled.shape[:3] != scores.shape):
        raise InputError(
            f"resamples have the shape {resampled.shape}; they must be {(*scores.shape, 'resamples')}"
        )
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence:g}; it must lie between 0 and 1, such as 0.95")


def _interval(
    mean: float, error: float, degrees: float, confidence: float
) -> tuple[float, float, float]:
    """Ends of the t interval, and the two-sided p-value of a mean of zero.

    All NaN for an unknown error.
    """
    half = float(stdtrit(degrees, (1 + confidence) / 2)) * error
    if error > 0:
        return mean - half, mean + half, float(2 * stdtr(degrees, -abs(mean) / error))
    return mean - half, mean + half, error if np.isnan(error) else float(mean == 0)


def _sources(
    shape: tuple[int, int, int],
    variances: NDArray[np.float64],
    of_mean: NDArray[np.float64],
    estimates: NDArray[np.float64],
    interactions: NDArray[np.float64],
) -> tuple[Source, ...]:
    """The five sources from arrays over `SOURCES`."""
    missing, within = _missing(shape, test_sample=not np.isnan(estimates[-1]))
    degrees = np.append(degrees_of_freedom(shape), np.inf)
    total = _sum_of_known(variances)
    return tuple(
        Source(
            name=name,
            variance=float(variances[place]),
            deviation=float(variances[place] ** 0.5),
            share=float(variances[place] / total) if total > 0 else float("nan"),
            of_mean=float(of_mean[place]),
            estimate=float(estimates[place]),
            interaction=float(interactions[place]),
            degrees=float("nan") if missing[name] else float(degrees[place]),
            truncated=bool(estimates[place] < 0),
            missing=missing[name],
            within=within[name],
        )
        for place, name in enumerate(SOURCES)
    )


def _missing(
    shape: tuple[int, int, int], *, test_sample: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Why each source is not known, and in which other source it is counted.

    Empty texts where it is known.
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
    # An interaction or error that cannot be told apart stays in the variance of the source above
    # it.
    above = [name for name in (SEED_BY_DRAW, PRETRAINING_SEED, LABEL_DRAW) if not missing[name]]
    stays = {SEED_BY_DRAW, PROBE_SEED} if above else set()
    return missing, {name: above[0] if missing[name] and name in stays else "" for name in SOURCES}
