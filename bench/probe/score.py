"""Scores of one cell: every metric of the test logits with its bootstrap interval and its resampled values.

An interval says how far the score varies with the choice of test tracks; whether two methods differ is read from their
paired difference. Which kind of interval, and how well it covers: see `bench.intervals`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from bench.config import ScoreSpec
from bench.errors import InputError
from bench.intervals import basic, percentile
from bench.probe.bootstrap import resample_counts
from bench.probe.metrics import classification, one_vs_rest, ranking, ranking_micro


@dataclass(frozen=True)
class Metric:
    """One number and what the bootstrap says of it.

    Attributes:
        value: the metric of the test tracks themselves, not the mean of the resamples.
        low: lower end of the basic interval; NaN without resamples.
        high: upper end.
        resampled: (resamples,) the metric of each resample, NaN where it has none.
    """

    value: float
    low: float
    high: float
    resampled: np.ndarray


@dataclass(frozen=True)
class Scores:
    """All scores of one cell.

    Attributes:
        metrics: "map_macro", "map_micro", "roc_auc_macro", "roc_auc_micro", and for classes "accuracy", "f1_macro".
        per_tag: "average_precision" and "roc_auc", each (tags,), NaN where `valid` is false.
        valid: (tags,) bool: tags with a positive and a negative test track; all averages are over these.
        tracks: number of test tracks.
    """

    metrics: dict[str, Metric]
    per_tag: dict[str, np.ndarray]
    valid: np.ndarray
    tracks: int


def score(
    logits: np.ndarray, labels: np.ndarray, kind: Literal["tags", "classes"], spec: ScoreSpec, purpose: str
) -> Scores:
    """Scores test logits.

    Macro metrics are averages over the valid tags; in a resample, over those of which it still holds a positive.
    Classes are scored as tags too, one against the rest, by the log-odds of the softmax.

    Args:
        logits: (tracks, outputs) of the probe.
        labels: (tracks, tags) bool for tags, (tracks,) int for classes.
        kind: "tags" or "classes".
        spec: number and seed of the resamples, and confidence of the intervals.
        purpose: names the data set and split, and no method: methods scored under one name share their resamples.

    Raises:
        InputError: where the logits are not finite, or nothing can be scored.
    """
    if not np.isfinite(logits).all():
        wrong = int((~np.isfinite(logits)).sum())
        raise InputError(f"{wrong} of {logits.size} test logits are not finite; the probe diverged")
    if len(logits) != len(labels):
        raise InputError(f"{len(logits)} rows of logits for {len(labels)} test tracks; they must be as many")
    scores = logits.astype(np.float64)
    positive = labels.astype(bool)
    if kind == "classes":
        positive = np.arange(logits.shape[1]) == labels[:, None]
        scores = one_vs_rest(torch.from_numpy(scores)).numpy()
    valid: np.ndarray = np.asarray(positive.any(0) & ~positive.all(0))
    if not valid.any():
        raise InputError(f"no tag has a positive and a negative among the {len(labels)} test tracks: nothing to score")
    counts = _counts(len(labels), spec, purpose)
    scores, positive = scores[:, valid], positive[:, valid]
    auroc, precision = ranking(scores, positive, counts)
    auroc_micro, precision_micro = ranking_micro(scores, positive, counts)
    series = {
        "map_macro": _mean_of_known(precision),
        "map_micro": precision_micro,
        "roc_auc_macro": _mean_of_known(auroc),
        "roc_auc_micro": auroc_micro,
    }
    if kind == "classes":
        series["accuracy"], series["f1_macro"] = classification(logits.argmax(1), labels, logits.shape[1], counts)
    return Scores(
        metrics={name: _metric(values, spec.confidence) for name, values in series.items()},
        per_tag={"average_precision": _spread(precision[0], valid), "roc_auc": _spread(auroc[0], valid)},
        valid=valid,
        tracks=len(labels),
    )


def paired_difference(first: Metric, second: Metric, confidence: float) -> tuple[float, float, float]:
    """First minus second, with the percentile interval of the differences resample by resample.

    Both must come from the same resamples (the same data set, split and seed): tracks that are hard for both then
    cancel, and the interval is narrower than the two intervals suggest.

    Returns:
        The difference of the values, and the lower and upper end of its interval (NaN without resamples).
    """
    if len(first.resampled) != len(second.resampled):
        raise InputError(
            f"cannot pair {len(first.resampled)} resamples with {len(second.resampled)}; score both with as many"
        )
    low, high = percentile(first.resampled - second.resampled, confidence)
    return first.value - second.value, low, high


def _counts(tracks: int, spec: ScoreSpec, purpose: str) -> np.ndarray:
    """(tracks, 1 + resamples): a column of ones for the score itself, then the resamples."""
    resampled = resample_counts(tracks, spec.resamples, spec.seed, purpose)
    return np.concatenate([np.ones((tracks, 1), dtype=resampled.dtype), resampled], axis=1)


def _metric(values: np.ndarray, confidence: float) -> Metric:
    """The metric of (1 + resamples,) values, the first of them without resampling."""
    low, high = basic(float(values[0]), values[1:], confidence)
    return Metric(float(values[0]), low, high, values[1:])


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """(resamples,) means over the tags of (resamples, tags) that are not NaN; NaN, without a warning, where all are."""
    known = ~np.isnan(values)
    count = known.sum(1)
    total = np.where(known, values, 0.0).sum(1)
    mean = np.full(len(values), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _spread(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(tags,) with the values of the valid tags in their places and NaN in the others."""
    spread = np.full(len(valid), np.nan)
    spread[valid] = values
    return spread
