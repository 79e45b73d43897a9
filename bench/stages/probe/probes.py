"""Probes on frozen embeddings: all labelled subsets, seeds and hyper-parameters of one encoder as one program.

On the CPU a probe-sized piece of a grid (some points of one labelled subset, as many as fill a
matrix product) runs on one thread, and as many pieces run beside each other as there are threads.
What a piece computes depends on its subset, its seed and the spec alone, so its result is the same
to the last bit beside whichever others it runs, with whatever memory. On a GPU several subsets are
stacked (see `bench.stages.probe.stacked`); products of other shapes may round otherwise there,
which after some hundred steps can move a logit by about 1e-3.

The learning rate, the weight decay and the step at which to stop are chosen by the macro average
precision of the valid split; ties go to the earlier step, then to the first point of the grid.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.core.threads import one_thread
from bench.settings.specs import ProbeSpec
from bench.stages.embed.segments import Embeddings
from bench.stages.probe.aggregate import Kind
from bench.stages.probe.inputs import SCORED, Pieces, Rows, Scaling, scaling
from bench.stages.probe.knn import nearest_neighbours
from bench.stages.probe.stacked import Labelled, Trained, Weights, logits, track_scores, train
from bench.stages.probe.valid_map import ValidMap

Item = TypeVar("Item")
Progress = Callable[[int, int], None]

_ELEMENTS = 2**18
"""Weights of the first layer of a piece of a grid, about: products run at full speed, and 1 MiB
fits a core's cache.
"""

_PIECES = 8
"""Pieces a thread between two waits for all threads."""

_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Subset:
    """One cell: which tracks are labelled, and the seed of the probe.

    Attributes:
        rows: (tracks,) int64 places among the tracks of the data set.
        seed: of the weights, the order of tracks, the segments and the dropout.
    """

    rows: NDArray[np.int64]
    seed: int


@dataclass(frozen=True)
class Fitted:
    """A chosen probe's scores of the test split, and how it was chosen.

    Attributes:
        logits: by aggregation, (test tracks, outputs) float32. "mean_embedding" has the logits of a
            track's mean embedding; "mean_probability" the log-odds (classes: the log) of the mean
            probability of its segments.
        chosen: "learning_rate", "weight_decay", "step", "valid_map"; "neighbours" and "valid_map"
            of "knn".
        sweep: a row a grid point, in the grid's order: as `chosen`, with its own best step, and
            "last_valid_map" and "stopped", the last step that it was trained for.
        steps: (looks,) steps at which the valid split was looked at; empty for nearest neighbours.
        curve: (looks, points) valid macro average precision, NaN after a point has stopped.
    """

    logits: dict[str, NDArray[np.float32]]
    chosen: dict[str, float | int]
    sweep: list[dict[str, float | int]]
    steps: NDArray[np.int64]
    curve: NDArray[np.float64]


@dataclass(frozen=True)
class _Problem:
    """What all probes have in common."""

    embeddings: Embeddings
    hot: NDArray[np.bool_]  # (tracks, outputs)
    kind: Kind
    valid: NDArray[np.int64]
    test: NDArray[np.int64]
    spec: ProbeSpec
    device: str
    judge: ValidMap

    @property
    def grid(self) -> list[tuple[float, float]]:
        return [
            (rate, decay) for rate in self.spec.learning_rates for decay in self.spec.weight_decays
        ]


def fit_all(
    embeddings: Embeddings,
    targets: NDArray[np.bool_] | NDArray[np.int64],
    kind: Kind,
    outputs: int,
    valid: NDArray[np.int64],
    test: NDArray[np.int64],
    subsets: Sequence[Subset],
    spec: ProbeSpec,
    device: str,
    progress: Progress = lambda done, total: None,
) -> Iterator[tuple[int, Fitted]]:
    """Trains the grid on every labelled subset, and scores the test split with the probe that the valid split chooses.

    Args:
        embeddings: of all tracks of the data set.
        targets: (tracks, tags) bool for tags, (tracks,) int for classes.
        kind: "tags" or "classes".
        outputs: number of tags or classes.
        valid: places of the valid tracks.
        test: places of the test tracks.
        subsets: the labelled subsets.
        spec: kind of probe, grid and budget.
        device: such as "cpu" or "cuda".
        progress: called with (done, total) probe-steps, a probe being one grid point of one subset;
            a probe that stops early is done.

    Returns:
        (place of the subset, what was fitted), some at a time as they are finished.

    Raises:
        InputError: before anything is trained, where embeddings are not finite, there is no
            training track, a training subset has no positive, or the valid split has none; while
            training, where every grid point diverged.
    """
    _check(embeddings, targets, kind, valid, test, subsets)
    hot = (
        np.asarray(targets, dtype=bool)
        if kind == "tags"
        else targets[:, None] == np.arange(outputs)
    )
    judge = ValidMap(hot[valid], kind)
    problem = _Problem(embeddings, hot, kind, valid, test, spec, device, judge)
    if spec.kind == "knn":
        return _neighbours(problem, subsets, progress)
    if device == "cpu":
        return _on_cpu(problem, subsets, progress)
    return _on_gpu(problem, subsets, progress)


def _on_cpu(
    problem: _Problem, subsets: Sequence[Subset], progress: Progress
) -> Iterator[tuple[int, Fitted]]:
    """Pieces of grids beside each other, each on one thread.

    All threads wait before results are handed over.
    """
    most = _points_a_piece(problem.spec, problem.hot.shape[1], problem.embeddings.tracks.shape[1])
    pieces = _even(problem.grid, most)
    budget = problem.spec.memory_mb * _MEBIBYTE
    bytes_a_piece = max(map(len, pieces)) * _bytes_a_point(problem) + _bytes_a_batch(problem)
    workers = int(max(1, min(torch.get_num_threads(), 0.75 * budget // bytes_a_piece)))
    counter = _Counter(len(subsets) * len(problem.grid) * problem.spec.steps)
    at_once = -(-_PIECES * workers // len(pieces))
    for places in _even(range(len(subsets)), at_once):
        # The number of threads is a setting of the process: it is changed, and changed back, with
        # no thread running.
        with one_thread():
            found = _chunk(
                problem, [subsets[place] for place in places], pieces, workers, counter, progress
            )
        yield from zip(places, found, strict=True)


def _chunk(
    problem: _Problem,
    subsets: Sequence[Subset],
    pieces: list[list[tuple[float, float]]],
    workers: int,
    counter: "_Counter",
    progress: Progress,
) -> list[Fitted]:
    """Every piece of every subset's grid, on a pool of threads."""
    hold = problem.spec.memory_mb * _MEBIBYTE / (4 * workers)
    ready: dict[int, tuple[Labelled, Scaling]] = {}
    trained: dict[int, list[Trained | None]] = {}
    finished: dict[int, Fitted] = {}
    running: dict[Future[Trained | Fitted], tuple[int, int]] = {}
    waiting = [(subset, piece) for subset in range(len(subsets)) for piece in range(len(pieces))]
    with ThreadPoolExecutor(workers) as pool:
        try:
            while waiting or running:
                while waiting and len(running) <= workers:
                    subset, piece = waiting.pop(0)
                    if subset not in ready:
                        ready[subset] = _prepare(problem, subsets[subset], hold)
                        trained[subset] = [None] * len(pieces)
                    task = pool.submit(
                        _train_one, ready[subset][0], pieces[piece], problem, counter.add
                    )
                    running[task] = subset, piece
                for future in wait(running, timeout=0.2, return_when=FIRST_COMPLETED).done:
                    subset, piece = running.pop(future)
                    result = future.result()
                    if isinstance(result, Fitted):
                        finished[subset] = result
                        continue
                    trained[subset][piece] = result
                    parts = [part for part in trained[subset] if part is not None]
                    if len(parts) == len(pieces):
                        by = ready.pop(subset)[1]
                        last: Future[Trained | Fitted] = pool.submit(_finish, problem, parts, by)
                        running[last] = subset, -1
                progress(counter.done, counter.total)
        except BaseException:
            counter.stop.set()
            for future in running:
                future.cancel()
            raise
    return [finished[subset] for subset in range(len(subsets))]


def _train_one(
    subset: Labelled,
    points: list[tuple[float, float]],
    problem: _Problem,
    tick: Callable[[int], None],
) -> Trained | Fitted:
    return train([subset], points, problem.spec, problem.kind, problem.judge, tick)[0]


def _on_gpu(
    problem: _Problem, subsets: Sequence[Subset], progress: Progress
) -> Iterator[tuple[int, Fitted]]:
    """Stacks of subsets whose batches are of the same size, as many as the memory allows, one stack after another."""
    counter = _Counter(len(subsets) * len(problem.grid) * problem.spec.steps)

    def tick(steps: int) -> None:
        counter.add(steps)
        progress(counter.done, counter.total)

    budget = problem.spec.memory_mb * _MEBIBYTE
    a_point, a_batch = _bytes_a_point(problem), _bytes_a_batch(problem)
    points = int(max(1, min(len(problem.grid), (0.75 * budget - a_batch) // a_point)))
    pieces = _even(problem.grid, points)
    at_once = int(max(1, 0.75 * budget // (points * a_point + a_batch)))
    sizes = [min(problem.spec.batch_size, len(subset.rows)) for subset in subsets]
    for size in sorted(set(sizes)):
        places = [place for place in range(len(subsets)) if sizes[place] == size]
        for start in range(0, len(places), at_once):
            chunk = places[start : start + at_once]
            ready = [
                _prepare(problem, subsets[place], budget / (4 * len(chunk))) for place in chunk
            ]
            labelled = [subset for subset, _ in ready]
            parts = [
                train(labelled, piece, problem.spec, problem.kind, problem.judge, tick)
                for piece in pieces
            ]
            for place, (_, by), found in zip(chunk, ready, zip(*parts, strict=True), strict=True):
                yield place, _finish(problem, list(found), by)


def _neighbours(
    problem: _Problem, subsets: Sequence[Subset], progress: Progress
) -> Iterator[tuple[int, Fitted]]:
    """Nearest neighbours; progress counts subsets."""
    for place, subset in enumerate(subsets):
        by = scaling(problem.embeddings, subset.rows, "tracks")
        scores, chosen, sweep = nearest_neighbours(
            problem.embeddings, problem.hot, problem.kind, subset.rows, problem.valid, problem.test,
            by, problem.spec, problem.device, problem.judge,
        )  # fmt: skip
        yield (
            place,
            Fitted(scores, chosen, sweep, np.empty(0, dtype=np.int64), np.empty((0, len(sweep)))),
        )
        progress(place + 1, len(subsets))


class _Counter:
    """Probe-steps done, counted by several threads; `stop` ends them at their next count."""

    def __init__(self, total: int) -> None:
        self.done, self.total = 0, total
        self.stop = threading.Event()
        self._lock = threading.Lock()

    def add(self, steps: int) -> None:
        """Counts some more; raises KeyboardInterrupt in a thread whose work is no longer wanted."""
        if self.stop.is_set():
            raise KeyboardInterrupt
        with self._lock:
            self.done += steps


def _prepare(problem: _Problem, subset: Subset, hold: float) -> tuple[Labelled, Scaling]:
    """A subset's standardised inputs, each split kept in memory where it fits in `hold` bytes."""
    embeddings, spec, device = problem.embeddings, problem.spec, problem.device
    by = scaling(embeddings, subset.rows, spec.train_on)
    inputs = Rows(embeddings, subset.rows, spec.train_on, by, device, hold)
    targets = torch.from_numpy(
        np.ascontiguousarray(problem.hot[subset.rows].T, dtype=np.float32)
    ).to(device)
    valid = Pieces(embeddings, problem.valid, SCORED[spec.aggregation], by, device, hold)
    return Labelled(subset.seed, inputs, targets, valid), by


def _finish(problem: _Problem, parts: Sequence[Trained], by: Scaling) -> Fitted:
    """Chooses among the pieces of one subset's grid and scores the test split."""
    steps = max((part.steps for part in parts), key=len)
    curve = np.full((len(steps), len(problem.grid)), np.nan)
    stopped = np.concatenate([part.stopped for part in parts])
    start, choices = 0, []
    for part in parts:
        points = part.curve.shape[1]
        curve[: len(part.curve), start : start + points] = part.curve
        if part.weights is not None:
            choices.append(
                (-np.nanmax(part.curve), part.best[1], start + part.best[0], part.weights)
            )
        start += points
    if not choices:
        raise InputError("every point of the probe's grid diverged; give it smaller learning rates")
    _, _, point, weights = min(choices, key=lambda choice: choice[:3])
    rows = _sweep(problem.grid, steps, curve, stopped)
    chosen = {
        key: rows[point][key] for key in ("learning_rate", "weight_decay", "step", "valid_map")
    }
    return Fitted(_test_logits(problem, weights, by), chosen, rows, steps, curve)


def _sweep(
    grid: list[tuple[float, float]],
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


def _test_logits(
    problem: _Problem, weights: Weights, by: Scaling
) -> dict[str, NDArray[np.float32]]:
    """(test tracks, outputs) under both aggregations."""
    embeddings, test, device = problem.embeddings, problem.test, problem.device
    found = {}
    for name, of in SCORED.items():
        parts = [np.empty((0, problem.hot.shape[1]), dtype=np.float32)]
        for rows, first in Pieces(embeddings, test, of, by, device, 0):
            scores = logits(weights, rows.unsqueeze(0))
            if name == "mean_probability":
                scores = track_scores(scores, first, problem.kind)
            parts.append(scores[0, 0].T.cpu().numpy())
        found[name] = np.concatenate(parts)
    return found


def _points_a_piece(spec: ProbeSpec, outputs: int, width: int) -> int:
    """Grid points that are trained as one.

    Depends on the layers' sizes alone, and so does how products are rounded.
    """
    return max(1, _ELEMENTS // (width * (spec.hidden if spec.kind == "mlp" else outputs)))


def _even(items: Sequence[Item], most: int) -> list[list[Item]]:
    """Consecutive pieces of at most some length, as even as can be."""
    number = -(-len(items) // most)
    ends = [len(items) * piece // max(number, 1) for piece in range(number + 1)]
    return [list(items[start:stop]) for start, stop in pairwise(ends)]


def _bytes_a_point(problem: _Problem) -> int:
    """About what a grid point of a subset takes: its weights with moments, gradient and copies, and its layers."""
    spec, outputs, width = (
        problem.spec,
        int(problem.hot.shape[1]),
        int(problem.embeddings.tracks.shape[1]),
    )
    valid = len(problem.valid)
    if spec.aggregation == "mean_probability":
        valid = int(problem.embeddings.counts[problem.valid].sum())
    hidden = spec.hidden if spec.kind == "mlp" else 0
    weights = hidden * (width + 3 + outputs) if hidden else width * outputs
    layers = (4 * spec.batch_size + 2 * 1024) * (hidden or outputs) + 8 * outputs * valid
    return 4 * (6 * weights + layers)


def _bytes_a_batch(problem: _Problem) -> int:
    """What a subset takes beside its points: a batch of inputs and a piece of the valid split."""
    return 4 * int(problem.embeddings.tracks.shape[1]) * (2 * problem.spec.batch_size + 2 * 1024)


def _check(
    embeddings: Embeddings,
    targets: NDArray[np.bool_] | NDArray[np.int64],
    kind: Kind,
    valid: NDArray[np.int64],
    test: NDArray[np.int64],
    subsets: Sequence[Subset],
) -> None:
    """Raises InputError where a probe cannot be trained on these subsets, chosen by this valid split, or tested."""
    if len(embeddings.tracks) != len(targets):
        raise InputError(
            f"{len(embeddings.tracks)} embeddings for {len(targets)} tracks; they must be as many"
        )
    labelled = np.unique(
        np.concatenate([np.empty(0, dtype=np.int64), *(subset.rows for subset in subsets)])
    )
    for split, rows in (("train", labelled), ("valid", valid), ("test", test)):
        broken = int((~np.isfinite(embeddings.tracks[rows]).all(1)).sum())
        if broken:
            text = f"embeddings of {broken} of {len(rows)} {split} tracks are not finite; the encoder diverged"
            raise InputError(text)
    if not len(valid):
        raise InputError("the valid split has no tracks: the probe needs at least one")
    for subset in subsets:
        if not len(subset.rows):
            raise InputError("the train split has no tracks: the probe needs at least one")
        if kind == "tags" and not targets[subset.rows].any():
            raise InputError(
                f"the labelled subset of {len(subset.rows)} tracks has no positive of any tag"
            )
    if kind == "tags" and not targets[valid].any():
        raise InputError("no tag has a positive in the valid split: the probe cannot be chosen")
