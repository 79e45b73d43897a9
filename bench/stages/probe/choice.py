"""The choice of a probe from the grid of one labelled subset, and its logits of the test split.

The learning rate, the weight decay and the step at which to stop are chosen by the macro average
precision of the valid split; ties go to the earlier step, then to the first point of the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.stages.probe.aggregate import track_scores
from bench.stages.probe.inputs import SCORED, Pieces, Scaling
from bench.stages.probe.network import Weights, logits
from bench.stages.probe.problem import Problem
from bench.stages.probe.stacked import Trained


@dataclass(frozen=True)
class Choice:
    """A chosen probe, and the scores by which it was chosen.

    Attributes:
        weights: of the chosen point at its best step, with axes (1, 1) in front.
        chosen: "learning_rate", "weight_decay", "step" and "valid_map".
        sweep: a row a grid point, in the grid's order: as `chosen`, with its own best step, and
            "last_valid_map" and "stopped", the last step that it was trained for.
        steps: (looks,) steps after which the valid split was scored.
        curve: (looks, points) valid macro average precision, NaN after a point has stopped.
    """

    weights: Weights
    chosen: dict[str, float | int]
    sweep: list[dict[str, float | int]]
    steps: NDArray[np.int64]
    curve: NDArray[np.float64]


def choose(grid: Sequence[tuple[float, float]], parts: Sequence[Trained]) -> Choice:
    """Chooses among all points of a grid that was trained in parts.

    Args:
        grid: learning rate and weight decay of each point.
        parts: what training found for consecutive points of the grid.

    Raises:
        InputError: every point diverged.
    """
    steps = max((part.steps for part in parts), key=len)
    curve = np.full((len(steps), len(grid)), np.nan)
    stopped = np.concatenate([part.stopped for part in parts])
    start, candidates = 0, []
    for part in parts:
        points = part.curve.shape[1]
        curve[: len(part.curve), start : start + points] = part.curve
        if part.weights is not None:
            point, step = part.best
            candidates.append((-np.nanmax(part.curve), step, start + point, part.weights))
        start += points
    if not candidates:
        raise InputError("every point of the probe's grid diverged; give it smaller learning rates")
    _, _, point, weights = min(candidates, key=lambda candidate: candidate[:3])
    rows = _sweep(grid, steps, curve, stopped)
    chosen = {
        key: rows[point][key] for key in ("learning_rate", "weight_decay", "step", "valid_map")
    }
    return Choice(weights, chosen, rows, steps, curve)


def _sweep(
    grid: Sequence[tuple[float, float]],
    steps: NDArray[np.int64],
    curve: NDArray[np.float64],
    stopped: NDArray[np.int64],
) -> list[dict[str, float | int]]:
    """One row a grid point, with its best step (the earliest of equals); curve (looks, points)."""
    rows: list[dict[str, float | int]] = []
    for point, (rate, decay) in enumerate(grid):
        scores = curve[~np.isnan(curve[:, point]), point]
        top = int(scores.argmax())
        rows.append(
            {
                "learning_rate": rate,
                "weight_decay": decay,
                "step": int(steps[top]),
                "valid_map": float(scores[top]),
                "last_valid_map": float(scores[-1]),
                "stopped": int(stopped[point]),
            }
        )
    return rows


def score_test(problem: Problem, weights: Weights, by: Scaling) -> dict[str, NDArray[np.float32]]:
    """Computes the logits of the test tracks under both aggregations.

    Args:
        problem: embeddings and test split.
        weights: of one probe, with axes (1, 1) in front.
        by: how the inputs of the probe are standardised.

    Returns:
        By aggregation (test tracks, outputs) float32.
    """
    scored = {}
    for name, of in SCORED.items():
        parts = [np.empty((0, problem.hot.shape[1]), dtype=np.float32)]
        tested = Pieces(problem.embeddings, problem.test, of, by, problem.device, 0)
        for rows, first in tested:
            scores = logits(weights, rows.unsqueeze(0))
            if name == "mean_probability":
                scores = track_scores(scores, first, problem.kind)
            parts.append(scores[0, 0].T.cpu().numpy())
        scored[name] = np.concatenate(parts)
    return scored
