"""Scores of one cell: every metric of the test logits, its bootstrap intervals and its resamples.

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
from bench.stages.score.values import (
    Values,
    classification_values,
    mean_of_known,
    ranking_values,
)
from bench.statistics.bootstrap import resample_counts
from bench.statistics.intervals import bca, by_group, interval, percentile
from bench.statistics.metrics import one_vs_rest

Kind = Literal["tags", "classes"]
Pair = tuple[float, float]


@dataclass(frozen=True)
class Metric:
    """The value of one metric and its bootstrap intervals.

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
        influence: by the name of the metric (tracks,): what an infinitesimal weight more on a track
            adds to the metric.
        jackknife: by the name of the metric (tracks,): what the metric would lose without the
            track, for standard errors.
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
        groups: (tracks,) group of each track, its artist or album.
        purpose: names the data set and split for the random generator. It does not name the method:
            cells scored under one name share their resamples.
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
    """Scores one cell under every convention that its logits allow, the one asked for first.

    Conventions differ in how segments become a track's score (mean embedding, mean probability)
    and, where some test tracks have no tag, in whether those are scored. All share their resamples,
    so they can be compared pairwise.

    Args:
        logits: (tracks, outputs) of each aggregation.
        test: the test split.
        spec: resamples, and whether untagged tracks are kept.
        aggregation: how segments become a track's score in the convention that is asked for.
        counts: of `test.resamples(spec)`.

    Returns:
        Scores by name: "mean_embedding", "mean_embedding, untagged removed" and so on.
    """
    untagged = test.kind == "tags" and not test.labels.any(1).all()
    order = [aggregation, *(name for name in AGGREGATIONS if name != aggregation)]
    choices: list[str] = ["kept"]
    if untagged:
        choices = [spec.untagged, "removed" if spec.untagged == "kept" else "kept"]
    everything = np.ones(len(test.labels), dtype=bool)
    tagged = np.asarray(test.positives(0).any(1)) if untagged else everything
    results: dict[str, Scores] = {}
    for name in order:
        for choice in choices:
            scored = tagged if choice == "removed" else everything
            # The first convention, the one asked for, is scored in any case: its error is the
            # cell's.
            if results and not _scorable(test, logits[name].shape[1], scored).any():
                continue  # with one tag, nothing is left to tell its tracks from
            title = f"{name}, untagged {choice}" if untagged else name
            results[title] = score(logits[name], test, spec, counts, scored)
    return results


def score(
    logits: NDArray[np.float32],
    test: HeldOut,
    spec: ScoreSpec,
    counts: NDArray[np.int32],
    scored: NDArray[np.bool_] | None = None,
) -> Scores:
    """Scores the logits of the test split.

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
        InputError: the logits are not finite or not as many as test tracks, or no tag has both a
            positive and a negative.
    """
    _check(logits, test)
    rows = np.flatnonzero(np.ones(len(logits), dtype=bool) if scored is None else scored)
    logits, labels, counts = logits[rows], test.labels[rows], counts[rows]
    scores, positive = logits.astype(np.float64), test.positives(logits.shape[1])[rows]
    if test.kind == "classes":
        scores = one_vs_rest(torch.from_numpy(scores)).numpy()
    valid = _scorable(test, logits.shape[1], rows)
    if not valid.any():
        raise InputError(
            f"no tag has a positive and a negative among the {len(labels)} test tracks: "
            "nothing to score"
        )
    ranked, per_tag = ranking_values(scores[:, valid], positive[:, valid], counts)
    kinds = [ranked]
    if test.kind == "classes":
        truth = np.asarray(labels, dtype=np.int64)
        kinds.append(classification_values(logits.argmax(1), truth, logits.shape[1], counts))
    groups = test.groups[rows] if spec.by == "group" else None
    tracks = len(test.labels)
    return Scores(
        metrics={
            name: _metric(name, values, groups, spec.confidence)
            for values in kinds
            for name in values.series
        },
        per_tag={name: _of_all_tags(values, valid) for name, values in per_tag.items()},
        influence=_of_all_tracks([values.influence for values in kinds], rows, tracks),
        jackknife=_of_all_tracks([values.jackknife for values in kinds], rows, tracks),
        valid=valid,
        tracks=len(labels),
    )


def _check(logits: NDArray[np.float32], test: HeldOut) -> None:
    """Refuses logits that cannot be scored."""
    if not np.isfinite(logits).all():
        wrong = int((~np.isfinite(logits)).sum())
        raise InputError(f"{wrong} of {logits.size} test logits are not finite; the probe diverged")
    if len(logits) != len(test.labels):
        raise InputError(
            f"{len(logits)} rows of logits for {len(test.labels)} test tracks; they must be as many"
        )


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
    """Computes recall at k of the embeddings among the test tracks, macro over tags.

    It needs no probe.

    Args:
        nearest: (tracks, k) each test track's nearest test tracks.
        outputs: number of tags.
        test: the test split.
        spec: confidence of the intervals.
        counts: of `test.resamples(spec)`.

    Returns:
        By name, "recall_at_1" and so on; empty where no tag has two test tracks.
    """
    labels = test.positives(outputs)
    metrics = {}
    for k in RECALL_AT:
        values = mean_of_known(recall_at(nearest, labels, k, counts))
        if np.isnan(values[0]):
            continue  # no tag has two test tracks
        low, high = percentile(values[1:], spec.confidence)
        # A mean of hits is not biased: the percentiles serve, and need no influence of each track.
        metrics[f"recall_at_{k}"] = Metric(
            float(values[0]), low, high, (low, high), (low, high), 0.0, values[1:]
        )
    return metrics


def _metric(
    name: str, values: Values, groups: NDArray[np.str_] | None, confidence: float
) -> Metric:
    """Computes the intervals of one metric."""
    value, resampled = float(values.series[name][0]), values.series[name][1:]
    influence, jackknife = values.influence[name], values.jackknife[name]
    bias = values.bias[name]
    if bias is None:
        bias = float(np.nanmean(resampled)) - value if (~np.isnan(resampled)).any() else 0.0
    if groups is not None:
        influence, jackknife = by_group(influence, groups), by_group(jackknife, groups)
    low, high = interval(value, resampled, jackknife, confidence, bias)
    both = percentile(resampled, confidence), bca(value, resampled, influence, confidence)
    return Metric(value, low, high, *both, bias, resampled)


def _of_all_tags(values: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(tags,) with the values of the valid tags in their places and NaN in the others."""
    spread = np.full(len(valid), np.nan)
    spread[valid] = values
    return spread


def _of_all_tracks(
    parts: list[dict[str, NDArray[np.float64]]], rows: NDArray[np.int64], tracks: int
) -> dict[str, NDArray[np.float64]]:
    """By metric (tracks,), with the values of the scored tracks in their places.

    It is 0 in the others, which add nothing to a metric.
    """
    spread = {name: np.zeros(tracks) for part in parts for name in part}
    for part in parts:
        for name, values in part.items():
            spread[name][rows] = values
    return spread


def test_split(data: Prepared) -> HeldOut:
    """Takes from a prepared data set what scores need of its test split."""
    rows = data.rows("test")
    labels = data.labels.argmax(axis=1) if data.kind == "classes" else data.labels
    groups = data.tracks["group"].to_numpy(str)[rows]
    return HeldOut(labels[rows], data.kind, groups, f"test tracks of {data.facts['tracks_hash']}")
