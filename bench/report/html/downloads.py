"""Files for further use: the leaderboard, runs and comparisons as CSV, and each run as JSON."""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from bench.report.html.board import Board
from bench.report.html.collect import Run
from bench.report.html.comparing import Compared
from bench.results import Result


def leaderboard_csv(board: Board) -> bytes:
    """The leaderboard, one row for each configuration and stratum."""
    rows = []
    for arena, group in board.groups.items():
        for row in group:
            spec = row.configuration.runs[0].result.spec
            line: dict[str, Any] = {
                "method": row.configuration.method,
                "variant": row.configuration.variant,
                "encoder": spec.encoder.name,
                "pretrained_on": row.pretrained_on,
                "dataset": arena.dataset,
                "split": arena.split,
                "tracks_hash": arena.tracks,
                "convention": arena.convention,
                "resampled_by": arena.by,
                "fraction": row.stratum.fraction,
                "labels": row.stratum.labels,
                "probe": row.probe,
                "runs": len(row.configuration.runs),
            }
            for metric, number in zip(board.metrics, row.numbers, strict=True):
                line |= _with_ends(metric, number.value, number.ends) | {
                    f"{metric}_mark": number.mark
                }
            rows.append(
                line | _with_ends("map_macro_above_untrained", row.above.value, row.above.ends)
            )
    return _csv(rows)


def runs_csv(runs: Sequence[Run]) -> bytes:
    """Every run in one row, with all metrics under the convention that was asked for.

    Columns are named as in `bench run --json`.
    """
    rows = []
    for run in runs:
        line: dict[str, Any] = {}
        for row in run.result.rows():
            shared = {name: value for name, value in row.items() if name not in _OF_METRIC}
            line |= shared if not line else {}
            line |= _with_ends(row["metric"], row["value"], (row["low"], row["high"]))
        rows.append(
            {"cell": run.result.cell, "counted": run.counted, **line, "created": run.result.created}
        )
    return _csv(rows)


_OF_METRIC = ("metric", "value", "low", "high", "percentile", "bca", "bias")
"""Columns of `Result.rows` that differ between the metrics of a run."""


def comparisons_csv(compared: Iterable[Compared]) -> bytes:
    """Every comparison, one row for each pair, stratum and metric."""
    return _csv(
        [
            {
                "metric": each.metric,
                "dataset": each.stratum.arena.dataset,
                "split": each.stratum.arena.split,
                "tracks_hash": each.stratum.arena.tracks,
                "fraction": each.stratum.fraction,
                "labels": each.stratum.labels,
                "probe": each.stratum.probe,
                "first": pair.first,
                "second": pair.second,
                "cells": pair.cells,
                **_with_ends(
                    "difference", pair.found.difference, (pair.found.low, pair.found.high)
                ),
                "p_value": pair.p_value,
                "p_holm": pair.adjusted,
                "smallest_detectable": pair.detectable,
            }
            for each in compared
            for pair in each.pairs
        ]
    )


def _with_ends(
    name: str, value: float | None, ends: tuple[float | None, float | None]
) -> dict[str, float | None]:
    return {name: value, f"{name}_low": ends[0], f"{name}_high": ends[1]}


def _csv(rows: list[dict[str, Any]]) -> bytes:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _field(value) for name, value in row.items()})
    return text.getvalue().encode("utf-8", errors="replace")


def _field(value: Any) -> Any:
    """A value as CSV holds it; nothing where there is no number."""
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value


def small_json(result: Result) -> bytes:
    """A result as compact JSON, without what there is for each tag, step or grid point."""
    content = result.model_dump(mode="json")
    left = []
    for part, names in _ARRAYS.items():
        for name in names:
            if content[part].pop(name, None) is not None:
                left.append(f"{part}.{name}")
    content["per_tag"] = {}
    content["left_out_of_this_copy"] = ["per_tag", *left]
    return (json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n").encode()


_ARRAYS = {"training": ("curve", "diagnostics"), "probe": ("sweep",), "data": ("tags", "left_out")}
"""Part of a result -> what `small_json` leaves out of it."""
