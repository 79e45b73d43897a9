"""Random scores and labels for the tests of metrics and influences."""

from typing import Any

import numpy as np
from hypothesis import settings

from bench.statistics.bootstrap import resample_counts

EXACT: dict[str, Any] = {"rtol": 0, "atol": 1e-7}
QUICK = settings(max_examples=60, deadline=None)


def problem(
    seed: int, levels: int, tracks: int, tags: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws scores, labels and the counts of four resamples.

    Args:
        seed: seed of all three.
        levels: about how many different values the scores have; 0 for scores without ties.
        tracks: number of tracks.
        tags: number of tags, from a rare to a frequent one.

    Returns:
        (tracks, tags) float32 scores; (tracks, tags) bool labels; (tracks, 4) counts.
    """
    random = np.random.default_rng(seed)
    labels = random.random((tracks, tags)) < np.linspace(0.05, 0.9, tags)
    scores = (random.normal(size=(tracks, tags)) + labels).astype(np.float32)
    if levels:
        scores = np.floor(scores * levels / 4).astype(np.float32)
    return scores, labels, resample_counts(tracks, 4, seed, "test")
