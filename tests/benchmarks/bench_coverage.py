"""Coverage of nominal 95 % intervals, and false positives of the paired tests, by simulation.

    python tests/benchmarks/bench_coverage.py            (about 15 minutes on 2 idle cores)
    python tests/benchmarks/bench_coverage.py --small    (a tenth of it)

Simulated test sets of 50 tags. A tag's scores are normal, N(0, 1) without it and N(separation,
spread^2) with it, so that the true ROC-AUC and average precision, those of endless tracks, are
known: the area in closed form, the precision by integration. Tags without a positive in a test set
are left out of its score and of its truth. The simulations differ in how frequent the tags are, in
whether a track's tags and scores are correlated, and in the form of the scores. None was used alone
to choose an interval.
"""

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray
from torch.special import ndtr, ndtri

from bench.core.randomness import generator
from bench.statistics.bootstrap import resample_counts
from bench.statistics.influence import precision_bias, ranking_influence, ranking_jackknife
from bench.statistics.intervals import basic, bca, interval, percentile, standard_error
from bench.statistics.metrics import ranking
from bench.statistics.permutation import permutation_p

Array = NDArray[np.float64]
TAGS = 50
KINDS = ("percentile", "basic", "bca", "interval")
DIFFERENCES = ("percentile", "basic", "normal")


@dataclass(frozen=True)
class Simulation:
    """A population of tracks.

    Attributes:
        prevalence: (TAGS,) probability of each tag.
        separation: (TAGS,) by how much the mean score of tracks with the tag is higher.
        shared: correlation of the tags of a track, and of its scores.
        spread: standard deviation of the scores of tracks with the tag; without it, it is 1.
    """

    prevalence: Array
    separation: Array
    shared: float = 0.0
    spread: float = 1.0

    def truth(self) -> tuple[Array, Array]:
        """(TAGS,) ROC-AUC and average precision of endless tracks."""
        scores = torch.linspace(-14, 20, 40_001, dtype=torch.float64)[:, None]
        prevalence, separation = (
            torch.from_numpy(self.prevalence),
            torch.from_numpy(self.separation),
        )
        standard = (scores - separation) / self.spread
        hits, alarms = prevalence * ndtr(-standard), (1 - prevalence) * ndtr(-scores)
        density = torch.exp(-0.5 * standard**2) / (self.spread * (2 * np.pi) ** 0.5)
        precision = torch.trapezoid(
            torch.nan_to_num(hits / (hits + alarms), nan=1.0) * density, scores, dim=0
        )
        return ndtr(separation / (1 + self.spread**2) ** 0.5).numpy(), precision.numpy()

    def labels(self, tracks: int, random: np.random.Generator) -> NDArray[np.bool_]:
        """(tracks, TAGS) tags of newly drawn tracks."""
        return self._noise(tracks, random) < ndtri(torch.from_numpy(self.prevalence)).numpy()

    def scores(self, labels: NDArray[np.bool_], random: np.random.Generator) -> Array:
        """(tracks, TAGS) scores of tracks with these tags."""
        return self.scored(labels, self._noise(len(labels), random))

    def scored(self, labels: NDArray[np.bool_], noise: Array) -> Array:
        """(tracks, TAGS) scores from standard normal noise."""
        return np.where(labels, self.separation + self.spread * noise, noise)

    def _noise(self, tracks: int, random: np.random.Generator) -> Array:
        """(tracks, TAGS) standard normal, correlated within a track."""
        own, common = random.standard_normal((tracks, TAGS)), random.standard_normal((tracks, 1))
        return (1 - self.shared) ** 0.5 * own + self.shared**0.5 * common


@cache
def simulations() -> dict[str, Simulation]:
    """The populations by name."""
    mixed = generator(7, "separations").permutation(np.linspace(0.5, 2.5, TAGS))
    rare, middle = np.geomspace(0.005, 0.3, TAGS), np.linspace(0.02, 0.1, TAGS)
    return {
        "tags of 0.5-30 %": Simulation(rare, mixed),
        "tags of 2-10 %": Simulation(middle, mixed),
        "0.5-30 %, correlated": Simulation(rare, mixed, shared=0.5),
        "2-10 %, correlated": Simulation(middle, mixed, shared=0.5),
        "0.5-30 %, wide positives": Simulation(rare, mixed, spread=1.5),
        "0.5-30 %, weak (d' 0.5)": Simulation(rare, np.full(TAGS, 0.5)),
        "0.5-30 %, strong (d' 2-3.5)": Simulation(rare, mixed * 0.75 + 1.625),
    }


@cache
def population(name: str, weaker: float = 1.0) -> tuple[Simulation, tuple[Array, Array]]:
    """A simulation with its separations multiplied by `weaker`, and its true metrics."""
    first = simulations()[name]
    simulation = Simulation(first.prevalence, first.separation * weaker, first.shared, first.spread)
    return simulation, simulation.truth()


@dataclass(frozen=True)
class Scored:
    """Macro ROC-AUC (index 0) and average precision (index 1) of one method on one test set.

    Attributes:
        value: the metric on the test set itself.
        resampled: (resamples,) the metric on each bootstrap resample.
        influence: (tracks,) influence of each track on the metric.
        jackknife: (tracks,) what the metric loses without each track.
        bias: estimated bias of the metric on a test set of this size.
    """

    value: tuple[float, float]
    resampled: tuple[Array, Array]
    influence: tuple[Array, Array]
    jackknife: tuple[Array, Array]
    bias: tuple[float, float]


def score(scores: Array, labels: NDArray[np.bool_], counts: NDArray[np.int32]) -> Scored:
    """Scores one method; the first column of counts is ones."""
    values = [np.nanmean(metric, axis=1) for metric in ranking(scores, labels, counts)]
    influence = [metric.mean(1) for metric in ranking_influence(scores, labels, left_out=True)]
    jackknife = [metric.mean(1) for metric in ranking_jackknife(scores, labels)]
    return Scored(
        value=(float(values[0][0]), float(values[1][0])),
        resampled=(values[0][1:], values[1][1:]),
        influence=(influence[0], influence[1]),
        jackknife=(jackknife[0], jackknife[1]),
        bias=(0.0, float(precision_bias(scores, labels).mean())),
    )


def intervals(scored: Scored, metric: int) -> Iterator[tuple[float, float]]:
    """The lower and upper end of each kind of interval, in the order of KINDS."""
    value, resampled = scored.value[metric], scored.resampled[metric]
    yield percentile(resampled, 0.95)
    yield basic(value, resampled, 0.95)
    yield bca(value, resampled, scored.jackknife[metric], 0.95)
    yield interval(value, resampled, scored.jackknife[metric], 0.95, scored.bias[metric])


def hold(name: str, tracks: int, resamples: int, number: int) -> Array:
    """Draws one test set and says of each interval where it lies beside the truth.

    Returns:
        (2 metrics, len(KINDS), 3): 1 if the interval lies above the truth, else 0; 1 if it lies
        below; its width.
    """
    simulation, areas = population(name)
    random = generator(number, f"coverage/{name}/{tracks}")
    labels = simulation.labels(tracks, random)
    scores = simulation.scores(labels, random)
    kept = labels.any(0)
    counts = counted(tracks, resamples, number)
    scored = score(scores[:, kept], labels[:, kept], counts)
    truth = [metric[kept].mean() for metric in areas]
    rows = [
        [(truth[m] < low, truth[m] > high, high - low) for low, high in intervals(scored, m)]
        for m in (0, 1)
    ]
    return np.array(rows, dtype=np.float64)


def counted(tracks: int, resamples: int, number: int) -> NDArray[np.int32]:
    """(tracks, 1 + resamples): a column of ones, then the resamples."""
    drawn = resample_counts(tracks, resamples, number, "coverage")
    return np.concatenate([np.ones((tracks, 1), dtype=np.int32), drawn], axis=1)


@dataclass(frozen=True)
class Pair:
    """Two methods on the same tracks.

    Attributes:
        common: correlation of the two methods' scores of a track and tag, given the tag.
        weaker: factor on the second method's separations; 1 where the methods are alike.
        scale: factor on the second method's scores, which changes no metric.
    """

    common: float
    weaker: float = 1.0
    scale: float = 1.0


PAIRS = {
    "alike, independent noise": Pair(0.0),
    "alike, noise correlated 0.7": Pair(0.7),
    "alike, other scale": Pair(0.7, scale=20.0),
    "second 5 % weaker, correlated": Pair(0.7, weaker=0.95),
    "second 20 % weaker, correlated": Pair(0.7, weaker=0.8),
}


def compare(title: str, name: str, tracks: int, resamples: int, number: int) -> Array:
    """Scores a pair of methods on one test set and compares them.

    Returns:
        (2 metrics, 1 + 2 x len(DIFFERENCES)): 1 if p <= 0.05, else 0; then, of each interval, 1 if
        it misses the true difference, else 0, and its width.
    """
    pair = PAIRS[title]
    (first, areas), (second, weaker_areas) = population(name), population(name, pair.weaker)
    random = generator(number, f"pairs/{title}/{name}/{tracks}")
    labels = first.labels(tracks, random)
    noise = random.standard_normal((3, tracks, TAGS))
    one, two = (pair.common**0.5 * noise[2] + (1 - pair.common) ** 0.5 * own for own in noise[:2])
    kept = labels.any(0)
    counts = counted(tracks, resamples, number)
    scored = [
        score(scores[:, kept], labels[:, kept], counts)
        for scores in (first.scored(labels, one), pair.scale * second.scored(labels, two))
    ]
    truths = [[metric[kept].mean() for metric in truth] for truth in (areas, weaker_areas)]
    return np.array(
        [_compared(scored[0], scored[1], m, truths[0][m] - truths[1][m], number) for m in (0, 1)]
    )


def _compared(first: Scored, second: Scored, metric: int, truth: float, number: int) -> list[float]:
    """One row of what `compare` returns, for one metric."""
    value = first.value[metric] - second.value[metric]
    resampled = first.resampled[metric] - second.resampled[metric]
    contributions = (
        value / len(first.influence[metric]) + first.influence[metric] - second.influence[metric]
    )
    row = [float(permutation_p(contributions, 2000, number) <= 0.05)]
    low, high = percentile(resampled, 0.95)
    corrected = value - first.bias[metric] + second.bias[metric]
    values = first.jackknife[metric] - second.jackknife[metric]
    reach = 1.96 * standard_error(values)
    for ends in (
        (low, high),
        (2 * value - high, 2 * value - low),
        (corrected - reach, corrected + reach),
    ):
        row += [float(not ends[0] <= truth <= ends[1]), ends[1] - ends[0]]
    return row


def print_intervals(pool: ProcessPoolExecutor, repetitions: int, resamples: int) -> None:
    """Prints how often each interval holds the truth.

    The first two simulations get all repetitions, the others a fifth of them.
    """
    print(
        f"95 % intervals, {resamples} resamples: "
        "% that hold the truth (above it + below it), mean width"
    )
    print(f"{'':>28} {'tracks':>6} {'sets':>5} {'':>4}" + "".join(f"{kind:>26}" for kind in KINDS))
    names = list(simulations())
    sizes = [
        (name, 1000, repetitions if place < 2 else repetitions // 5)
        for place, name in enumerate(names)
    ]
    sizes += [(name, tracks, repetitions // 5) for tracks in (200, 400, 4000) for name in names[:3]]
    for name, tracks, number in sizes:
        work = partial(hold, name, tracks, resamples)
        means = np.mean(list(pool.map(work, range(number), chunksize=10)), axis=0)
        for metric, label in enumerate(("AUC", "AP")):
            cells = "".join(
                f"{100 * (1 - above - below):>10.1f} "
                f"({100 * above:>4.1f}+{100 * below:>4.1f}) {width:.3f}"
                for above, below, width in means[metric]
            )
            print(f"{name:>28} {tracks:>6} {number:>5} {label:>4}{cells}", flush=True)


def print_pairs(pool: ProcessPoolExecutor, repetitions: int, resamples: int) -> None:
    """Prints how often two methods are found to differ, and how often intervals hold the truth."""
    print(
        "Paired methods, 1000 tracks: % of p <= 0.05, "
        "then % of intervals that hold the true difference, width"
    )
    print(
        f"{'':>31} {'':>17} {'pairs':>6} {'':>4} {'p<=.05':>7}"
        + "".join(f"{kind:>18}" for kind in DIFFERENCES)
    )
    for place, title in enumerate(PAIRS):
        number = repetitions if place < 2 else repetitions // 10
        for name in list(simulations())[:2]:
            work = partial(compare, title, name, 1000, resamples)
            rows = np.mean(list(pool.map(work, range(number), chunksize=10)), axis=0)
            for label, row in zip(("AUC", "AP"), rows, strict=True):
                cells = "".join(f"{100 * (1 - row[i]):>11.1f} {row[i + 1]:.4f}" for i in (1, 3, 5))
                print(
                    f"{title:>31} {name:>17} {number:>6} {label:>4} {100 * row[0]:>7.1f}{cells}",
                    flush=True,
                )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="a tenth of the repetitions")
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--only", choices=("intervals", "pairs"), help="one of the two tables")
    options = parser.parse_args()
    repetitions = 200 if options.small else options.repetitions
    start = time.monotonic()
    with ProcessPoolExecutor(
        2, get_context("spawn"), initializer=partial(torch.set_num_threads, 1)
    ) as pool:
        if options.only != "pairs":
            print_intervals(pool, repetitions, options.resamples)
        if options.only != "intervals":
            print_pairs(pool, repetitions, options.resamples)
    print(f"{time.monotonic() - start:.0f} seconds")


if __name__ == "__main__":
    main()
