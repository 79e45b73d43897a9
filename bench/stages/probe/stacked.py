"""Training of a stack of probes: points of a grid, and on a GPU several subsets, as one program.

After every few steps the valid split is scored, and the best weights of each subset are kept.
Points whose patience is at an end leave the stack. Leaving changes the shapes of the products of
those that stay, and so at most their rounding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bench.settings.specs import ProbeSpec
from bench.stages.probe.adamw import StackedAdamW
from bench.stages.probe.aggregate import Kind, track_scores
from bench.stages.probe.batches import Labelled, draw_batches, dropout_mask, gather, stack
from bench.stages.probe.inputs import Pieces
from bench.stages.probe.network import Weights, gradients, initial, logits
from bench.stages.probe.valid_map import ValidMap


@dataclass(frozen=True)
class Trained:
    """The outcome of training all points on one labelled subset.

    Attributes:
        weights: of the best point at its best step, with axes (1, 1) in front; None where every
            point diverged.
        best: (point, step) of these weights; ties went to the earlier step, then to the first
            point.
        steps: (looks,) steps after which the valid split was scored.
        curve: (looks, points) macro average precision there, -1 where a point diverged, NaN after
            it stopped.
        stopped: (points,) the last step of each point.
    """

    weights: Weights | None
    best: tuple[int, int]
    steps: NDArray[np.int64]
    curve: NDArray[np.float64]
    stopped: NDArray[np.int64]


def train(
    subsets: Sequence[Labelled],
    points: Sequence[tuple[float, float]],
    spec: ProbeSpec,
    kind: Kind,
    judge: ValidMap,
    tick: Callable[[int], None] = lambda probe_steps: None,
) -> list[Trained]:
    """Trains every point on every subset.

    Args:
        subsets: labelled subsets with batches of the same size, that is with equally many tracks,
            or all with at least `spec.batch_size`.
        points: learning rate and weight decay of each.
        spec: kind of probe and budget.
        kind: "tags" trains by binary cross-entropy, averaged over tags; "classes" by cross-entropy.
        judge: scores logits of the valid split.
        tick: called with the number of probe-steps done since the last call; a point that stops
            early has done all of its steps.

    Returns:
        The outcome for each subset.
    """
    optimiser = StackedAdamW(initial(subsets, len(points), spec, kind), points)
    record = _Record(len(subsets), len(points), spec)
    # Places of the subsets and points that are still in the stack.
    rows, columns = np.arange(len(subsets)), np.arange(len(points))
    batches = [draw_batches(subset, spec) for subset in subsets]
    size = min(spec.batch_size, len(subsets[0].train.first) - 1)
    # One piece of memory for the inputs of all steps, one after another.
    memory = optimiser.weights["output"].new_empty(len(subsets), size, subsets[0].train.width)
    before = 0
    for step in range(1, spec.steps + 1):
        present = [subsets[row] for row in rows.tolist()]
        inputs, targets = gather(present, [next(batches[row]) for row in rows.tolist()], memory)
        seeds = [subset.seed for subset in present]
        mask = dropout_mask(seeds, step, inputs.shape[1], spec, inputs.device)
        optimiser.step(gradients(optimiser.weights, inputs, targets, kind, mask))
        if step != record.next_look:
            continue
        tick((step - before) * int(record.alive.sum()))
        before = step
        valid = [subset.valid for subset in present]
        scores = _valid_scores(optimiser.weights, valid, spec, kind, judge)
        record.enter(step, scores, optimiser.weights, rows, columns)
        ended = record.end(step)
        if not ended:
            continue
        tick((spec.steps - step) * ended)
        alive = record.alive[np.ix_(rows, columns)]
        rows_left, columns_left = alive.any(1), alive.any(0)
        rows, columns = rows[rows_left], columns[columns_left]
        if not len(rows):
            break
        if not (rows_left.all() and columns_left.all()):
            optimiser.keep(np.flatnonzero(rows_left), np.flatnonzero(columns_left))
    return record.results()


class _Record:
    """Scores, best weights and patience of every point of every subset.

    Attributes:
        alive: (subsets, points) bool: points that have not stopped. A stopped point stays in the
            stack as long as other points of its subset and the same point of other subsets go on.
    """

    def __init__(self, subsets: int, points: int, spec: ProbeSpec) -> None:
        """Begins with all points alive and nothing scored."""
        shape = (subsets, points)
        self.alive = np.ones(shape, dtype=bool)
        self._spec, self._steps, self._looks = spec, _look_steps(spec), 0
        self._curve = np.full((len(self._steps), *shape), np.nan)
        self._stopped = np.full(shape, spec.steps)
        self._top, self._waited = np.full(shape, -np.inf), np.zeros(shape, dtype=int)
        # Score, point, step and weights. Any probe beats -1, the score of one that diverged.
        self._best: list[tuple[float, int, int, Weights | None]] = [(-1.0, 0, 0, None)] * subsets

    @property
    def next_look(self) -> int:
        """The step after which the valid split is scored next."""
        return int(self._steps[self._looks])

    def enter(
        self,
        step: int,
        scores: NDArray[np.float64],
        weights: Weights,
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
    ) -> None:
        """Enters the scores of the valid split after a step, and copies weights that are best.

        Args:
            step: number of the step.
            scores: (subsets in the stack, points in the stack).
            weights: of the stack.
            rows: which subsets these are.
            columns: which points these are.
        """
        for row, subset in enumerate(rows):
            for column, point in enumerate(columns):
                if not self.alive[subset, point]:
                    continue
                score = self._curve[self._looks, subset, point] = scores[row, column]
                self._waited[subset, point] += 1
                if score > self._top[subset, point]:
                    self._top[subset, point], self._waited[subset, point] = score, 0
                if score > self._best[subset][0]:
                    kept = {
                        name: weight[row, column].clone()[None, None]
                        for name, weight in weights.items()
                    }
                    self._best[subset] = score, int(point), step, kept
        self._looks += 1

    def end(self, step: int) -> int:
        """Stops the points whose patience is at an end, and returns how many they are."""
        if step == self._spec.steps:
            return 0
        ended = self.alive & (self._waited >= (self._spec.patience or np.inf))
        self._stopped[ended], self.alive[ended] = step, False
        return int(ended.sum())

    def results(self) -> list[Trained]:
        """The outcome for each subset."""
        looks = self._looks
        return [
            Trained(
                kept,
                (point, step),
                self._steps[:looks],
                self._curve[:looks, index],
                self._stopped[index],
            )
            for index, (_, point, step, kept) in enumerate(self._best)
        ]


def _look_steps(spec: ProbeSpec) -> NDArray[np.int64]:
    """Steps after which the valid split is scored: every so many, and the last."""
    return np.unique([*range(spec.evaluate_every, spec.steps + 1, spec.evaluate_every), spec.steps])


def _valid_scores(
    weights: Weights, valid: Sequence[Pieces], spec: ProbeSpec, kind: Kind, judge: ValidMap
) -> NDArray[np.float64]:
    """(subsets, points) macro average precision of the valid split, -1 where a point diverged."""
    parts = []
    # All subsets are judged on the same tracks, so their inputs come in the same pieces.
    for pieces in zip(*valid, strict=True):
        scores = logits(weights, stack([rows for rows, _ in pieces]))
        if spec.aggregation == "mean_probability":
            scores = track_scores(scores, pieces[0][1], kind)
        parts.append(scores)
    return judge(torch.cat(parts, -1) if len(parts) > 1 else parts[0])
