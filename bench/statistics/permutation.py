"""Permutation test of the difference between two methods that are scored on the same tracks."""

import numpy as np
from numpy.typing import NDArray

from bench.core.randomness import raw
from bench.statistics.intervals import by_group

_BYTES = 2**15
"""Random bytes per chunk of permutations, each byte holding the swaps of eight tracks.

The sums that are looked up for a chunk then stay in the processor's cache.
"""


def permutation_p(
    contributions: NDArray[np.float64],
    permutations: int = 10_000,
    seed: int = 0,
    groups: NDArray[np.generic] | None = None,
) -> float:
    """Tests a difference by swapping the scores of the two methods on random tracks.

    If the methods are equally good, it is chance which of the two produced which scores of a track,
    and swapping them on some tracks leaves the distribution of the difference unchanged (Pitman,
    "Significance Tests Which May be Applied to Samples From any Populations", 1937; Good,
    "Permutation, Parametric and Bootstrap Tests of Hypotheses", 2005). In the linear approximation
    of the metric, a swap flips the sign of the track's contribution to the difference, so that a
    permutation costs one sum instead of scoring all tracks again. The observed difference counts as
    one of the permutations, p = (b + 1) / (m + 1), so that p is never zero and the test is never
    too liberal (Phipson and Smyth, "Permutation P-values Should Never Be Zero", SAGMB 9, 2010).

    Args:
        contributions: (tracks,) each track's part of the difference: difference / tracks +
            influence of the track on the first method's metric - influence on the second's. They
            sum to the difference, since influences sum to zero.
        permutations: number of random permutations; in each, every track is swapped or not.
        seed: seed of the permutations, which are the same on every machine.
        groups: (tracks,) group of each track; all tracks of a group are swapped together.

    Returns:
        The two-sided p-value, in [1 / (permutations + 1), 1].
    """
    if groups is not None:
        contributions = by_group(contributions, groups)
    words = -(-len(contributions) // 64)
    eights = np.zeros((8 * words, 8))
    eights.ravel()[: len(contributions)] = contributions
    # A table holds, for each eight tracks, the summed contribution of each of the 256 subsets that
    # may be swapped. A permutation is then one look-up for each random byte.
    ways = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    sums = (eights @ ways.T).ravel()
    first = 256 * np.arange(len(eights))
    total = contributions.sum()
    # A permuted difference that equals the observed one except for rounding counts as equally
    # large: ties must not lower p.
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
        # A swap flips the sign, so the permuted difference is the total less twice what is swapped.
        differences = total - 2 * sums[swaps + first].sum(1)
        larger += int((np.abs(differences) >= limit).sum())
    return (larger + 1) / (permutations + 1)
