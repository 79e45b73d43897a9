"""Bootstrap resamples of the test tracks, as counts.

A resample draws as many tracks as there are, with replacement (Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993, chapters 6 and 13). It is kept as the number of times that each track was drawn, so that a metric of a
resample is a weighted metric of the tracks, and nothing is ever copied.
"""

import numpy as np

from bench.randomness import generator


def resample_counts(tracks: int, resamples: int, seed: int, purpose: str) -> np.ndarray:
    """How often each track stands in each resample: multinomial counts, a function of the arguments alone.

    Resamples follow one another in one stream: the first 50 of 1000 are those that `resamples=50` gives.

    Args:
        tracks: number of test tracks.
        resamples: number of resamples.
        seed: of the resamples.
        purpose: names what is resampled, e.g. the data set and split; methods that give the same name are scored on the
            same resamples.

    Returns:
        (tracks, resamples) int32; each column sums to `tracks`.
    """
    random = generator(seed, f"bootstrap/{purpose}")
    counts = np.empty((resamples, tracks), dtype=np.int32)
    for resample in range(resamples):
        # Counts of uniform draws are the multinomial; drawn so, every probability is exactly one in `tracks`.
        counts[resample] = np.bincount(random.integers(tracks, size=tracks), minlength=tracks)
    return np.ascontiguousarray(counts.T)
