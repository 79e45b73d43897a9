"""Scores on audio that was made worse, beside the clean score of the same cell (see `bench.stages.robustness`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import InputError
from bench.results import CLEAN, Result, path_of, read_all, read_values
from bench.statistics.paired import paired

METRIC = "map_macro"
"""What figures and tables show of it."""
TITLES = {"noise": "white noise", "pitch": "pitch shift", "mp3": "mp3", "rate": "sample rate"}
"""What is done to tracks, in the order of figures and tables."""


def audio(result: Result) -> tuple[str, float]:
    """What was done to the test tracks, and how much of it."""
    about = result.protocol["audio"]
    return str(about["kind"]), float(about["level"])


def cell_of(result: Result) -> str:
    """The cell that was scored on other audio."""
    return str(result.protocol["audio"]["of"])


def read(folder: Path) -> tuple[list[Result], list[str]]:
    """What is stored of degraded audio, of every cell and version the last.

    And a line for each file left out. In the order of cells, and of each cell in that of tables:
    the clean score first, then from the mildest level on.
    """
    stored, lines = read_all(folder, "robustness")
    found = [result for result in stored if _is_whole(result.protocol["audio"])]
    if len(found) < len(stored):
        lines.append(f"{len(stored) - len(found)} scores do not say what was done to the audio")
    last = {
        (cell_of(result), *audio(result)): result
        for result in sorted(found, key=lambda one: one.created)
    }
    if len(last) < len(found):
        lines.append(
            f"{len(found) - len(last)} earlier scores of the same cells on the same degraded audio are not used"
        )
    return sorted(last.values(), key=_order), lines


def _is_whole(about: Any) -> bool:
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
    """What was done to the test tracks, such as "noise 20 dB"."""
    audio = result.protocol["audio"]
    return (
        CLEAN if audio["kind"] == CLEAN else f"{audio['kind']} {audio['level']:g} {audio['unit']}"
    )


def changes(folder: Path, scored: Sequence[Result], metric: str) -> list[dict[str, Any]]:
    """A row for each version of the test tracks: its score, and the paired change from the clean one.

    Args:
        folder: results.
        scored: of one cell, the clean one first.
        metric: such as "map_macro".

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
        found = result.metrics[metric]
        row: dict[str, Any] = {
            "audio": words(result),
            **result.protocol["audio"],
            "value": found.value,
        }
        row |= {
            "low": found.low,
            "high": found.high,
            "change": None,
            "change_low": None,
            "change_high": None,
        }
        if result is not clean:
            after = read_values(path_of(folder, result)).resampled[metric]
            values = np.array([found.value]), np.array([clean.metrics[metric].value])
            change = paired(*values, after[None], before[None], result.spec.score.confidence)
            row["change"] = change.difference
            if not np.isnan(change.low):
                row |= {"change_low": change.low, "change_high": change.high}
        rows.append(row)
    return rows
