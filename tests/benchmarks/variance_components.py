"""Variance components by simulation: recovery of known ones, and coverage of the interval.

    python tests/benchmarks/variance_components.py   (about 1 minute on one core)

Every track has normal effects of its own; there are 200 test tracks, scores are means over the
tracks, and the bootstrap resamples are real ones. The first table shows the root of the averaged
estimates beside the truth. The second shows how often 95 % intervals of the grand mean hold the
truth: the interval that counts all known sources; the same with standard normal quantiles in the
place of Satterthwaite's t; and the percentile interval of the bootstrap alone, which is what most
papers print. A grid with one level of a source leaves that source out and cannot reach 95 %.
"""

import numpy as np

from bench.core.randomness import generator
from bench.statistics.bootstrap import resample_counts
from bench.statistics.intervals import percentile
from bench.statistics.variance import SOURCES, VarianceComponents, variance_components

TRACKS, RESAMPLES, TRIALS = 200, 200, 1000
# A is the pretraining seed, B the label draw, C the seed of the probe, T the test sample.
EFFECTS = np.array([3.0, 4.0, 2.0, 2.0, 5.0])
"""Standard deviations of A, B, AB, C and T, in thousandths of mAP."""
INTERACTIONS = np.array([2.0, 2.0, 1.0, 1.0])
"""Standard deviations of AT, BT, ABT and CT, in the mean over the test tracks."""
MEAN = 400.0
"""The true grand mean, in thousandths of mAP."""
GRIDS = [
    (1, 1, 1),
    (1, 4, 1),
    (4, 1, 1),
    (2, 2, 1),
    (2, 2, 2),
    (3, 3, 1),
    (3, 3, 2),
    (3, 4, 3),
    (5, 4, 1),
    (10, 10, 2),
]
CASES = {
    "as above": EFFECTS,
    "large test set, or a paired difference: test sample 1.0": np.array([3.0, 4.0, 2.0, 2.0, 1.0]),
    "one source rules: label draw 10.0": np.array([0.0, 10.0, 0.0, 0.0, 1.0]),
    "nothing but the test sample and its interactions": np.array([0.0, 0.0, 0.0, 0.0, 5.0]),
}
"""Effects of the second table, in the order of EFFECTS; the interactions are the same in all."""


def simulate(
    shape: tuple[int, int, int], effects: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of one experiment on one test sample.

    Args:
        shape: pretraining seeds, label draws, probe seeds.
        effects: (5,) standard deviations, as EFFECTS.
        random: the source of random numbers.

    Returns:
        Scores, of that shape, and resampled scores, (*shape, RESAMPLES).
    """
    seeds, draws, _ = shape
    sizes = [(seeds, 1, 1), (1, draws, 1), (seeds, draws, 1), shape]
    tracks = np.full((*shape, TRACKS), MEAN)
    for size, effect, interaction in zip(sizes, effects[:-1], INTERACTIONS, strict=True):
        tracks += effect * random.standard_normal((*size, 1))
        tracks += interaction * TRACKS**0.5 * random.standard_normal((*size, TRACKS))
    tracks += effects[-1] * TRACKS**0.5 * random.standard_normal(TRACKS)
    counts = resample_counts(TRACKS, RESAMPLES, int(random.integers(2**31)), "variance")
    return tracks.mean(-1), tracks @ counts / TRACKS


def experiment(
    shape: tuple[int, int, int], effects: np.ndarray
) -> tuple[list[VarianceComponents], list[tuple[float, float]]]:
    """Simulates TRIALS experiments.

    Returns:
        The estimates of each, and the bootstrap's percentile interval of its grand mean.
    """
    estimates, bootstrap = [], []
    for trial in range(TRIALS):
        scores, resampled = simulate(
            shape, effects, generator(trial, f"variance components {shape} {effects}")
        )
        estimates.append(variance_components(scores, resampled))
        bootstrap.append(percentile(resampled.mean(axis=(0, 1, 2)), 0.95))
    return estimates, bootstrap


def true_variances(effects: np.ndarray) -> np.ndarray:
    """(5,) variances that the components estimate.

    Each effect comes with its interaction with the test sample, since no experiment on one test
    sample can tell them apart; the last, T, stands alone.
    """
    return effects**2 + np.append(INTERACTIONS, 0) ** 2


def print_components(shape: tuple[int, int, int], estimates: list[VarianceComponents]) -> None:
    """Prints one row of the first table."""
    texts = []
    for place in range(len(SOURCES)):
        raw = float(np.mean([trial.sources[place].estimate for trial in estimates]))
        cut = float(np.mean([trial.sources[place].variance for trial in estimates]))
        texts.append(
            "not known" if np.isnan(raw) else f"{np.sqrt(max(raw, 0)):.2f} ({np.sqrt(cut):.2f})"
        )
    print(f"{'x'.join(map(str, shape)):>10} " + " ".join(f"{text:>17}" for text in texts))


def print_coverage(
    shape: tuple[int, int, int],
    effects: np.ndarray,
    estimates: list[VarianceComponents],
    bootstrap: list[tuple[float, float]],
) -> None:
    """Prints one row of the second table."""
    seeds, draws, probes = shape
    levels = np.array([seeds, draws, seeds * draws, seeds * draws * probes, 1])
    held = (
        np.mean([trial.low <= MEAN <= trial.high for trial in estimates]),
        np.mean([abs(trial.mean - MEAN) <= 1.96 * trial.standard_error for trial in estimates]),
        np.mean([low <= MEAN <= high for low, high in bootstrap]),
    )
    half = (
        np.median([(trial.high - trial.low) / 2 for trial in estimates]),
        np.median([1.96 * trial.standard_error for trial in estimates]),
        np.median([(high - low) / 2 for low, high in bootstrap]),
        1.96 * np.sqrt((true_variances(effects) / levels).sum()),
    )
    left = [source.name for source in estimates[0].sources if source.missing and not source.within]
    columns = " ".join(
        [*(f"{value:>9.3f}" for value in held), *(f"{value:>10.1f}" for value in half)]
    )
    print(f"{'x'.join(map(str, shape)):>10} {columns}  {', '.join(left)}")


def main() -> None:
    """Prints the two tables."""
    print(f"{TRIALS} experiments a grid, {TRACKS} test tracks, {RESAMPLES} resamples\n")
    print(
        "standard deviations: root of the mean estimate "
        "(root of the mean with negative ones set to zero)"
    )
    print(
        f"{'grid':>10} " + " ".join(f"{name.replace('pretraining ', ''):>17}" for name in SOURCES)
    )
    print(f"{'truth':>10} " + " ".join(f"{value**0.5:>17.2f}" for value in true_variances(EFFECTS)))
    simulated = {shape: experiment(shape, EFFECTS) for shape in GRIDS}
    for shape, (estimates, _) in simulated.items():
        print_components(shape, estimates)
    print(
        "\nhow often the 95 % interval of the grand mean holds the truth, and its median half width"
    )
    names = ("t", "normal", "bootstrap")
    for case, effects in CASES.items():
        print(f"\n{case}")
        heads = [*(f"{name:>9}" for name in names), *(f"{name:>10}" for name in names)]
        print(f"{'grid':>10} {' '.join(heads)}  true 1.96 se, not counted")
        for shape in GRIDS:
            trials = simulated[shape] if effects is EFFECTS else experiment(shape, effects)
            print_coverage(shape, effects, *trials)


if __name__ == "__main__":
    main()
