"""Probes on frozen embeddings: all subsets, seeds and grid points of one encoder as one program.

On the CPU a probe-sized piece of a grid (some points of one labelled subset, as many as fill a
matrix product) runs on one thread, and as many pieces run beside each other as there are threads.
What a piece computes depends on its subset, its seed and the spec alone, so its result is the same
to the last bit beside whichever others it runs, with whatever memory. On a GPU several subsets are
stacked (see `bench.stages.probe.stacked`); products of other shapes may round otherwise there,
which after some hundred steps can move a logit by about 1e-3.

How a probe is chosen is said in `bench.stages.probe.choice`.
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

from bench.core.threads import one_thread
from bench.settings.specs import ProbeSpec
from bench.stages.embed.segments import Embeddings
from bench.stages.probe.aggregate import Kind
from bench.stages.probe.batches import Labelled
from bench.stages.probe.choice import choose, score_test
from bench.stages.probe.inputs import Scaling, scaling
from bench.stages.probe.knn import nearest_neighbours
from bench.stages.probe.problem import (
    Problem,
    bytes_a_batch,
    bytes_a_point,
    check,
    labelled_inputs,
)
from bench.stages.probe.stacked import Trained, train
from bench.stages.probe.valid_map import ValidMap

Item = TypeVar("Item")
Point = tuple[float, float]
Progress = Callable[[int, int], None]

_ELEMENTS = 2**18
"""Weights of the first layer of a piece of a grid, about.

Products of this size run at full speed, and 1 MiB fits a core's cache.
"""

_PIECES = 8
"""Pieces for each thread between two moments at which all threads wait."""

_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Subset:
    """A labelled subset of the train split, and the seed of the probe that is trained on it.

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
        steps: (looks,) steps after which the valid split was scored; empty for nearest neighbours.
        curve: (looks, points) valid macro average precision, NaN after a point has stopped.
    """

    logits: dict[str, NDArray[np.float32]]
    chosen: dict[str, float | int]
    sweep: list[dict[str, float | int]]
    steps: NDArray[np.int64]
    curve: NDArray[np.float64]


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
    """Trains the grid on every labelled subset, and scores the test split with the chosen probe.

    Args:
        embeddings: of all tracks of the data set.
        targets: (tracks, tags) bool for tags, (tracks,) int for classes.
        kind: "tags" or "classes".
        outputs: number of tags or classes.
        valid: places of the valid tracks, which choose the probe.
        test: places of the test tracks.
        subsets: the labelled subsets.
        spec: kind of probe, grid and budget.
        device: such as "cpu" or "cuda".
        progress: called with (done, total) probe-steps, a probe being one grid point of one subset;
            a probe that stops early is done.

    Returns:
        (place of the subset, its chosen probe), some at a time as they are finished.

    Raises:
        InputError: before anything is trained, where embeddings are not finite, there is no
            training track, a training subset has no positive, or the valid split has none; while
            training, where every grid point diverged.
    """
    check(embeddings, targets, kind, valid, test, [subset.rows for subset in subsets])
    hot = (
        np.asarray(targets, dtype=bool)
        if kind == "tags"
        else targets[:, None] == np.arange(outputs)
    )
    judge = ValidMap(hot[valid], kind)
    problem = Problem(embeddings, hot, kind, valid, test, spec, device, judge)
    if spec.kind == "knn":
        return _neighbours(problem, subsets, progress)
    if device == "cpu":
        return _on_cpu(problem, subsets, progress)
    return _on_gpu(problem, subsets, progress)


def _on_cpu(
    problem: Problem, subsets: Sequence[Subset], progress: Progress
) -> Iterator[tuple[int, Fitted]]:
    """Trains pieces of grids beside each other, each on one thread.

    All threads wait before results are handed over.
    """
    most = _points_a_piece(problem.spec, problem.hot.shape[1], problem.embeddings.tracks.shape[1])
    pieces = _even(problem.grid, most)
    budget = problem.spec.memory_mb * _MEBIBYTE
    bytes_a_piece = max(map(len, pieces)) * bytes_a_point(problem) + bytes_a_batch(problem)
    # A quarter of the memory is for inputs that are kept.
    workers = int(max(1, min(torch.get_num_threads(), 0.75 * budget // bytes_a_piece)))
    counter = _Counter(len(subsets) * len(problem.grid) * problem.spec.steps)
    at_once = -(-_PIECES * workers // len(pieces))
    for places in _even(range(len(subsets)), at_once):
        # The number of threads is a setting of the process: it is changed, and changed back, with
        # no thread running.
        with one_thread():
            fitted = _chunk(
                problem, [subsets[place] for place in places], pieces, workers, counter, progress
            )
        yield from zip(places, fitted, strict=True)


def _chunk(
    problem: Problem,
    subsets: Sequence[Subset],
    pieces: list[list[Point]],
    workers: int,
    counter: "_Counter",
    progress: Progress,
) -> list[Fitted]:
    """Trains every piece of every subset's grid on a pool of threads."""
    hold_bytes = problem.spec.memory_mb * _MEBIBYTE / (4 * workers)
    ready: dict[int, tuple[Labelled, Scaling]] = {}
    trained: dict[int, list[Trained | None]] = {}
    finished: dict[int, Fitted] = {}
    running: dict[Future[Trained | Fitted], tuple[int, int]] = {}
    waiting = [(subset, piece) for subset in range(len(subsets)) for piece in range(len(pieces))]
    with ThreadPoolExecutor(workers) as pool:
        try:
            while waiting or running:
                # One task more than there are threads, so that none is idle; and no more, since
                # the inputs of every subset that has begun are in memory.
                while waiting and len(running) <= workers:
                    subset, piece = waiting.pop(0)
                    if subset not in ready:
                        rows, seed = subsets[subset].rows, subsets[subset].seed
                        ready[subset] = labelled_inputs(problem, rows, seed, hold_bytes)
                        trained[subset] = [None] * len(pieces)
                    task = pool.submit(
                        _train_piece, ready[subset][0], pieces[piece], problem, counter.add
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
            # A thread cannot be killed: those that run end at their next count.
            counter.stop.set()
            for future in running:
                future.cancel()
            raise
    return [finished[subset] for subset in range(len(subsets))]


def _train_piece(
    subset: Labelled, points: list[Point], problem: Problem, tick: Callable[[int], None]
) -> Trained | Fitted:
    return train([subset], points, problem.spec, problem.kind, problem.judge, tick)[0]


def _on_gpu(
    problem: Problem, subsets: Sequence[Subset], progress: Progress
) -> Iterator[tuple[int, Fitted]]:
    """Trains stacks of subsets, as many as the memory allows, one stack after another.

    Subsets of a stack have batches of the same size.
    """
    counter = _Counter(len(subsets) * len(problem.grid) * problem.spec.steps)

    def tick(steps: int) -> None:
        counter.add(steps)
        progress(counter.done, counter.total)

    budget = problem.spec.memory_mb * _MEBIBYTE
    a_point, a_batch = bytes_a_point(problem), bytes_a_batch(problem)
    # As many points as fit for one subset, then as many subsets as fit with so many points. A
    # quarter of the memory is for inputs that are kept.
    points = int(max(1, min(len(problem.grid), (0.75 * budget - a_batch) // a_point)))
    pieces = _even(problem.grid, points)
    at_once = int(max(1, 0.75 * budget // (points * a_point + a_batch)))
    sizes = [min(problem.spec.batch_size, len(subset.rows)) for subset in subsets]
    for size in sorted(set(sizes)):
        places = [place for place in range(len(subsets)) if sizes[place] == size]
        for start in range(0, len(places), at_once):
            chunk = places[start : start + at_once]
            hold_bytes = budget / (4 * len(chunk))
            ready = [
                labelled_inputs(problem, subsets[place].rows, subsets[place].seed, hold_bytes)
                for place in chunk
            ]
            labelled = [subset for subset, _ in ready]
            trained = [
                train(labelled, piece, problem.spec, problem.kind, problem.judge, tick)
                for piece in pieces
            ]
            for place, (_, by), parts in zip(chunk, ready, zip(*trained, strict=True), strict=True):
                yield place, _finish(problem, parts, by)


def _neighbours(
    problem: Problem, subsets: Sequence[Subset], progress: Progress
) -> Iterator[tuple[int, Fitted]]:
    """Scores by nearest neighbours, which need no training; progress counts subsets."""
    for place, subset in enumerate(subsets):
        by = scaling(problem.embeddings, subset.rows, "tracks")
        scores, chosen, sweep = nearest_neighbours(
            problem.embeddings, problem.hot, problem.kind, subset.rows, problem.valid, problem.test,
            by, problem.spec, problem.device, problem.judge,
        )  # fmt: skip
        no_steps, no_curve = np.empty(0, dtype=np.int64), np.empty((0, len(sweep)))
        yield place, Fitted(scores, chosen, sweep, no_steps, no_curve)
        progress(place + 1, len(subsets))


def _finish(problem: Problem, parts: Sequence[Trained], by: Scaling) -> Fitted:
    """Chooses among the pieces of one subset's grid and scores the test split."""
    choice = choose(problem.grid, parts)
    scores = score_test(problem, choice.weights, by)
    return Fitted(scores, choice.chosen, choice.sweep, choice.steps, choice.curve)


class _Counter:
    """Counts the probe-steps of several threads, and ends the threads when told to.

    Attributes:
        done: probe-steps so far.
        total: probe-steps in all.
        stop: set when the work is no longer wanted; each thread ends when it counts next.
    """

    def __init__(self, total: int) -> None:
        self.done, self.total = 0, total
        self.stop = threading.Event()
        self._lock = threading.Lock()

    def add(self, steps: int) -> None:
        """Counts some more; raises KeyboardInterrupt in a thread whose work is not wanted."""
        if self.stop.is_set():
            raise KeyboardInterrupt
        with self._lock:
            self.done += steps


def _points_a_piece(spec: ProbeSpec, outputs: int, width: int) -> int:
    """Number of grid points that are trained as one piece.

    It depends on the layers' sizes alone, and so does how products are rounded.
    """
    return max(1, _ELEMENTS // (width * (spec.hidden if spec.kind == "mlp" else outputs)))


def _even(items: Sequence[Item], most: int) -> list[list[Item]]:
    """Cuts a sequence into consecutive pieces of at most some length, as even as can be."""
    number = -(-len(items) // most)
    ends = [len(items) * piece // max(number, 1) for piece in range(number + 1)]
    return [list(items[start:stop]) for start, stop in pairwise(ends)]
