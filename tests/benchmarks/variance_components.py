"""Recovery of known sources of variance, and how often 95 % intervals of the grand mean hold the truth.

Run: python tests/benchmarks/variance_components.py   (about 1 minute on one core)

Track by track normal effects, 200 test tracks, scores that are means over the tracks, real
bootstrap resamples. First table: root of the averaged estimates, beside the truth. Second: the
interval of all known sources; the same with standard normal quantiles in the place of
Satterthwaite's t; and the percentile interval of the bootstrap alone, which is what most papers
print. A grid with one level leaves its source out and cannot hold its rate.
"""

import numpy as np

from bench.core.randomness import generator
from bench.statistics.bootstrap import resample_counts
from bench.statistics.intervals import percentile
from bench.statistics.variance import SOURCES, VarianceComponents, variance_components

TRACKS, RESAMPLES, TRIALS = 200, 200, 1000
EFFECTS = np.array(
    [3.0, 4.0, 2.0, 2.0, 5.0]
)  # standard deviations, thousandths of mAP, of A, B, AB, C and T
INTERACTIONS = np.array(
    [2.0, 2.0, 1.0, 1.0]
)  # of AT, BT, ABT and CT, in the mean over the test tracks
MEAN = 400.0
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
    """Scores (shape) and resampled scores (shape, RESAMPLES) of one experiment on one test sample."""
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
    """The estimates of each trial, and the bootstrap's percentile interval of the mean of its grid."""
    estimates, bootstrap = [], []
    for trial in range(TRIALS):
        scores, resampled = simulate(
            shape, effects, generator(trial, f"variance components {shape} {effects}")
        )
        estimates.append(variance_components(scores, resampled))
        bootstrap.append(percentile(resampled.mean(axis=(0, 1, 2)), 0.95))
    return estimates, bootstrap


def true_variances(effects: np.ndarray) -> np.ndarray:
    """(5,) what the components estimate: an effect with its interaction with the test sample, and T alone."""
    return effects**2 + np.append(INTERACTIONS, 0) ** 2


def print_components(shape: tuple[int, int, int], estimates: list[VarianceComponents]) -> None:
    """One row of the first table."""
    texts = []
    for place in range(len(SOURCES)):
        raw = np.mean([one.sources[place].estimate for one in estimates])
        cut = np.mean([one.sources[place].variance for one in estimates])
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
    """One row of the second table."""
    seeds, draws, probes = shape
    levels = np.array([seeds, draws, seeds * draws, seeds * draws * probes, 1])
    held = (
        np.mean([one.low <= MEAN <= one.high for one in estimates]),
        np.mean([abs(one.mean - MEAN) <= 1.96 * one.standard_error for one in estimates]),
        np.mean([low <= MEAN <= high for low, high in bootstrap]),
    )
    half = (
        np.median([(one.high - one.low) / 2 for one in estimates]),
        np.median([1.96 * one.standard_error for one in estimates]),
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
        "standard deviations: root of the mean estimate (root of the mean with negative ones set to zero)"
    )
    print(
        f"{'grid':>10} " + " ".join(f"{name.replace('pretraining ', ''):>17}" for name in SOURCES)
    )
    print(f"{'truth':>10} " + " ".join(f"{value**0.5:>17.2f}" for value in true_variances(EFFECTS)))
    found = {shape: experiment(shape, EFFECTS) for shape in GRIDS}
    for shape, (estimates, _) in found.items():
        print_components(shape, estimates)
    print(
        "\nhow often the 95 % interval of the grand mean holds the truth, and its median half width"
    )
    names = ("t", "normal", "bootstrap")
    for case, effects in CASES.items():
        print(f"\n{case}")
        print(f"{'grid':>10} " + " ".join([*(f"{name:>9}" for name in names), *(f"{name:>10}" for name in names)])
              + "  true 1.96 se, not counted")  # fmt: skip
        for shape in GRIDS:
            print_coverage(
                shape,
                effects,
                *(found[shape] if effects is EFFECTS else experiment(shape, effects)),
            )


if __name__ == "__main__":
    main()
