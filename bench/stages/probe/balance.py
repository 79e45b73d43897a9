"""The balanced order of labelling: every tag has a positive early, and then equally many."""

import numpy as np
from numpy.typing import NDArray


def balanced_order(positive: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Orders tracks so that the positives of all tags stay as even as can be.

    As long as a tag has no positive, take the rarest such tag and, of its tracks, the one with most
    tags that have none yet. Then take the tag with the fewest positives so far of those that have a
    track left (the rarer in the pool first) and any of its tracks. Tracks without a tag come last.
    Of equal tracks the first is taken.

    Args:
        positive: (tracks, outputs) labels.

    Returns:
        (tracks,) a permutation of the tracks.
    """
    return _balance(positive, _cover(positive))


def _cover(positive: NDArray[np.bool_]) -> list[int]:
    """Chooses tracks that together give every tag a positive; returns their places."""
    frequency = positive.sum(0)
    open_tags = frequency > 0
    taken: list[int] = []
    for tag in np.argsort(frequency, kind="stable"):
        if open_tags[tag]:
            holders = np.flatnonzero(positive[:, tag])
            taken.append(int(holders[positive[holders][:, open_tags].sum(1).argmax()]))
            open_tags &= ~positive[taken[-1]]
    return taken


def _balance(positive: NDArray[np.bool_], first: list[int]) -> NDArray[np.int64]:
    """Completes an order, each time by a track of the tag with the fewest positives so far.

    Args:
        positive: (tracks, outputs), in random order.
        first: places of the tracks that begin the order.

    Returns:
        (tracks,) places.
    """
    tracks, outputs = positive.shape
    free = np.ones(tracks, dtype=bool)
    free[first] = False
    order = list(first)
    had = positive[first].sum(0).astype(np.float64)
    # The next tag is the one of least need: the number of its positives so far, and among equals
    # its frequency in the pool, a fraction below 1. A tag with no track left is infinite.
    frequency = positive.sum(0) / (tracks + 1)
    holders = [iter(np.flatnonzero(column).tolist()) for column in positive.T]
    carried = [np.flatnonzero(row) for row in positive]
    need = had + frequency
    while outputs:
        tag = int(need.argmin())
        if np.isinf(need[tag]):
            break
        place = next((place for place in holders[tag] if free[place]), None)
        if place is None:
            need[tag] = np.inf
            continue
        free[place] = False
        order.append(place)
        need[carried[place]] += 1
    return np.concatenate([np.array(order, dtype=np.int64), np.flatnonzero(free)])
