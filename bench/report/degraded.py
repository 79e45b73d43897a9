"""Scores on degraded test tracks, beside the clean score of the same cell.

`bench.stages.robustness` makes them: it adds noise, shifts the pitch, encodes as mp3 or lowers the
sample rate, and scores the stored encoder and probe again.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import InputError
from bench.results import CLEAN, Result, path_of, read_all, read_values
from bench.statistics.paired import paired

METRIC = "map_macro"
"""The metric that figures and tables show."""
TITLES = {"noise": "white noise", "pitch": "pitch shift", "mp3": "mp3", "rate": "sample rate"}
"""Kind of degradation -> its title, in the order of figures and tables."""


def audio(result: Result) -> tuple[str, float]:
    """How the test tracks were degraded: (kind, level in the unit of that kind)."""
    about = result.protocol["audio"]
    return str(about["kind"]), float(about["level"])


def cell_of(result: Result) -> str:
    """Key of the cell whose test tracks were degraded."""
    return str(result.protocol["audio"]["of"])


def read(folder: Path) -> tuple[list[Result], list[str]]:
    """Reads the scores on degraded audio of a results folder.

    Where the same cell was scored on the same audio several times, the last score is taken.

    Returns:
        (results, a line for each file that is not used). Results are sorted by cell; of each cell
        the clean score comes first, then kinds in the order of `TITLES`, from the mildest level on.
    """
    stored, lines = read_all(folder, "robustness")
    whole = [result for result in stored if _is_whole(result.protocol["audio"])]
    if len(whole) < len(stored):
        lines.append(f"{len(stored) - len(whole)} scores do not say what was done to the audio")
    last = {
        (cell_of(result), *audio(result)): result
        for result in sorted(whole, key=lambda result: result.created)
    }
    if len(last) < len(whole):
        lines.append(
            f"{len(whole) - len(last)} earlier scores of the same cells on the same degraded audio "
            "are not used"
        )
    return sorted(last.values(), key=_order), lines


def _is_whole(about: Any) -> bool:
    """Whether a result says all that is needed of what was done to the audio."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "kind": str,
        "level": (int, float),
        "unit": str,
        "of": str,
    }
    return isinstance(about, dict) and all(
        isinstance(about.get(name), kind) for name, kind in kinds.items()
    )


def _order(result: Result) -> tuple[str, int, float]:
    kind, level = audio(result)
    kinds = [CLEAN, *TITLES]
    return (
        cell_of(result),
        kinds.index(kind) if kind in kinds else len(kinds),
        level if kind == "pitch" else -level,
    )


def words(result: Result) -> str:
    """How the test tracks were degraded in words, such as "noise 20 dB"."""
    audio = result.protocol["audio"]
    return (
        CLEAN if audio["kind"] == CLEAN else f"{audio['kind']} {audio['level']:g} {audio['unit']}"
    )


def changes(folder: Path, scored: Sequence[Result], metric: str) -> list[dict[str, Any]]:
    """The score on each version of the test tracks, and its paired change from the clean score.

    Args:
        folder: the results folder.
        scored: scores of one cell, the clean one first.
        metric: name of the metric.

    Returns:
        One row for each version: what was done, its score with the interval, and the change with
        its interval; no change for the clean version.

    Raises:
        InputError: stored arrays cannot be read or paired, or the clean score is not there.
    """
    if audio(scored[0])[0] != CLEAN or metric not in scored[0].metrics:
        raise InputError(
            f"the clean score of cell {cell_of(scored[0])} is not among those on degraded audio"
        )
    clean = scored[0]
    before = read_values(path_of(folder, clean)).resampled[metric]
    rows = []
    for result in scored:
        if metric not in result.metrics:
            continue
        score = result.metrics[metric]
        row: dict[str, Any] = {
            "audio": words(result),
            **result.protocol["audio"],
            "value": score.value,
        }
        row |= {
            "low": score.low,
            "high": score.high,
            "change": None,
            "change_low": None,
            "change_high": None,
        }
        if result is not clean:
            after = read_values(path_of(folder, result)).resampled[metric]
            values = np.array([score.value]), np.array([clean.metrics[metric].value])
            change = paired(*values, after[None], before[None], result.spec.score.confidence)
            row["change"] = change.difference
            if not np.isnan(change.low):
                row |= {"change_low": change.low, "change_high": change.high}
        rows.append(row)
    return rows
