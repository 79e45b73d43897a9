"""Labels and pools of tracks for the tests of labelled subsets."""

import numpy as np

from bench.stages.probe.subsets import Pool


def labels_of(tracks: int, tags: int, seed: int) -> np.ndarray:
    """Draws multi-hot labels with tags from rare to frequent, some of them without a positive."""
    random = np.random.default_rng(seed)
    return random.random((tracks, tags)) < np.geomspace(0.005, 0.5, tags)


def pool_of(labels: np.ndarray, groups: np.ndarray | None = None, purpose: str = "x") -> Pool:
    """Makes a pool of a data set with a third more tracks.

    Where no groups are given, every track is a group of its own.
    """
    ids = np.array([f"track {number:06}" for number in range(len(labels))])
    return Pool(ids, labels, ids if groups is None else groups, len(labels) * 4 // 3, purpose)
