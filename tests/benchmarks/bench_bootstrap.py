"""Speed of bootstrapping ROC-AUC and average precision: ours, scikit-learn's, torchmetrics'.

    python tests/benchmarks/bench_bootstrap.py   (a minute; --tracks --tags --resamples --loop)

Ours is the best of three, the first of them warming up. The loops over scikit-learn and
torchmetrics are timed on a few resamples and extrapolated.
"""

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.classification import MultilabelAUROC, MultilabelAveragePrecision
from torchmetrics.wrappers import BootStrapper

from bench.statistics.bootstrap import resample_counts
from bench.statistics.influence import (
    precision_bias,
    ranking_influence,
    ranking_jackknife,
    ranking_micro_influence,
)
from bench.statistics.metrics import ranking, ranking_micro
from bench.statistics.permutation import permutation_p


def main() -> None:
    """Prints seconds, ratios, and the largest difference between ours and scikit-learn's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tracks", type=int, default=5000)
    parser.add_argument("--tags", type=int, default=50)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--loop", type=int, default=5, help="resamples that the loops are timed on")
    options = parser.parse_args()
    scores, labels = problem(options.tracks, options.tags)
    tracks, resamples = options.tracks, options.resamples

    print(
        f"{resamples} resamples of {tracks} tracks x {options.tags} tags, "
        f"{torch.get_num_threads()} threads"
    )
    drawing, counts = best(lambda: resample_counts(tracks, resamples, 0, "benchmark"))
    macro, (auroc, precision) = best(lambda: ranking(scores, labels, counts))
    micro, _ = best(lambda: ranking_micro(scores, labels, counts))
    show("drawing the resamples", drawing)
    show("macro ROC-AUC and AP", macro)
    show("drawing and macro", drawing + macro)
    show("drawing, macro and micro", drawing + macro + micro)
    show("influence of each track, per tag", best(lambda: ranking_influence(scores, labels))[0])
    show("influence of each track, micro", best(lambda: ranking_micro_influence(scores, labels))[0])
    show(
        "jackknife and bias, per tag",
        best(lambda: (ranking_jackknife(scores, labels), precision_bias(scores, labels)))[0],
    )
    contributions = np.random.default_rng(0).normal(size=tracks)
    show(
        "10 000 permutations of a paired difference", best(lambda: permutation_p(contributions))[0]
    )

    looped = min(options.loop, resamples)
    start = time.perf_counter()
    expected = np.array(
        [by_scikit_learn(scores, labels, counts[:, resample]) for resample in range(looped)]
    )
    scikit_learn = (time.perf_counter() - start) * resamples / looped
    computed = np.stack([auroc[:looped], precision[:looped]], axis=1)
    torchmetrics = by_torchmetrics(scores, labels, looped) * resamples / looped
    show(f"macro, scikit-learn ({looped} timed, extrapolated)", scikit_learn)
    show(f"macro, torchmetrics BootStrapper ({looped} timed, extrapolated)", torchmetrics)
    print(f"{'times as fast as scikit-learn: macro alone, with drawing':<62}", end="")
    print(f"{scikit_learn / macro:>8.0f}{scikit_learn / (drawing + macro):>8.0f}")
    print(f"{'times as fast as torchmetrics: macro alone, with drawing':<62}", end="")
    print(f"{torchmetrics / macro:>8.0f}{torchmetrics / (drawing + macro):>8.0f}")
    print(f"{'largest difference to scikit-learn':<62}{np.abs(computed - expected).max():>8.0e}")

    scores, labels = problem(12_000, 183)
    print("1000 resamples of 12000 tracks x 183 tags")
    drawing, counts = best(lambda: resample_counts(12_000, 1000, 0, "benchmark"))
    show("drawing the resamples", drawing)
    show("macro ROC-AUC and AP", best(lambda: ranking(scores, labels, counts))[0])
    show("micro ROC-AUC and AP", best(lambda: ranking_micro(scores, labels, counts))[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak memory of the process, MiB':<62}{peak:>8.0f}")


def problem(tracks: int, tags: int) -> tuple[np.ndarray, np.ndarray]:
    """(tracks, tags) scores and labels, 5 % of them positive."""
    random = np.random.default_rng(0)
    labels = random.random((tracks, tags)) < 0.05
    labels[:2] = [[True], [False]]
    return random.normal(size=labels.shape).astype(np.float32) + labels, labels


def best(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the fastest of three calls, and what the last one returned."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        value = function()
        seconds.append(time.perf_counter() - start)
    return min(seconds), value


def show(what: str, seconds: float) -> None:
    """Prints one row."""
    print(f"{what:<62}{seconds:>8.3f} s", flush=True)


def by_scikit_learn(scores: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """Both metrics of one resample as scikit-learn computes them: each (tags,)."""
    drawn = np.repeat(np.arange(len(counts)), counts)
    return [
        np.asarray(roc_auc_score(labels[drawn], scores[drawn], average=None)),
        np.asarray(average_precision_score(labels[drawn], scores[drawn], average=None)),
    ]


def by_torchmetrics(scores: np.ndarray, labels: np.ndarray, resamples: int) -> float:
    """Seconds of torchmetrics' own bootstrap of both metrics."""
    start = time.perf_counter()
    for metric in (MultilabelAUROC, MultilabelAveragePrecision):
        bootstrap = BootStrapper(metric(num_labels=scores.shape[1]), num_bootstraps=resamples)
        bootstrap.update(torch.from_numpy(scores).sigmoid(), torch.from_numpy(labels).long())
        bootstrap.compute()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
