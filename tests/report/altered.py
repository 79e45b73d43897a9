"""Stored results that are altered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import results
from bench.core.store import write_json


def altered(path: Path, change: Callable[[dict[str, Any]], None], to: Path) -> Path:
    """Writes a result into another results folder after a change of its JSON; returns its path."""
    content = json.loads(path.read_text())
    change(content)
    result = results.Result.model_validate({**content, "digest": ""})
    target = results.write(to, result, results.read_values(path))
    return target


def set_score(path: Path, metric: str, value: float, low: float, high: float) -> None:
    """Changes one score of a stored result and its interval."""
    result = results.read(path)
    metrics = {**result.metrics, metric: results.Metric(value=value, low=low, high=high)}
    write_json(
        path, result.model_copy(update={"metrics": metrics, "digest": ""}).model_dump(mode="json")
    )
