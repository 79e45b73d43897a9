"""Scores of one cell: every metric of the test logits with its bootstrap intervals and its resampled values.

An interval says how far the score varies with the choice of test tracks; whether two methods differ
is read from their paired difference. Which kinds of intervals there are, and how well they cover:
see `bench.statistics.intervals`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.data.prepared import Prepared
from bench.settings.specs import ScoreSpec
from bench.stages.embed.neighbours import RECALL_AT, recall_at
from bench.stages.probe.aggregate import AGGREGATIONS
from bench.statistics.bootstrap import resample_counts
from bench.statistics.influence import (
    classification_influence,
    precision_bias,
    precision_micro_bias,
    ranking_influence,
    ranking_jackknife,
    ranking_micro_influence,
    ranking_micro_jackknife,
)
from bench.statistics.intervals import bca, by_group, interval, percentile
from bench.statistics.metrics import classification, one_vs_rest, ranking, ranking_micro

Kind = Literal["tags", "classes"]
Pair = tuple[float, float]


@dataclass(frozen=True)
class Metric:
    """One number and what the bootstrap says of it.

    Attributes:
        value: the metric of the test tracks themselves, not the mean of the resamples.
        low: lower end of the interval that is reported; NaN without resamples.
        high: upper end.
        percentile: both ends of the percentile interval.
        bca: both ends of the bias-corrected and accelerated interval.
        bias: how far the value is expected to lie above that of endless test tracks.
        resampled: (resamples,) the metric of each resample, NaN where it has none.
    """

    value: float
    low: float
    high: float
    percentile: Pair
    bca: Pair
    bias: float
    resampled: NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """All scores of one cell under one convention.

    Attributes:
        metrics: "map_macro", "map_micro", "roc_auc_macro", "roc_auc_micro", for classes "accuracy"
            and "f1_macro".
        per_tag: "average_precision" and "roc_auc", each (tags,), NaN where `valid` is false.
        influence: (tracks,) of "map_macro" and so on: what an infinitesimal weight more on a track
            adds to the metric.
        jackknife: likewise, what the metric would lose without the track, for standard errors.
        valid: (tags,) bool: tags with a positive and a negative test track; all averages are over
            these.
        tracks: number of scored test tracks.
    """

    metrics: dict[str, Metric]
    per_tag: dict[str, NDArray[np.float64]]
    influence: dict[str, NDArray[np.float64]]
    jackknife: dict[str, NDArray[np.float64]]
    valid: NDArray[np.bool_]
    tracks: int


@dataclass(frozen=True)
class HeldOut:
    """The test split of a data set, as scores need it.

    Attributes:
        labels: (tracks, tags) bool for tags, (tracks,) int for classes.
        kind: "tags" or "classes".
        groups: (tracks,) group of each track.
        purpose: names the data set and split, and no method: cells scored under one name share
            their resamples.
    """

    labels: NDArray[np.bool_] | NDArray[np.int64]
    kind: Kind
    groups: NDArray[np.str_]
    purpose: str

    def positives(self, outputs: int) -> NDArray[np.bool_]:
        """(tracks, outputs) labels of tags, one-hot labels of classes."""
        return (
            self.labels.astype(bool)
            if self.kind == "tags"
            else np.arange(outputs) == self.labels[:, None]
        )

    def resamples(self, spec: ScoreSpec) -> NDArray[np.int32]:
        """(tracks, 1 + resamples): a column of ones for the score itself, then the resamples."""
        groups = self.groups if spec.by == "group" else None
        drawn = resample_counts(len(self.labels), spec.resamples, spec.seed, self.purpose, groups)
        return np.concatenate([np.ones((len(self.labels), 1), dtype=drawn.dtype), drawn], axis=1)


def conventions(
    logits: dict[str, NDArray[np.float32]],
    test: HeldOut,
    spec: ScoreSpec,
    aggregation: str,
    counts: NDArray[np.int32],
) -> dict[str, Scores]:
    """The scores of one cell under every convention that its logits allow, the one asked for first.

    Conventions differ in how segments become a track's score (mean embedding, mean probability)
    and, where some test tracks have no tag, in whether those are scored. All share their resamples,
    so they can be compared pairwise.

    Args:
        logits: (tracks, outputs) of each aggregation.
        test: the test split.
        spec: resamples, and whether untagged tracks are kept.
        aggregation: the one that is asked for.
        counts: of `test.resamples(spec)`.

    Returns:
        Scores by name: "mean_embedding", "mean_embedding, untagged removed" and so on.
    """
    untagged = test.kind == "tags" and not test.labels.any(1).all()
    order = [aggregation, *(name for name in AGGREGATIONS if name != aggregation)]
    kept: list[str] = (
        [spec.untagged, "removed" if spec.untagged == "kept" else "kept"] if untagged else ["kept"]
    )
    tagged = (
        np.asarray(test.positives(0).any(1)) if untagged else np.ones(len(test.labels), dtype=bool)
    )
    found: dict[str, Scores] = {}
    for name in order:
        for which in kept:
            scored = tagged if which == "removed" else np.ones(len(tagged), dtype=bool)
            if found and not _scorable(test, logits[name].shape[1], scored).any():
                continue  # with one tag, nothing is left to tell its tracks from
            title = f"{name}, untagged {which}" if untagged else name
            found[title] = score(logits[name], test, spec, counts, scored)
    return found


def score(
    logits: NDArray[np.float32],
    test: HeldOut,
    spec: ScoreSpec,
    counts: NDArray[np.int32],
    scored: NDArray[np.bool_] | None = None,
) -> Scores:
    """Scores test logits.

    Macro metrics are averages over the valid tags; in a resample, over those of which it still
    holds a positive. Classes are scored as tags too, one against the rest, by the log-odds of the
    softmax.

    Args:
        logits: (tracks, outputs) of the probe.
        test: the test split.
        spec: confidence of the intervals, and what was resampled.
        counts: of `test.resamples(spec)`.
        scored: (tracks,) bool: tracks that count; all where not given.

    Raises:
        InputError: where the logits are not finite, or nothing can be scored.
    """
    if not np.isfinite(logits).all():
        wrong = int((~np.isfinite(logits)).sum())
        raise InputError(f"{wrong} of {logits.size} test logits are not finite; the probe diverged")
    if len(logits) != len(test.labels):
        raise InputError(
            f"{len(logits)} rows of logits for {len(test.labels)} test tracks; they must be as many"
        )
    rows = np.flatnonzero(np.ones(len(logits), dtype=bool) if scored is None else scored)
    logits, labels, counts = logits[rows], test.labels[rows], counts[rows]
    scores, positive = logits.astype(np.float64), test.positives(logits.shape[1])[rows]
    if test.kind == "classes":
        scores = one_vs_rest(torch.from_numpy(scores)).numpy()
    valid = _scorable(test, logits.shape[1], rows)
    if not valid.any():
        raise InputError(
            f"no tag has a positive and a negative among the {len(labels)} test tracks: nothing to score"
        )
    scores, positive = scores[:, valid], positive[:, valid]
    auroc, precision = ranking(scores, positive, counts)
    auroc_micro, precision_micro = ranking_micro(scores, positive, counts)
    series = {
        "map_macro": _mean_of_known(precision),
        "map_micro": precision_micro,
        "roc_auc_macro": _mean_of_known(auroc),
        "roc_auc_micro": auroc_micro,
    }
    # Left out: plain influences of rare tags find differences where there are none.
    influence = _by_name(
        ranking_influence(scores, positive, left_out=True),
        ranking_micro_influence(scores, positive),
    )
    jackknife = _by_name(
        ranking_jackknife(scores, positive), ranking_micro_jackknife(scores, positive)
    )
    bias: dict[str, float | None] = {
        "map_macro": float(np.nanmean(precision_bias(scores, positive))),
        "map_micro": precision_micro_bias(scores, positive),
        "f1_macro": None,  # as the resamples show it
    }
    if test.kind == "classes":
        predicted, classes = logits.argmax(1), logits.shape[1]
        series["accuracy"], series["f1_macro"] = classification(predicted, labels, classes, counts)
        # Neither hangs on single tracks as the ranking of a rare tag does: the infinitesimal
        # jackknife will do.
        for found in (influence, jackknife):
            found["accuracy"], found["f1_macro"] = classification_influence(
                predicted, labels, classes
            )
    groups = test.groups[rows] if spec.by == "group" else None
    return Scores(
        metrics={
            name: _metric(
                values,
                influence[name],
                jackknife[name],
                bias.get(name, 0.0),
                groups,
                spec.confidence,
            )
            for name, values in series.items()
        },
        per_tag={
            "average_precision": _spread(precision[0], valid),
            "roc_auc": _spread(auroc[0], valid),
        },
        influence={name: _at(rows, values, len(test.labels)) for name, values in influence.items()},
        jackknife={name: _at(rows, values, len(test.labels)) for name, values in jackknife.items()},
        valid=valid,
        tracks=len(labels),
    )


def _by_name(
    macro: tuple[NDArray[np.float64], NDArray[np.float64]],
    micro: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> dict[str, NDArray[np.float64]]:
    """Values of each track by the metric's name: of ROC-AUC and average precision, (tracks, tags) and (tracks,)."""
    return {
        "roc_auc_macro": macro[0].mean(1),
        "map_macro": macro[1].mean(1),
        "roc_auc_micro": micro[0],
        "map_micro": micro[1],
    }


def _scorable(
    test: HeldOut, outputs: int, rows: NDArray[np.int64] | NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(tags,) bool: tags that some of the tracks have and others have not."""
    positive = test.positives(outputs)[rows]
    return np.asarray(positive.any(0) & ~positive.all(0))


def retrieval(
    nearest: NDArray[np.int64],
    outputs: int,
    test: HeldOut,
    spec: ScoreSpec,
    counts: NDArray[np.int32],
) -> dict[str, Metric]:
    """Recall-at-k of the embeddings among the test tracks, macro over tags.

    No probe has a part in it.

    Args:
        nearest: (tracks, k) each test track's nearest test tracks.
        outputs: number of tags.
        test: the test split.
        spec: confidence of the intervals.
        counts: of `test.resamples(spec)`.
    """
    labels = test.positives(outputs)
    found = {}
    for k in RECALL_AT:
        values = _mean_of_known(recall_at(nearest, labels, k, counts))
        if np.isnan(values[0]):
            continue  # no tag has two test tracks
        low, high = percentile(values[1:], spec.confidence)
        # A mean of hits is not biased: the percentiles serve, and need no influence of each track.
        found[f"recall_at_{k}"] = Metric(
            float(values[0]), low, high, (low, high), (low, high), 0.0, values[1:]
        )
    return found


def _metric(
    values: NDArray[np.float64],
    influence: NDArray[np.float64],
    jackknife: NDArray[np.float64],
    bias: float | None,
    groups: NDArray[np.str_] | None,
    confidence: float,
) -> Metric:
    """The metric of (1 + resamples,) values, the first of them without resampling."""
    value, resampled = float(values[0]), values[1:]
    if bias is None:
        bias = float(np.nanmean(resampled)) - value if (~np.isnan(resampled)).any() else 0.0
    if groups is not None:
        influence, jackknife = by_group(influence, groups), by_group(jackknife, groups)
    low, high = interval(value, resampled, jackknife, confidence, bias)
    both = percentile(resampled, confidence), bca(value, resampled, influence, confidence)
    return Metric(value, low, high, *both, bias, resampled)


def _mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(resamples,) means over the tags of (resamples, tags) that are not NaN.

    NaN, without a warning, where all are.
    """
    known = ~np.isnan(values)
    count = known.sum(1)
    total = np.where(known, values, 0.0).sum(1)
    mean = np.full(len(values), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _spread(values: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(tags,) with the values of the valid tags in their places and NaN in the others."""
    spread = np.full(len(valid), np.nan)
    spread[valid] = values
    return spread


def _at(rows: NDArray[np.int64], values: NDArray[np.float64], tracks: int) -> NDArray[np.float64]:
    """(tracks,) with the values of the scored tracks in their places and 0 in the others, which add nothing."""
    spread = np.zeros(tracks)
    spread[rows] = values
    return spread


def test_split(data: Prepared) -> HeldOut:
    """The test split, as scores need it."""
    rows = data.rows("test")
    labels = data.labels.argmax(axis=1) if data.kind == "classes" else data.labels
    groups = data.tracks["group"].to_numpy(str)[rows]
    return HeldOut(labels[rows], data.kind, groups, f"test tracks of {data.facts['tracks_hash']}")
