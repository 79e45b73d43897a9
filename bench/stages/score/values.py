"""The value of every metric in every resample, and what each track has to do with it.

The values are what intervals are made of (see `bench.statistics.intervals`). How they are computed
is said in `bench.statistics.metrics` and `bench.statistics.influence`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.statistics.influence import (
    classification_influence,
    precision_bias,
    precision_micro_bias,
    ranking_influence,
    ranking_jackknife,
    ranking_micro_influence,
    ranking_micro_jackknife,
)
from bench.statistics.metrics import classification, ranking, ranking_micro


@dataclass(frozen=True)
class Values:
    """The values of some metrics, by their name.

    Attributes:
        series: (1 + resamples,): the metric of the tracks themselves, then of each resample; NaN
            where it has none.
        influence: (tracks,): what an infinitesimal weight more on a track adds to the metric.
        jackknife: (tracks,): what the metric would lose without the track.
        bias: how far the value is expected to lie above that of endless tracks; None where it is to
            be read from the resamples.
    """

    series: dict[str, NDArray[np.float64]]
    influence: dict[str, NDArray[np.float64]]
    jackknife: dict[str, NDArray[np.float64]]
    bias: dict[str, float | None]


def ranking_values(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], counts: NDArray[np.int32]
) -> tuple[Values, dict[str, NDArray[np.float64]]]:
    """Computes mAP and ROC-AUC, macro and micro.

    Args:
        scores: (tracks, tags).
        positive: (tracks, tags) labels; every tag has a positive and a negative.
        counts: (tracks, 1 + resamples) how often each track counts, beginning with a column of
            ones.

    Returns:
        The values of "map_macro", "map_micro", "roc_auc_macro" and "roc_auc_micro"; and
        "average_precision" and "roc_auc" of each tag without resampling, (tags,).
    """
    auroc, precision = ranking(scores, positive, counts)
    auroc_micro, precision_micro = ranking_micro(scores, positive, counts)
    series = {
        "map_macro": mean_of_known(precision),
        "map_micro": precision_micro,
        "roc_auc_macro": mean_of_known(auroc),
        "roc_auc_micro": auroc_micro,
    }
    # The influence of a track is taken with that track left out: plain influences of rare tags find
    # differences where there are none.
    influence = _by_name(
        ranking_influence(scores, positive, left_out=True),
        ranking_micro_influence(scores, positive),
    )
    jackknife = _by_name(
        ranking_jackknife(scores, positive), ranking_micro_jackknife(scores, positive)
    )
    # ROC-AUC is taken as unbiased: it is a mean over pairs of tracks.
    bias: dict[str, float | None] = {
        "map_macro": float(np.nanmean(precision_bias(scores, positive))),
        "map_micro": precision_micro_bias(scores, positive),
        "roc_auc_macro": 0.0,
        "roc_auc_micro": 0.0,
    }
    per_tag = {"average_precision": precision[0], "roc_auc": auroc[0]}
    return Values(series, influence, jackknife, bias), per_tag


def classification_values(
    predicted: NDArray[np.int64],
    labels: NDArray[np.int64],
    classes: int,
    counts: NDArray[np.int32],
) -> Values:
    """Computes the accuracy and the macro average of F1.

    Args:
        predicted: (tracks,) classes.
        labels: (tracks,) classes.
        classes: number of classes.
        counts: (tracks, 1 + resamples) as of `ranking_values`.

    Returns:
        The values of "accuracy" and "f1_macro".
    """
    names = ("accuracy", "f1_macro")
    series = classification(predicted, labels, classes, counts)
    # Neither hangs on single tracks as the ranking of a rare tag does: the infinitesimal jackknife
    # will do.
    influence = classification_influence(predicted, labels, classes)
    return Values(
        series=dict(zip(names, series, strict=True)),
        influence=dict(zip(names, influence, strict=True)),
        jackknife=dict(zip(names, influence, strict=True)),
        bias={"accuracy": 0.0, "f1_macro": None},
    )


def mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Averages over tags, those left out that are NaN.

    Args:
        values: (resamples, tags).

    Returns:
        (resamples,) means; NaN, without a warning, where all tags are.
    """
    known = ~np.isnan(values)
    count = known.sum(1)
    total = np.where(known, values, 0.0).sum(1)
    mean = np.full(len(values), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _by_name(
    macro: tuple[NDArray[np.float64], NDArray[np.float64]],
    micro: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> dict[str, NDArray[np.float64]]:
    """Names each track's part in the metrics.

    Args:
        macro: of ROC-AUC and average precision of each tag, each (tracks, tags).
        micro: of both over all tags together, each (tracks,).

    Returns:
        By the metric's name (tracks,).
    """
    return {
        "roc_auc_macro": macro[0].mean(1),
        "map_macro": macro[1].mean(1),
        "roc_auc_micro": micro[0],
        "map_micro": micro[1],
    }
