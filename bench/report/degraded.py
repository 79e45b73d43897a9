"""Scores on audio that was made worse, beside the clean score of the same cell (see `bench.robustness`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.results import Result, path_of, read_values
from bench.statistics.paired import paired

CLEAN = "clean"


def words(result: Result) -> str:
    """What was done to the test tracks, such as "noise 20 dB"."""
    audio = result.protocol["audio"]
    return CLEAN if audio["kind"] == CLEAN else f"{audio['kind']} {audio['level']:g} {audio['unit']}"


def changes(folder: Path, scored: Sequence[Result], metric: str) -> list[dict[str, Any]]:
    """A row for each version of the test tracks: its score, and the paired change from the clean one.

    Args:
        folder: results.
        scored: of one cell, the clean one first.
        metric: such as "map_macro".

    Raises:
        InputError: stored arrays cannot be read.
    """
    clean = scored[0]
    before = read_values(path_of(folder, clean)).resampled[metric]
    rows = []
    for result in scored:
        found = result.metrics[metric]
        row: dict[str, Any] = {"audio": words(result), **result.protocol["audio"], "value": found.value}
        row |= {"low": found.low, "high": found.high, "change": None, "change_low": None, "change_high": None}
        if result is not clean:
            after = read_values(path_of(folder, result)).resampled[metric]
            values = np.array([found.value]), np.array([clean.metrics[metric].value])
            change = paired(*values, after[None], before[None], result.spec.score.confidence)
            row["change"] = change.difference
            if not np.isnan(change.low):
                row |= {"change_low": change.low, "change_high": change.high}
        rows.append(row)
    return rows
