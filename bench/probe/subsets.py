"""Which tracks a probe may see the labels of: nested subsets, the same for every method, that show every tag early.

One percent of a training split, drawn uniformly, has no positive at all of the rarest tags, and their scores measure
luck. So a draw's order begins with a small set of tracks that covers every tag, and goes on at random. The price: at
the smallest fractions rare tags, and tracks with many tags, are more frequent than in the training split.
"""

import numpy as np

from bench.errors import InputError
from bench.randomness import generator


def labelled_order(labels: np.ndarray, draw: int, seed: int, purpose: str) -> np.ndarray:
    """The order in which tracks are labelled in one draw.

    Greedy cover: as long as a tag has no positive, take the rarest such tag and, of its tracks, the one with most tags
    that have none yet; the draw's random order breaks ties. The random order of the other tracks follows.

    Args:
        labels: (tracks, outputs) bool; one-hot for classes.
        draw: which draw.
        seed: of the random order.
        purpose: names the data set and split, and no method: every method sees the same subsets.

    Returns:
        (tracks,) a permutation of the tracks.
    """
    shuffled = generator(seed, f"subset/{purpose}", draw).permutation(len(labels))
    positive = np.ascontiguousarray(labels[shuffled].astype(bool))
    frequency = positive.sum(0)
    open_tags = frequency > 0
    first: list[int] = []
    for tag in np.argsort(frequency, kind="stable"):
        if open_tags[tag]:
            holders = np.flatnonzero(positive[:, tag])
            taken = int(holders[positive[holders][:, open_tags].sum(1).argmax()])
            open_tags &= ~positive[taken]
            first.append(taken)
    rest = np.ones(len(labels), dtype=bool)
    rest[first] = False
    return np.concatenate([shuffled[first], shuffled[rest]])


def labelled_subset(labels: np.ndarray, fraction: float, draw: int, seed: int, purpose: str) -> np.ndarray:
    """The tracks that are labelled at a fraction: the first of the draw's order, so a larger fraction holds a smaller.

    Args:
        labels: (tracks, outputs) bool; one-hot for classes.
        fraction: of the tracks, above 0 and at most 1; at least one track is taken.
        draw: which draw.
        seed: of the random order.
        purpose: names the data set and split.

    Returns:
        (max(1, round(fraction * tracks)),) track indices, ascending.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"the labelled fraction is {fraction}; it must be above 0 and at most 1")
    if len(labels) == 0:
        raise InputError("the training split has no tracks: nothing can be labelled")
    size = max(1, round(fraction * len(labels)))
    return np.sort(labelled_order(labels, draw, seed, purpose)[:size])


def tags_without_positive(labels: np.ndarray, subset: np.ndarray) -> int:
    """How many tags no track of the subset has; labels (tracks, outputs) bool, subset (size,) track indices."""
    return int((~labels[subset].astype(bool).any(0)).sum())
