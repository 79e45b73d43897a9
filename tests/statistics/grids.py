"""Random grids of scores for the tests of variance components."""

import itertools

import numpy as np

from bench.statistics.variance import VarianceComponents

GRIDS = list(itertools.product([1, 2, 3], [1, 2, 4], [1, 3]))


def random_grid(
    shape: tuple[int, int, int], resamples: int = 40, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Scores with every effect, and resampled scores with every interaction."""
    random = np.random.default_rng([seed, *shape])
    scores, shifts = np.full(shape, 0.4), np.zeros((*shape, resamples))
    for size in [(1, 1, 1), (shape[0], 1, 1), (1, shape[1], 1), (*shape[:2], 1), shape]:
        scores = scores + 0.01 * random.standard_normal(size)
        shifts = shifts + 0.01 * random.standard_normal((*size, resamples))
    return scores, scores[..., None] + shifts


def by_name(found: VarianceComponents, field: str) -> dict[str, float]:
    return {source.name: getattr(source, field) for source in found.sources}
