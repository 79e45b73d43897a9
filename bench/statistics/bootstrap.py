"""Bootstrap resamples of the test tracks, stored as the number of times each track was drawn.

A resample draws as many tracks as the test set has, with replacement (Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993, chapters 6 and 13). Since only the counts are stored, a metric
of a resample is a weighted metric of the original tracks, and no scores are copied.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.randomness import raw


def resample_counts(
    tracks: int, resamples: int, seed: int, purpose: str, groups: NDArray[np.generic] | None = None
) -> NDArray[np.int32]:
    """Draws bootstrap resamples and counts how often each track is in each of them.

    The counts are multinomial. They depend on the arguments alone: since they are made from raw
    random bits by integer arithmetic, they are the same on every machine and under every version
    of numpy. Each resample has its own bits, so that the first 50 of 1000 resamples are those that
    `resamples=50` gives.

    With groups, whole groups are drawn with replacement, each with all its tracks (cluster
    bootstrap; Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).
    Tracks of one artist resemble each other, and drawing them one by one would make intervals too
    narrow. The number of tracks then varies between resamples.

    Args:
        tracks: number of test tracks.
        resamples: number of resamples.
        seed: seed of the resamples.
        purpose: name of what is resampled, e.g. the data set and split. Methods that are scored
            with the same name, seed and number of tracks share their resamples.
        groups: (tracks,) label of each track's group, such as its artist. The counts depend on
            which labels are equal and on their sorted order, not on the labels themselves. Without
            groups every track is a group of its own.

    Returns:
        (tracks, resamples) int32; without groups each column sums to `tracks`.
    """
    if groups is not None:
        if len(groups) != tracks:
            raise ValueError(f"{len(groups)} groups for {tracks} tracks; there must be one a track")
        names, group = np.unique(groups, return_inverse=True)
        return resample_counts(len(names), resamples, seed, purpose)[group]
    counts = np.empty((resamples, tracks), dtype=np.int32)
    for resample in range(resamples):
        drawn = _below(tracks, raw(seed, f"bootstrap/{purpose}", resample, tracks))
        counts[resample] = np.bincount(drawn, minlength=tracks)
    return np.ascontiguousarray(counts.T)


def _below(limit: int, bits: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Turns random bits into integers from 0 up to, without, `limit`.

    The high bits are read as a binary fraction, which is multiplied by the limit and rounded down.
    As many bits are used as keep the product below 2**64. The probabilities of two integers differ
    by a share of the order of `limit` squared / 2**64, which is negligible for any test set.
    """
    length = limit.bit_length()
    fraction = bits >> np.uint64(length)
    return (fraction * np.uint64(limit) >> np.uint64(64 - length)).astype(np.int64)
