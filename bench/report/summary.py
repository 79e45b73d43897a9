"""The table that `bench run` prints: mean scores with intervals, and their gain over no training.

The gain is over the untrained encoder `random_init`, where its cells are stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.core.table import Table
from bench.report.groups import grouped
from bench.results import Metric, Result, Values, path_of, read_values
from bench.statistics.intervals import by_group, interval, percentile
from bench.statistics.paired import Paired, paired

_SEEDS = {"seed": "seeds", "probe_seed": "probe seeds"}
_TITLES = {
    "map_macro": "mAP",
    "roc_auc_macro": "ROC-AUC",
    "accuracy": "accuracy",
    "f1_macro": "macro-F1",
}


@dataclass(frozen=True)
class Cell:
    """A stored cell: its result and its arrays."""

    result: Result
    values: Values


def read_cell(folder: Path, result: Result) -> Cell:
    """Reads the arrays of a result in a results folder."""
    return Cell(result, read_values(path_of(folder, result)))


def difference(first: Sequence[Cell], second: Sequence[Cell], metric: str) -> Paired:
    """Difference of a metric, first minus second, averaged over matched cells.

    Both sides must be scored on the same test tracks with the same seed of the resamples. Cells are
    matched in order. Where one has more resamples than another, only the number that all have is
    used: the first resamples are the same.
    """
    shared = min(len(cell.values.resampled[metric]) for cell in (*first, *second))
    scores_a, scores_b = (
        np.array([_score(cell, metric) for cell in cells]) for cells in (first, second)
    )
    resampled_a, resampled_b = (
        np.stack([cell.values.resampled[metric][:shared] for cell in cells])
        for cells in (first, second)
    )
    return paired(
        scores_a, scores_b, resampled_a, resampled_b, first[0].result.spec.score.confidence
    )


def mean_interval(cells: Sequence[Cell], metric: str) -> tuple[float, float]:
    """Interval of a metric's mean over cells of the same test tracks.

    It covers the choice of test tracks alone. Both ends are NaN for a single cell without
    resamples.
    """
    if len(cells) == 1:  # as it is stored
        stored = cells[0].result.metrics[metric]
        return (
            (np.nan, np.nan)
            if stored.low is None or stored.high is None
            else (stored.low, stored.high)
        )
    value = float(np.mean([_score(cell, metric) for cell in cells]))
    resampled = np.mean([cell.values.resampled[metric] for cell in cells], axis=0)
    spec = cells[0].result.spec.score
    if metric not in cells[0].values.jackknife:
        return percentile(resampled, spec.confidence)
    jackknife = np.mean([cell.values.jackknife[metric] for cell in cells], axis=0)
    if spec.by == "group":
        jackknife = by_group(jackknife, cells[0].values.groups)
    bias = float(np.mean([cell.result.metrics[metric].bias for cell in cells]))
    return interval(value, resampled, jackknife, spec.confidence, bias)


def _score(cell: Cell, metric: str) -> float:
    return cell.result.metrics[metric].value


def summarise(
    groups: Sequence[Sequence[Cell]], baselines: Sequence[Sequence[Cell] | None]
) -> Table:
    """One row for each group: the draws and seeds of one method, data set and fraction.

    Args:
        groups: cells that differ in draw and seeds alone.
        baselines: for each group the same cells of `random_init`; None where they are not stored.
    """
    results = [cell.result for group in groups for cell in group]
    metrics = [name for name in _TITLES if any(name in result.metrics for result in results)]
    compared = any(baselines)
    several = [name for name in _SEEDS if any(len(_levels(group, name)) > 1 for group in groups)]
    probes = len({group[0].result.protocol["probe"] for group in groups} - {"end_to_end"}) > 1
    columns = [
        "method",
        *(["probe"] if probes else []),
        "data set",
        "fraction",
        "draws",
        *(_SEEDS[name] for name in several),
        *(_TITLES[name] for name in metrics),
        *(["mAP above random_init"] if compared else []),
    ]
    rows = []
    for group, baseline in zip(groups, baselines, strict=True):
        spec = group[0].result.spec
        row = [spec.method.name, *([group[0].result.protocol["probe"]] if probes else [])]
        row += [group[0].result.dataset, f"{spec.fraction:g}", str(len(_levels(group, "draw")))]
        row += [str(len(_levels(group, name))) for name in several]
        row += [_mean(group, name) for name in metrics]
        if compared:
            row.append(_above(group, baseline))
        rows.append(row)
    return Table(columns, rows, _notes(groups))


def _levels(group: Sequence[Cell], name: str) -> set[int]:
    """The draws, or the seeds of one kind, that a group is made of."""
    return {getattr(cell.result.spec, name) for cell in group}


def _mean(group: Sequence[Cell], metric: str) -> str:
    """The mean of a metric over a group, with its interval; "" without the metric."""
    if metric not in group[0].result.metrics:
        return ""
    value = float(np.mean([_score(cell, metric) for cell in group]))
    return _text(value, mean_interval(group, metric))


def _above(group: Sequence[Cell], baseline: Sequence[Cell] | None) -> str:
    """By how much the mAP of a group is above that of the untrained encoder."""
    if baseline is None or group[0].result.spec.method.name == "random_init":
        return ""
    found = difference(group, baseline, "map_macro")
    return _text(found.difference, (found.low, found.high), sign="+")


def _text(value: float, limits: tuple[float, float], sign: str = "") -> str:
    text = f"{value:{sign}.3f}"
    return text if np.isnan(limits[0]) else f"{text} [{limits[0]:{sign}.3f}, {limits[1]:{sign}.3f}]"


def by_convention(results: Sequence[Result]) -> Table | None:
    """The scores of the same logits under each convention of scoring.

    One row for each method, data set, fraction and convention, averaged over draws and seeds. None
    where there is no convention but the one that was asked for.
    """
    scores: dict[tuple[str, str, float, str], list[dict[str, Metric]]] = {}
    for result in results:
        shared = (result.spec.method.name, result.dataset, result.spec.fraction)
        for name, metrics in {result.convention: result.metrics, **result.conventions}.items():
            scores.setdefault((*shared, name), []).append(metrics)
    if len(scores) == len({key[:3] for key in scores}):
        return None
    named = [
        name
        for name in _TITLES
        if any(name in metrics for several in scores.values() for metrics in several)
    ]
    rows = []
    for (method, dataset, fraction, convention), several in scores.items():
        means = [
            f"{np.mean([metrics[name].value for metrics in several]):.3f}"
            if name in several[0]
            else ""
            for name in named
        ]
        rows.append([method, dataset, f"{fraction:g}", convention, *means])
    return Table(
        ["method", "data set", "fraction", "convention", *(_TITLES[name] for name in named)],
        rows,
        words=4,
    )


def _notes(groups: Sequence[Sequence[Cell]]) -> list[str]:
    """The protocol of each data set, and what a reader must know; each line once."""
    cells = [cell.result for group in groups for cell in group]
    by_dataset = grouped(cells, lambda result: result.dataset)
    probes = {
        dataset: " / ".join(sorted({result.protocol["probe"] for result in results}))
        for dataset, results in by_dataset.items()
    }
    notes: list[str] = []
    for group in groups:
        result = group[0].result
        spec = result.spec
        note = _protocol(group, probes[result.dataset])
        trial = (
            f"{spec.scale:g} of the budget of recipe {spec.recipe}: a trial, not the published "
            "protocol"
        )
        if spec.scale != 1 and trial not in notes:
            notes.append(trial)
        if note not in notes:
            notes += [note, *_faults(result)]
        warning = result.training.get("warning")
        if warning and f"{spec.method.name}: {warning}" not in notes:
            notes.append(f"{spec.method.name}: {warning}")
    return notes


def _protocol(group: Sequence[Cell], probes: str) -> str:
    """The protocol of a group's scores in one line."""
    result = group[0].result
    counts, spec, protocol = result.counts, result.spec, result.protocol
    scored = f"{counts['scored_tags']} of {counts['all_tags']} {result.data['kind']}"
    seeds = " ".join(str(seed) for seed in sorted(_levels(group, "seed")))
    return (
        f"{result.dataset}: split {protocol['split']}, {counts['test_tracks']} test tracks, "
        f"macro over {scored}; probe {probes}, chosen on the valid split; "
        f"{protocol['aggregation']}; labels {protocol['labels']}; {protocol['interval']}; "
        f"encoder {spec.encoder.name}, seed {seeds}"
    )


def _faults(result: Result) -> list[str]:
    """Lines on files left out, on leaked and on short tracks."""
    counts, notes = result.counts, []
    if result.data["left_out"]:
        number = len(result.data["left_out"])
        notes.append(f"{result.dataset}: {number} files left out (see data.left_out)")
    if counts["leaked_tracks"]:
        leak = f"pretrained on {counts['leaked_tracks']} of its valid and test tracks"
        notes.append(f"{result.spec.method.name} on {result.dataset}: {leak}: scores are too high")
    if counts["short_tracks"]:
        short = f"{counts['short_tracks']} tracks are shorter than a view"
        notes.append(f"{result.dataset}: {short}: repeated to length")
    return notes
