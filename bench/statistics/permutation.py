"""Permutation test of the difference of two methods that are scored on the same test tracks."""

import numpy as np
from numpy.typing import NDArray

from bench.core.randomness import raw
from bench.statistics.intervals import by_group

_BYTES = 2**15
"""Random bytes that are held at once, each the swaps of eight tracks.

What is looked up for them stays in the cache.
"""


def permutation_p(
    contributions: NDArray[np.float64],
    permutations: int = 10_000,
    seed: int = 0,
    groups: NDArray[np.generic] | None = None,
) -> float:
    """Two-sided p-value of a difference under swaps of the two methods on random tracks.

    If the methods are alike, which of the two gave which scores of a track is chance, and swapping
    them there leaves the distribution of the difference as it is (Pitman, "Significance Tests Which
    May be Applied to Samples From any Populations", 1937; Good, "Permutation, Parametric and
    Bootstrap Tests of Hypotheses", 2005). In the metric's linear approximation a swap turns the
    sign of the track's contribution, which takes a multiplication instead of scoring everything
    anew. The observed difference counts as one of the permutations, p = (b + 1) / (m + 1), so that
    p is never zero and the test never too liberal (Phipson and Smyth, "Permutation P-values Should
    Never Be Zero", SAGMB 9, 2010).

    Args:
        contributions: (tracks,) difference / tracks + (influence of the track on the first method's
            metric - on the second's); their sum is the difference, since influences sum to zero.
        permutations: number of random swaps.
        seed: of the swaps, which are the same on every machine.
        groups: (tracks,) group of each track; all tracks of a group are swapped together.

    Returns:
        The p-value, in [1 / (permutations + 1), 1].
    """
    if groups is not None:
        contributions = by_group(contributions, groups)
    words = -(-len(contributions) // 64)
    eights = np.zeros((8 * words, 8))
    eights.ravel()[: len(contributions)] = contributions
    # What each of the 256 ways of swapping eight tracks sums to is looked up, byte by byte.
    ways = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    sums = (eights @ ways.T).ravel()
    first = 256 * np.arange(len(eights))
    total = contributions.sum()
    # A difference that equals the observed one but for rounding is as large: ties must not lower p.
    limit = abs(total) - 1e-9 * np.abs(contributions).sum()
    larger = 0
    chunk = max(1, _BYTES // len(eights))
    for step, start in enumerate(range(0, permutations, chunk)):
        drawn = min(chunk, permutations - start)
        swaps = (
            raw(seed, "permutation", step, drawn * words)
            .astype("<u8")
            .view(np.uint8)
            .reshape(drawn, -1)
        )
        # A swap turns the sign: the sum is the total less twice what is swapped.
        differences = total - 2 * sums[swaps + first].sum(1)
        larger += int((np.abs(differences) >= limit).sum())
    return (larger + 1) / (permutations + 1)
