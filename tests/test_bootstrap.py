"""Resamples are multinomial, reproducible and nested; the interval covers what it says."""

import numpy as np
import pytest

from bench.config import ScoreSpec
from bench.intervals import basic, percentile
from bench.probe.bootstrap import resample_counts
from bench.probe.metrics import ranking
from bench.probe.score import score
from bench.randomness import generator

pytestmark = pytest.mark.usefixtures("one_thread")


def test_counts_are_a_function_of_the_arguments() -> None:
    counts = resample_counts(37, 20, 1, "split")
    assert counts.shape == (37, 20)
    assert (counts.sum(0) == 37).all()
    np.testing.assert_array_equal(counts, resample_counts(37, 20, 1, "split"))
    for other in (resample_counts(37, 20, 2, "split"), resample_counts(37, 20, 1, "other")):
        assert (other != counts).any()


@pytest.mark.parametrize("tracks", [1, 2, 31, 1000])
def test_fewer_resamples_are_the_first_of_more(tracks: int) -> None:
    np.testing.assert_array_equal(resample_counts(tracks, 1000, 0, "x")[:, :50], resample_counts(tracks, 50, 0, "x"))


def test_counts_are_multinomial() -> None:
    tracks, resamples = 50, 20_000
    counts = resample_counts(tracks, resamples, 0, "moments")
    covariance = np.cov(counts)
    # Mean 1, variance 1 - 1/n, covariance -1/n; each bound is about six standard errors.
    assert np.abs(counts.mean(1) - 1).max() < 6 / resamples**0.5
    assert np.abs(np.diag(covariance) - (1 - 1 / tracks)).max() < 12 / resamples**0.5
    assert covariance[~np.eye(tracks, dtype=bool)].mean() == pytest.approx(-1 / tracks, abs=1e-3)


def test_interval_is_the_percentiles_of_what_is_known() -> None:
    values = np.concatenate([np.arange(101.0), [np.nan] * 50])
    assert percentile(values, 0.9) == pytest.approx((5, 95))
    assert percentile(values[:101], 0.5) == pytest.approx((25, 75))
    assert np.isnan(percentile(np.full(3, np.nan), 0.9)).all()
    assert np.isnan(percentile(np.empty(0), 0.9)).all()


def test_interval_covers_the_true_mean() -> None:
    random, truth, tracks, trials = np.random.default_rng(0), 1.0, 60, 400
    covered = 0
    for trial in range(trials):
        sample = random.exponential(truth, size=tracks)
        low, high = percentile(sample @ resample_counts(tracks, 300, trial, "coverage") / tracks, 0.8)
        covered += low <= truth <= high
    # Binomial: 0.8 within four standard errors of 0.02; skewed samples of 60 lose one or two percent.
    assert 0.72 < covered / trials < 0.88


def test_score_interval_covers_the_true_area() -> None:
    """Scores of positives are N(1, 1) and of negatives N(0, 1), so the true ROC-AUC is Phi(1 / sqrt 2) = 0.7602."""
    random, trials, covered = np.random.default_rng(1), 100, 0
    for trial in range(trials):
        labels = random.random((150, 1)) < 0.4
        logits = random.normal(size=(150, 1)) + labels
        metric = score(logits, labels, "tags", ScoreSpec(resamples=150, confidence=0.8, seed=trial), "area").metrics
        covered += metric["roc_auc_macro"].low <= 0.7602 <= metric["roc_auc_macro"].high
    assert 0.64 < covered / trials < 0.92  # four standard errors of 0.04, and one percent lost to few resamples


def test_the_basic_interval_reflects_the_percentiles_and_stays_in_range() -> None:
    resampled = np.linspace(0.4, 0.6, 101)
    assert basic(0.45, resampled, 0.9) == pytest.approx((0.9 - 0.59, 0.9 - 0.41))
    assert basic(0.5, resampled, 0.9) == pytest.approx(percentile(resampled, 0.9))
    assert basic(0.99, np.linspace(0.8, 1.0, 101), 0.95)[1] == 1.0
    assert basic(0.3, resampled, 0.9) == pytest.approx((0.6 - 0.59, 0.3)), "widened to the value"
    assert np.isnan(basic(0.5, np.full(3, np.nan), 0.9)).all()


def test_the_basic_interval_covers_macro_average_precision_better() -> None:
    """The reason why scores get it: average precision of rare tags is biased upwards in each resample."""
    covered = np.array([_covers(trial) for trial in range(30)]).sum(0)
    assert covered[1] >= covered[0] + 6


def _covers(trial: int, tracks: int = 200, tags: int = 12) -> tuple[bool, bool]:
    """Whether the percentile and the basic interval hold the macro average precision of endless test tracks."""
    random = generator(trial, "macro average precision")

    def draw(size: int) -> tuple[np.ndarray, np.ndarray]:
        labels = random.random((size, tags)) < np.linspace(0.02, 0.2, tags)
        return random.standard_normal((size, tags)) + labels, labels

    def macro(scores: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return np.nanmean(ranking(scores, labels, counts)[1], axis=1)

    truth = float(macro(*draw(20_000), np.ones((20_000, 1)))[0])
    scores, labels = draw(tracks)
    value = float(macro(scores, labels, np.ones((tracks, 1)))[0])
    resampled = macro(scores, labels, resample_counts(tracks, 200, trial, "macro"))
    ends = percentile(resampled, 0.95), basic(value, resampled, 0.95)
    return ends[0][0] <= truth <= ends[0][1], ends[1][0] <= truth <= ends[1][1]
