"""The table that `bench run` prints: scores with intervals, beside the untrained encoder where that is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.intervals import basic, percentile
from bench.results import Result, resampled
from bench.table import Table

_TITLES = {"map_macro": "mAP", "roc_auc_macro": "ROC-AUC", "accuracy": "accuracy", "f1_macro": "macro-F1"}


@dataclass(frozen=True)
class Cell:
    """A result and the values of its metrics in each resample."""

    result: Result
    values: dict[str, NDArray[np.float64]]


def read_cell(folder: Path, result: Result) -> Cell:
    """A stored cell with its resampled values."""
    return Cell(result, resampled(folder, result))


def paired(first: Sequence[Cell], second: Sequence[Cell], metric: str) -> tuple[float, tuple[float, float]]:
    """Difference of a metric, first minus second, averaged over draws, and its interval from the shared resamples.

    Both must be scored on the same test tracks with the same resamples; draws are matched in order.
    """
    difference = _mean(first, metric) - _mean(second, metric)
    spread = np.mean([cell.values[metric] for cell in first], axis=0) - np.mean(
        [cell.values[metric] for cell in second], axis=0
    )
    return difference, percentile(spread, first[0].result.spec.score.confidence)


def summarise(groups: Sequence[Sequence[Cell]], baselines: Sequence[Sequence[Cell] | None]) -> Table:
    """One row a group; a group holds the draws of one method, data set and fraction.

    Args:
        groups: cells that differ in the draw alone.
        baselines: for each group the same draws of `random_init`, None where they are not stored.
    """
    results = [cell.result for group in groups for cell in group]
    metrics = [name for name in _TITLES if any(name in result.metrics for result in results)]
    compared = any(baselines)
    columns = ["method", "data set", "fraction", "draws", *(_TITLES[name] for name in metrics)]
    columns += ["mAP above random_init"] if compared else []
    rows = []
    for group, baseline in zip(groups, baselines, strict=True):
        spec = group[0].result.spec
        row = [spec.method.name, group[0].result.dataset, f"{spec.fraction:g}", str(len(group))]
        row += [_score(group, name) for name in metrics]
        if compared:
            row.append(_against(group, baseline))
        rows.append(row)
    return Table(columns, rows, _notes(groups))


def _mean(group: Sequence[Cell], metric: str) -> float:
    return float(np.mean([cell.result.metrics[metric].value for cell in group]))


def _score(group: Sequence[Cell], metric: str) -> str:
    if metric not in group[0].result.metrics:
        return ""
    spread = np.mean([cell.values[metric] for cell in group], axis=0)
    value = _mean(group, metric)
    return _text(value, basic(value, spread, group[0].result.spec.score.confidence))


def _against(group: Sequence[Cell], baseline: Sequence[Cell] | None) -> str:
    if baseline is None or group[0].result.spec.method.name == "random_init":
        return ""
    difference, limits = paired(group, baseline, "map_macro")
    return _text(difference, limits, sign="+")


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
            f"{spec.score.confidence:.0%} bootstrap intervals (basic), {spec.score.resamples} test resamples; "
            f"encoder {spec.encoder.name}, seed {spec.seed}"
        )
        if note not in notes:
            notes.append(note)
            if result.data["left_out"]:
                notes.append(f"{result.dataset}: {len(result.data['left_out'])} files left out (see data.left_out)")
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
