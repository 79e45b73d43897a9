"""How often nominal 95 % intervals hold the true macro average precision: percentile, basic, and the paired difference.

Run: python tests/benchmarks/interval_coverage.py   (about 2 minutes on 2 cores)

30 tags at 1 to 30 %, scores of two methods that share most of their noise; the truth is the score of 100 000 tracks.
"""

import numpy as np

from bench.intervals import basic, percentile
from bench.probe.bootstrap import resample_counts
from bench.probe.metrics import ranking
from bench.randomness import generator

TAGS, TRIALS, RESAMPLES = 30, 100, 300


def draw(tracks: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of two methods and labels, each (tracks, TAGS)."""
    labels = random.random((tracks, TAGS)) < np.linspace(0.01, 0.3, TAGS)
    shared = random.standard_normal((tracks, TAGS))
    own = random.standard_normal((2, tracks, TAGS))
    return 1.2 * labels + shared + 0.5 * own[0], 1.0 * labels + shared + 0.5 * own[1], labels


def macro(scores: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(resamples,) macro average precision."""
    return np.nanmean(ranking(scores, labels, counts)[1], axis=1)


def main() -> None:
    """Prints the table."""
    first, second, labels = draw(100_000, generator(0, "truth"))
    ones = np.ones((len(labels), 1))
    truth = float(macro(first, labels, ones)[0])
    gap = truth - float(macro(second, labels, ones)[0])
    print(f"truth {truth:.3f}, difference {gap:.3f}; {TRIALS} test sets, {RESAMPLES} resamples each")
    print(f"{'test tracks':>12} {'percentile':>11} {'basic':>7} {'difference, percentile':>23}")
    for tracks in (100, 400, 2000):
        held = np.zeros(3)
        for trial in range(TRIALS):
            first, second, labels = draw(tracks, generator(trial, f"test set of {tracks}"))
            keep = labels.any(0)
            first, second, labels = first[:, keep], second[:, keep], labels[:, keep]
            counts = resample_counts(tracks, RESAMPLES, trial, "coverage")
            value = float(macro(first, labels, np.ones((tracks, 1)))[0])
            one, two = macro(first, labels, counts), macro(second, labels, counts)
            ends = percentile(one, 0.95), basic(value, one, 0.95), percentile(one - two, 0.95)
            held += [low <= target <= high for (low, high), target in zip(ends, (truth, truth, gap), strict=True)]
        print(f"{tracks:>12} {held[0] / TRIALS:>11.2f} {held[1] / TRIALS:>7.2f} {held[2] / TRIALS:>23.2f}")


if __name__ == "__main__":
    main()
