"""The table that `bench run` prints: scores with intervals, beside the untrained encoder where that is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.core.table import Table
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
    """A result and its stored arrays."""

    result: Result
    values: Values


def read_cell(folder: Path, result: Result) -> Cell:
    """A stored cell with its arrays."""
    return Cell(result, read_values(path_of(folder, result)))


def difference(first: Sequence[Cell], second: Sequence[Cell], metric: str) -> Paired:
    """Difference of a metric, first minus second, averaged over matched cells, from the resamples that all share.

    Both must be scored on the same test tracks with the same seed of the resamples; cells are
    matched in order, and where one has more resamples than the other the first of them are those of
    the other.
    """
    shared = min(len(cell.values.resampled[metric]) for cell in (*first, *second))
    values_a, values_b = (
        np.array([_value(cell, metric) for cell in cells]) for cells in (first, second)
    )
    resampled_a, resampled_b = (
        np.stack([cell.values.resampled[metric][:shared] for cell in cells])
        for cells in (first, second)
    )
    return paired(
        values_a, values_b, resampled_a, resampled_b, first[0].result.spec.score.confidence
    )


def _value(cell: Cell, metric: str) -> float:
    return cell.result.metrics[metric].value


def summarise(
    groups: Sequence[Sequence[Cell]], baselines: Sequence[Sequence[Cell] | None]
) -> Table:
    """One row a group; a group holds the draws of one method, data set and fraction.

    Args:
        groups: cells that differ in draw and seeds alone.
        baselines: for each group the same cells of `random_init`, None where they are not stored.
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
    ]
    columns += [_TITLES[name] for name in metrics]
    columns += ["mAP above random_init"] if compared else []
    rows = []
    for group, baseline in zip(groups, baselines, strict=True):
        spec = group[0].result.spec
        row = [spec.method.name, *([group[0].result.protocol["probe"]] if probes else [])]
        row += [group[0].result.dataset, f"{spec.fraction:g}", str(len(_levels(group, "draw")))]
        row += [str(len(_levels(group, name))) for name in several]
        row += [_score(group, name) for name in metrics]
        if compared:
            row.append(_against(group, baseline))
        rows.append(row)
    return Table(columns, rows, _notes(groups))


def _score(group: Sequence[Cell], metric: str) -> str:
    if metric not in group[0].result.metrics:
        return ""
    value = float(np.mean([_value(cell, metric) for cell in group]))
    return _text(value, mean_interval(group, metric))


def _levels(group: Sequence[Cell], name: str) -> set[int]:
    """Draws, or seeds, that a group is made of."""
    return {getattr(cell.result.spec, name) for cell in group}


def mean_interval(group: Sequence[Cell], metric: str) -> tuple[float, float]:
    """Interval of a metric's mean over cells of the same test tracks.

    Of the choice of test tracks alone.
    """
    if len(group) == 1:  # as it is stored
        stored = group[0].result.metrics[metric]
        return (
            (np.nan, np.nan)
            if stored.low is None or stored.high is None
            else (stored.low, stored.high)
        )
    value = float(np.mean([_value(cell, metric) for cell in group]))
    resampled = np.mean([cell.values.resampled[metric] for cell in group], axis=0)
    spec = group[0].result.spec.score
    if metric not in group[0].values.jackknife:
        return percentile(resampled, spec.confidence)
    jackknife = np.mean([cell.values.jackknife[metric] for cell in group], axis=0)
    if spec.by == "group":
        jackknife = by_group(jackknife, group[0].values.groups)
    bias = float(np.mean([cell.result.metrics[metric].bias for cell in group]))
    return interval(value, resampled, jackknife, spec.confidence, bias)


def by_convention(found: Sequence[Result]) -> Table | None:
    """The scores of the same logits under each convention, where there are any but the one asked for.

    One row a method, data set, fraction and convention, averaged over draws and seeds.
    """
    groups: dict[tuple[str, str, float, str], list[dict[str, Metric]]] = {}
    for result in found:
        shared = (result.spec.method.name, result.dataset, result.spec.fraction)
        for name, metrics in {result.convention: result.metrics, **result.conventions}.items():
            groups.setdefault((*shared, name), []).append(metrics)
    if len(groups) == len({key[:3] for key in groups}):
        return None
    named = [
        name
        for name in _TITLES
        if any(name in metrics for several in groups.values() for metrics in several)
    ]
    rows = []
    for (method, dataset, fraction, convention), several in groups.items():
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


def _against(group: Sequence[Cell], baseline: Sequence[Cell] | None) -> str:
    if baseline is None or group[0].result.spec.method.name == "random_init":
        return ""
    found = difference(group, baseline, "map_macro")
    return _text(found.difference, (found.low, found.high), sign="+")


def _text(value: float, limits: tuple[float, float], sign: str = "") -> str:
    text = f"{value:{sign}.3f}"
    return text if np.isnan(limits[0]) else f"{text} [{limits[0]:{sign}.3f}, {limits[1]:{sign}.3f}]"


def _notes(groups: Sequence[Sequence[Cell]]) -> list[str]:
    """The protocol of the scores, once for each that occurs."""
    notes: list[str] = []
    for group in groups:
        result = group[0].result
        counts, spec, protocol = result.counts, result.spec, result.protocol
        scored = f"{counts['scored_tags']} of {counts['all_tags']} {result.data['kind']}"
        probes = sorted(
            {
                cell.result.protocol["probe"]
                for several in groups
                for cell in several
                if cell.result.dataset == result.dataset
            }
        )
        note = (
            f"{result.dataset}: split {protocol['split']}, {counts['test_tracks']} test tracks, macro over {scored}; "
            f"probe {' / '.join(probes)}, chosen on the valid split; {protocol['aggregation']}; "
            f"labels {protocol['labels']}; {protocol['interval']}; encoder {spec.encoder.name}, "
            f"seed {' '.join(str(seed) for seed in sorted(_levels(group, 'seed')))}"
        )
        trial = f"{spec.scale:g} of the budget of recipe {spec.recipe}: a trial, not the published protocol"
        if spec.scale != 1 and trial not in notes:
            notes.append(trial)
        if note not in notes:
            notes.append(note)
            if result.data["left_out"]:
                notes.append(
                    f"{result.dataset}: {len(result.data['left_out'])} files left out (see data.left_out)"
                )
            if counts["leaked_tracks"]:
                leak = f"pretrained on {counts['leaked_tracks']} of its valid and test tracks"
                notes.append(f"{spec.method.name} on {result.dataset}: {leak}: scores are too high")
            if counts["short_tracks"]:
                short = f"{counts['short_tracks']} tracks are shorter than a view"
                notes.append(f"{result.dataset}: {short}: repeated to length")
        warning = result.training.get("warning")
        if warning and f"{spec.method.name}: {warning}" not in notes:
            notes.append(f"{spec.method.name}: {warning}")
    return notes
