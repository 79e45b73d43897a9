"""The score stage: computes from stored logits the part of a result that follows from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import results
from bench.core.errors import InputError
from bench.core.store import load_array
from bench.data.prepared import Prepared
from bench.settings.specs import RunSpec, ScoreSpec
from bench.stages.probe.logits import read_logits
from bench.stages.score.scores import Metric, Scores, conventions, retrieval, test_split

_COMPARED = ("map_macro", "roc_auc_macro")
"""Metrics that are stored resample by resample under the other conventions, too."""


@dataclass(frozen=True)
class Scored:
    """The part of a result that follows from logits and a `ScoreSpec`.

    Attributes:
        fields: these fields of `bench.results.Result`: metrics, convention, conventions, per_tag.
        counts: "test_tracks" and "scored_tags".
        interval: the kind of the intervals, in words.
        values: the arrays that are stored beside the JSON.
    """

    fields: dict[str, Any]
    counts: dict[str, int]
    interval: str
    values: results.Values


def score_cell(
    spec: RunSpec, data: Prepared, counts: NDArray[np.int32], embedded: Path, probed: Path
) -> Scored:
    """Scores a cell's stored logits under every convention.

    Args:
        spec: the cell.
        data: the data set that is probed.
        counts: (test tracks, 1 + resamples) how often each resample holds each track, of
            `bench.stages.score.scores.HeldOut.resamples`.
        embedded: folder of the product of the embed stage.
        probed: folder of the product of the probe stage.
    """
    test = test_split(data)
    scored = conventions(read_logits(probed), test, spec.score, spec.probe.aggregation, counts)
    neighbours = retrieval(
        load_array(embedded / "nearest.npy"), len(data.tags), test, spec.score, counts
    )
    (name, scores), *others = scored.items()
    metrics = {**scores.metrics, **neighbours}
    resampled = {metric: value.resampled for metric, value in metrics.items()}
    for other, their in others:
        resampled |= {f"{metric}, {other}": their.metrics[metric].resampled for metric in _COMPARED}
    fields = {
        "metrics": _plain(metrics),
        "convention": name,
        "conventions": {other: _plain(their.metrics) for other, their in others},
        "per_tag": {
            **_per_tag(scores),
            "test_positives": test.positives(len(data.tags)).sum(0).tolist(),
        },
    }
    groups = np.unique(test.groups, return_inverse=True)[1]
    return Scored(
        fields,
        {"test_tracks": scores.tracks, "scored_tags": int(scores.valid.sum())},
        f"bias-corrected intervals, {spec.score.resamples} resamples of {spec.score.by}s, "
        f"{spec.score.confidence:.0%}",
        results.Values(resampled, scores.influence, scores.jackknife, groups),
    )


def _plain(metrics: dict[str, Metric]) -> dict[str, results.Metric]:
    """Metrics as results store them."""
    return {
        name: results.Metric(
            value=metric.value,
            low=_number(metric.low),
            high=_number(metric.high),
            percentile=(_number(metric.percentile[0]), _number(metric.percentile[1])),
            bca=(_number(metric.bca[0]), _number(metric.bca[1])),
            bias=metric.bias,
        )
        for name, metric in metrics.items()
    }


def _per_tag(scores: Scores) -> dict[str, list[float | None]]:
    """The scores of every tag as results store them."""
    return {name: [_number(value) for value in values] for name, values in scores.per_tag.items()}


def _number(value: float) -> float | None:
    """A number as JSON holds it: None for one that is not defined."""
    return None if np.isnan(value) else float(value)


def require_scorable(data: Prepared, score: ScoreSpec) -> None:
    """Refuses a data set that could not be scored, before anything is trained for it.

    Args:
        data: the data set.
        score: how it is scored.

    Raises:
        InputError: no labelled valid track, or no tag that some test tracks have and others have
            not.
    """
    valid, test = data.labels[data.rows("valid")], data.labels[data.rows("test")]
    name = f"split {data.facts['split_name']}"
    if score.untagged == "removed":
        test = test[test.any(axis=1)]
    groups = data.tracks["group"].iloc[data.rows("test")].nunique()
    if score.by == "group" and groups < 2:
        raise InputError(
            f"{name}: {groups} group among the test tracks: --score.by group needs two or more"
        )
    if not valid.any():
        raise InputError(
            f"{name}: no tag has a positive among the {len(valid)} valid tracks: "
            "no probe can be chosen"
        )
    if not (test.any(axis=0) & ~test.all(axis=0)).any():
        raise InputError(
            f"{name}: no tag has a positive and a negative among the {len(test)} test tracks"
        )
