"""Bootstrap resamples of the test tracks, as counts.

A resample draws as many tracks as there are, with replacement (Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993, chapters 6 and 13). It is kept as the number of times that
each track was drawn, so that a metric of a resample is a weighted metric of the tracks, and nothing
is ever copied.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.randomness import raw


def resample_counts(
    tracks: int, resamples: int, seed: int, purpose: str, groups: NDArray[np.generic] | None = None
) -> NDArray[np.int32]:
    """How often each track stands in each resample: multinomial counts, a function of the arguments alone.

    They are the same on every machine and under every version of numpy, since they are made of raw
    bits by integer arithmetic. Each resample has its own bits: the first 50 of 1000 are those that
    `resamples=50` gives.

    With groups, groups are drawn with replacement, each with all its tracks (cluster bootstrap;
    Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8): tracks of
    one artist are alike, and drawing them one by one makes intervals too narrow. The number of
    tracks then varies between resamples.

    Args:
        tracks: number of test tracks.
        resamples: number of resamples.
        seed: of the resamples.
        purpose: names what is resampled, e.g. the data set and split; methods that give the same
            name are scored on the same resamples.
        groups: (tracks,) the group of each track, such as its artist; only which are equal counts,
            and their order. Without them every track is a group of its own.

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
    """Integers from 0 up to `limit`, each as likely as the others up to `limit` squared in 2**64.

    The high bits are a binary fraction, which is multiplied by the limit and rounded down. As many
    of them are taken as leave the product in 64 bits.
    """
    length = limit.bit_length()
    fraction = bits >> np.uint64(length)
    return (fraction * np.uint64(limit) >> np.uint64(64 - length)).astype(np.int64)
